#include "common/rpc/local_stream.h"

#include <algorithm>
#include <atomic>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "common/rpc/frame_server.h"
#include "tests/unit/common/rpc/frame_pool_fixture.h"

namespace emotion {
namespace {

using namespace testing;  // NOLINT: the vocabulary of these tests

using Stream = LocalStream<Request, Response>;

// Writes down what happens to the client, in order.
struct Client final : ClientSessionHandler<Request, Response> {
  explicit Client(Collected<std::string>& to) : log(to) {}
  void OnOpen(std::shared_ptr<ClientStream> opened) override {
    log.Add("client opened");
    session = std::move(opened);
  }
  void OnMessage(Response&& response) override {
    log.Add("answer " + std::to_string(response.result().frame_id()));
  }
  void OnClosed(const grpc::Status& status) override {
    log.Add("client closed " + std::to_string(status.error_code()));
  }

  Collected<std::string>& log;
  std::shared_ptr<ClientStream> session;
};

struct Ends {
  // A server that does what `script` says.
  explicit Ends(StreamScript script) {
    script.on_closed = [this] { log.Add("server closed"); };
    client = std::make_shared<Client>(log);
    Stream::Start(client, std::make_shared<ScriptedHandler>(std::move(script)));
  }

  bool Send(uint64_t id) {
    Request request;
    request.mutable_frame()->set_frame_id(id);
    return client->session->Send(std::move(request));
  }

  Collected<std::string> log;
  std::shared_ptr<Client> client;
};

using Log = std::vector<std::string>;

TEST_CASE("locally a request is handled and answered before its Send returns") {
  Ends ends(EchoScript());
  CHECK(ends.Send(5));
  CHECK(ends.log.Now() == Log{"client opened", "answer 5"});
  ends.client->session->Cancel();
}

TEST_CASE("a local stream that is half-closed is answered and ended by its server") {
  Ends ends(EchoScript());
  CHECK(ends.Send(1));
  ends.client->session->HalfClose();
  ends.client->session->HalfClose();  // the first counts
  CHECK_FALSE(ends.Send(2));
  ends.client->session->Cancel();
  CHECK(ends.log.Now() == Log{"client opened", "answer 1", "server closed", "client closed 0"});
}

TEST_CASE("a local stream that its server refuses at once ends when both have opened it") {
  StreamScript script;
  script.on_open = [](ServerStream& stream) {
    stream.Finish({grpc::StatusCode::UNAVAILABLE, "loading"});
    stream.Finish(grpc::Status::OK);  // the first counts
  };
  Ends ends(script);
  CHECK_FALSE(ends.Send(1));
  CHECK(ends.log.Now() == Log{"client opened", "server closed", "client closed 14"});
}

TEST_CASE("a local stream that is cancelled from inside a callback ends after it") {
  StreamScript script;
  ClientStream* session = nullptr;
  Collected<std::string>* log = nullptr;
  script.on_message = [&](ServerStream& stream, Request&&) {
    session->Cancel();
    CHECK_FALSE(stream.Send(ResultResponse(1)));
    log->Add("handled");
  };
  Ends ends(script);
  session = ends.client->session.get();
  log = &ends.log;
  CHECK(ends.Send(1));
  CHECK(ends.log.Now() == Log{"client opened", "handled", "server closed", "client closed 1"});
}

TEST_CASE("a local stream closes when the last of many threads has left it, and exactly once") {
  for (int round = 0; round < 50; ++round) {
    Ends ends(EchoScript());
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (uint64_t i = 0; i < 50; ++i) ends.Send(i);
      });
    }
    threads.emplace_back([&] { ends.client->session->Cancel(); });
    for (std::thread& thread : threads) thread.join();
    const Log log = ends.log.Now();
    REQUIRE(log.size() >= 3);
    CHECK(log[log.size() - 2] == "server closed");
    CHECK(log.back() == "client closed 1");
    CHECK(std::ranges::count(log, "server closed") == 1);
  }
}

