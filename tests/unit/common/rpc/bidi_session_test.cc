#include "common/rpc/bidi_session.h"

#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/unit/common/rpc/echo_service.h"

namespace emotion {
namespace {

using namespace testing;  // NOLINT: the vocabulary of these tests

std::shared_ptr<grpc::Channel> ChannelTo(TestServer& server, bool in_process) {
  return in_process ? server.host->InProcessChannel() : MakeChannel(server.address());
}

void Stop(TestServer& server) {
  server.host->Shutdown(std::chrono::steady_clock::now() + kPatience);
}

}  // namespace

TEST_CASE("2000 messages come back in order, over TCP and in process, then OK") {
  for (const bool in_process : {false, true}) {
    TestServer server(EchoScript());
    auto handler = std::make_shared<CollectingHandler>();
    auto stream = OpenStream(ChannelTo(server, in_process), handler);
    for (uint64_t id = 0; id < 2000; ++id) REQUIRE(stream->Send(FrameRequest(id, 500)));
    stream->HalfClose();
    CHECK_FALSE(stream->Send(FrameRequest(1)));

    REQUIRE(handler->closed.WaitFor(1).size() == 1);
    CHECK(handler->closed.Now()[0].ok());
    std::vector<uint64_t> expected(2000);
    std::iota(expected.begin(), expected.end(), 0);
    CHECK(handler->ids.Now() == expected);
    CHECK_FALSE(stream->Send(FrameRequest(1)));
    Stop(server);
  }
}

TEST_CASE("many threads may send on one session at once") {
  TestServer server(EchoScript());
  auto handler = std::make_shared<CollectingHandler>();
  auto stream = OpenStream(server.host->InProcessChannel(), handler);
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (uint64_t i = 0; i < 250; ++i) stream->Send(FrameRequest(t * 250 + i));
    });
  }
  for (std::thread& thread : threads) thread.join();
  stream->HalfClose();
  REQUIRE(handler->closed.WaitFor(1).size() == 1);
  CHECK(handler->ids.Now().size() == 1000);
  Stop(server);
}