// A service that answers at once, or never, and knows what was withdrawn.
struct Backend final : FrameBackend<emotion::v1::EmbedResult> {
  uint64_t Submit(emotion::v1::Frame frame, Done done) override {
    if (frame.encoded_image() == "hold") {
      held.Add(std::move(done));
    } else {
      done(Result());
    }
    return frame.frame_id() + 1000;
  }
  void Cancel(uint64_t ticket) override { cancelled.Add(ticket); }
  emotion::v1::Welcome MakeWelcome() override {
    emotion::v1::Welcome welcome;
    welcome.set_protocol(1);
    welcome.set_window_frames(64);
    return welcome;
  }
  emotion::v1::Load MakeLoad() override { return {}; }

  Collected<Done> held;
  Collected<uint64_t> cancelled;
};

// Streams are refused until `ready`.
struct LocalPool {
  explicit LocalPool(bool at_once = true)
      : ready(at_once),
        pool(
            [this] {
              FramePoolOptions options;
              options.in_process = server.host->InProcessChannel();
              return options;
            }(),
            [this] { return NewStream(); }) {}

  std::shared_ptr<ServerSessionHandler<Request, Response>> NewStream() {
    if (ready) return streams.NewStream();
    StreamScript script;
    script.on_open = [](ServerStream& stream) {
      stream.Finish({grpc::StatusCode::UNAVAILABLE, "loading"});
    };
    return std::make_shared<ScriptedHandler>(std::move(script));
  }

  std::atomic<bool> ready;
  Backend backend;
  FrameServer<EmbedHop> streams{backend, 64};
  TestServer server{StreamScript()};  // for the channel, which frames do not use
  Pool pool;
};

TEST_CASE("over a local stream a frame that is known is answered before Submit returns") {
  LocalPool local;
  CHECK(local.pool.State().ready == 1);
  Answers answers;
  local.pool.Submit(MakeFrame(7), answers.Taker());
  const auto results = answers.results.Now();
  REQUIRE(results.size() == 1);
  CHECK(results[0].frame_id() == 7);
  CHECK(results[0].status().code() == 0);
  local.pool.Close();
}

TEST_CASE("a frame that waits for a service of this process to be ready is sent with its Welcome") {
  LocalPool local(/*at_once=*/false);
  CHECK(local.pool.State().ready == 0);
  Answers answers;
  local.pool.Submit(MakeFrame(7), answers.Taker());
  local.ready = true;
  const auto results = answers.results.WaitFor(1);
  REQUIRE(results.size() == 1);
  CHECK(results[0].status().code() == 0);
  CHECK(local.pool.State().ready == 1);
  local.pool.Close();
}

TEST_CASE("over a local stream many threads' frames are answered, each once") {
  LocalPool local;
  Answers answers;
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (uint64_t i = 1; i <= 200; ++i)
        local.pool.Submit(MakeFrame(t * 1000 + i), answers.Taker());
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<uint64_t> ids;
  for (const Result& result : answers.results.Now()) {
    CHECK(result.status().code() == 0);
    ids.insert(result.frame_id());
  }
  CHECK(ids.size() == 800);
  local.pool.Close();
}

TEST_CASE("a pool with a local stream closes it, withdraws what is unanswered, and takes no more") {
  LocalPool local;
  Answers answers;
  emotion::v1::Frame frame = MakeFrame(7);
  frame.set_encoded_image("hold");
  const uint64_t ticket = local.pool.Submit(frame, answers.Taker());
  REQUIRE(local.backend.held.Now().size() == 1);
  local.pool.Cancel(ticket);
  CHECK(local.backend.cancelled.Now().size() == 1);
  local.pool.Close();
  CHECK(local.backend.cancelled.Now().size() == 2);  // by the end of its stream
  REQUIRE(answers.results.Now().size() == 1);
  CHECK(ReasonIn(answers.results.Now()[0]) == Reason::kCancelled);
  local.backend.held.Now()[0](Result());  // too late, and harmless
  CHECK(answers.results.Now().size() == 1);
}

}  // namespace
}  // namespace emotion