TEST_CASE("Finish from the server comes after the responses before it") {
  StreamScript script;
  script.on_open = [](ServerStream& stream) {
    for (uint64_t id = 1; id <= 3; ++id) {
      Response response;
      response.mutable_result()->set_frame_id(id);
      stream.Send(std::move(response));
    }
    stream.Finish({grpc::StatusCode::UNAVAILABLE, "loading"});
    stream.Finish(grpc::Status::OK);  // the first counts
  };
  TestServer server(script);
  auto handler = std::make_shared<CollectingHandler>();
  auto stream = OpenStream(MakeChannel(server.address()), handler);
  REQUIRE(handler->closed.WaitFor(1).size() == 1);
  CHECK(handler->closed.Now()[0].error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK(handler->closed.Now()[0].error_message() == "loading");
  CHECK(handler->ids.Now() == std::vector<uint64_t>{1, 2, 3});
  Stop(server);
}

TEST_CASE("a client that cancels closes the server's stream exactly once") {
  for (const bool in_process : {false, true}) {
    Collected<int> closed;
    Collected<int> messages;
    StreamScript script = EchoScript();
    script.on_closed = [&] { closed.Add(1); };
    TestServer server(script);
    auto handler = std::make_shared<CollectingHandler>();
    auto stream = OpenStream(ChannelTo(server, in_process), handler);
    stream->Send(FrameRequest(1));
    REQUIRE(handler->ids.WaitFor(1).size() == 1);
    stream->Cancel();
    REQUIRE(handler->closed.WaitFor(1).size() == 1);
    CHECK(handler->closed.Now()[0].error_code() == grpc::StatusCode::CANCELLED);
    CHECK(closed.WaitFor(1).size() == 1);
    Stop(server);
    CHECK(closed.Now().size() == 1);
    CHECK(handler->closed.Now().size() == 1);
    stream->Cancel();  // harmless afterwards
  }
}

TEST_CASE("a session that outlives its stream refuses quietly") {
  Collected<std::shared_ptr<ServerStream>> sessions;
  Collected<int> closed;
  class Handler final : public ServerSessionHandler<Request, Response> {
   public:
    Handler(Collected<std::shared_ptr<ServerStream>>& sessions, Collected<int>& closed)
        : sessions_(sessions), closed_(closed) {}
    void OnOpen(std::shared_ptr<ServerStream> session) override { sessions_.Add(session); }
    void OnMessage(Request&&) override {}
    void OnHalfClose() override {}
    void OnClosed() override { closed_.Add(1); }

   private:
    Collected<std::shared_ptr<ServerStream>>& sessions_;
    Collected<int>& closed_;
  };
  class Service final : public emotion::v1::EmbeddingService::CallbackService {
   public:
    std::function<std::shared_ptr<Handler>()> make;
    grpc::ServerBidiReactor<Request, Response>* EmbedStream(
        grpc::CallbackServerContext* context) override {
      return StartServerSession<Request, Response>(context, make());
    }
  } service;
  service.make = [&] { return std::make_shared<Handler>(sessions, closed); };
  ServerHost::Options options;
  options.services = {&service};
  auto host = ServerHost::Start(options);
  REQUIRE(host.ok());
  auto handler = std::make_shared<CollectingHandler>();
  auto stream = OpenStream((*host)->InProcessChannel(), handler);
  const auto session = sessions.WaitFor(1).at(0);
  stream->Cancel();
  REQUIRE(closed.WaitFor(1).size() == 1);
  CHECK_FALSE(session->Send(Response()));
  session->Finish(grpc::Status::OK);
  (*host)->Shutdown(std::chrono::steady_clock::now());
}

TEST_CASE("a peer that takes no answers is not read from, and is cut off in the end") {
  std::atomic<int> taken = 0;
  Collected<int> closed;
  StreamScript script;
  script.limits = {.hold_reads_above = 2, .slow_peer_timeout = std::chrono::milliseconds(300)};
  script.on_message = [&](ServerStream& stream, Request&&) {
    ++taken;
    Response response;
    response.mutable_result()->mutable_embedding()->set_data(std::string(1 << 20, 'x'));
    stream.Send(std::move(response));
  };
  script.on_closed = [&] { closed.Add(1); };
  TestServer server(script);

  // A raw reactor that never reads: HTTP/2's flow control stops the server's writes.
  class DeafClient final : public grpc::ClientBidiReactor<Request, Response> {
   public:
    grpc::ClientContext context;
    Request request = FrameRequest(1);
    int left = 500;
    Collected<grpc::StatusCode> done;
    void OnWriteDone(bool ok) override {
      if (ok && --left > 0) StartWrite(&request);
    }
    void OnDone(const grpc::Status& status) override { done.Add(status.error_code()); }
  } client;
  auto stub = emotion::v1::EmbeddingService::NewStub(MakeChannel(server.address()));
  stub->async()->EmbedStream(&client.context, &client);
  client.StartWrite(&client.request);
  client.StartCall();

  REQUIRE(closed.WaitFor(1).size() == 1);
  CHECK(taken.load() < 100);
  client.context.TryCancel();  // unread messages would keep its OnDone away
  REQUIRE(client.done.WaitFor(1).size() == 1);
  CHECK(client.done.Now()[0] != grpc::StatusCode::OK);
  Stop(server);
}

TEST_CASE("the server is gone: the client hears of it and its session refuses") {
  auto server = std::make_unique<TestServer>(EchoScript());
  auto handler = std::make_shared<CollectingHandler>();
  auto stream = OpenStream(MakeChannel(server->address()), handler);
  stream->Send(FrameRequest(1));
  REQUIRE(handler->ids.WaitFor(1).size() == 1);
  server->host->Shutdown(std::chrono::steady_clock::now());
  REQUIRE(handler->closed.WaitFor(1).size() == 1);
  CHECK_FALSE(handler->closed.Now()[0].ok());
  CHECK_FALSE(stream->Send(FrameRequest(2)));
}

TEST_CASE("streams opened and cancelled in every state leave nothing behind") {
  std::atomic<int> opened = 0;
  std::atomic<int> closed = 0;
  StreamScript script = EchoScript();
  script.on_open = [&](ServerStream&) { ++opened; };
  script.on_closed = [&] { ++closed; };
  TestServer server(script);
  const auto channel = MakeChannel(server.address());
  std::vector<std::shared_ptr<CollectingHandler>> handlers;
  for (int i = 0; i < 200; ++i) {
    handlers.push_back(std::make_shared<CollectingHandler>());
    auto stream = OpenStream(channel, handlers.back());
    for (int k = 0; k < i % 5; ++k) stream->Send(FrameRequest(k, 1000));
    if (i % 3 == 0) stream->HalfClose();
    if (i % 7 == 0) handlers.back()->ids.WaitFor(i % 5);
    stream->Cancel();
  }
  for (const auto& handler : handlers) REQUIRE(handler->closed.WaitFor(1).size() == 1);
  Stop(server);
  CHECK(opened.load() == closed.load());
}

}  // namespace emotion
