// Whole embedding services on one real Redis: what they share.
#include <thread>

#include "tests/fakes/eventually.h"
#include "tests/integration/redis_admin.h"
#include "tests/integration/redis_services.h"

namespace emotion::embedding {
namespace {

using testing::Eventually;
using testing::MakePlainPng;
using testing::RedisAdmin;

const std::string kAnna(16, 'a');
const std::string kBert(16, 'b');

v1::EmbedResult Ask(Server& server, const v1::Frame& frame) {
  v1::EmbedRequest request;
  *request.mutable_frame() = frame;
  v1::EmbedResponse response;
  REQUIRE(server.Embed(request, &response).ok());
  return response.result();
}

grpc::Status Delete(Server& server, const std::string& session, uint64_t at = 0) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  v1::DeleteEmbeddingSessionRequest request;
  request.set_session_key(session);
  request.set_deleted_at_us(at);
  v1::DeleteEmbeddingSessionResponse response;
  return server.stub->DeleteEmbeddingSession(&context, request, &response);
}

v1::Frame Session(v1::Frame frame, const std::string& session) {
  frame.set_session_key(session);
  return frame;
}

TEST_CASE("two services on one Redis encode an image once, and answer with equal numbers") {
  RedisAdmin redis;
  Server one(On(redis.server.port()));
  Server two(On(redis.server.port()));
  AwaitUp(one);
  AwaitUp(two);
  const v1::Frame frame = Frame(1, MakePng(1));
  const v1::EmbedResult miss = Ask(one, frame);
  CHECK(miss.cache() == v1::CACHE_OUTCOME_MISS);
  REQUIRE(Eventually([&] { return redis.Keys('x').size() == 1; }));
  const v1::EmbedResult hit = Ask(two, frame);
  CHECK(hit.cache() == v1::CACHE_OUTCOME_EXACT);
  CHECK(hit.embedding().data() == Expected(frame.encoded_image()));
  CHECK(two.control.images == 0);
}

TEST_CASE("a frame that is like one of its session that another service encoded needs no encode") {
  RedisAdmin redis;
  Server one(On(redis.server.port()));
  Server two(On(redis.server.port()));
  AwaitUp(one);
  AwaitUp(two);
  const std::string image = MakePlainPng(120);
  const std::string alike = MakePlainPng(121);
  CHECK(Ask(one, Session(Frame(1, image), kAnna)).cache() == v1::CACHE_OUTCOME_MISS);
  REQUIRE(Eventually([&] { return redis.Keys('n').size() == 1; }));
  // Not of another session, nor without one.
  CHECK(Ask(two, Session(Frame(2, alike), kBert)).cache() == v1::CACHE_OUTCOME_MISS);
  CHECK(Ask(two, Frame(3, MakePlainPng(122))).cache() == v1::CACHE_OUTCOME_MISS);
  const v1::EmbedResult near = Ask(two, Session(Frame(4, MakePlainPng(123)), kAnna));
  CHECK(near.cache() == v1::CACHE_OUTCOME_NEAR);
  CHECK(near.similarity() >= 0.95F);
  CHECK(near.embedding().data() == Expected(image));
  CHECK(two.control.images == 2);

  CHECK(Delete(two, kAnna).ok());
  CHECK(Ask(two, Session(Frame(5, MakePlainPng(124)), kAnna)).cache() == v1::CACHE_OUTCOME_MISS);
}

TEST_CASE("a hundred identical frames at once cost one encode") {
  RedisAdmin redis;
  Server server(On(redis.server.port()));
  AwaitUp(server);
  for (uint32_t round = 1; round <= 5; ++round) {
    Stream stream(server);
    const std::string image = MakePng(round);
    for (uint64_t id = 1; id <= 100; ++id) stream.Send(Frame(id, image));
    for (uint64_t id = 1; id <= 100; ++id) {
      const v1::EmbedResult result = stream.Get(id);
      REQUIRE(result.embedding().data() == Expected(image));
    }
    CHECK(server.control.images == static_cast<int>(round));
  }
}

TEST_CASE("a session deleted at one service is gone for the others, also for frames on their way") {
  RedisAdmin redis;
  Server one(On(redis.server.port()));
  Server two(On(redis.server.port(), 0));
  AwaitUp(one);
  AwaitUp(two);
  Ask(one, Session(Frame(1, MakePng(1)), kAnna));
  REQUIRE(Eventually([&] { return redis.Keys('x').size() == 1; }));

  one.Occupy();  // a frame that was accepted before, and is stored after
  std::thread on_its_way([&] {
    grpc::ClientContext context;
    v1::EmbedRequest request;
    *request.mutable_frame() = Session(Frame(2, MakePng(2)), kAnna);
    v1::EmbedResponse response;
    one.stub->Embed(&context, request, &response);
  });
  one.control.gate.AwaitVisitor();
  CHECK(Delete(two, kAnna).ok());
  one.control.gate.Open();
  on_its_way.join();
  REQUIRE(Eventually([&] {
    return one.metrics.Text().find(R"(emotion_incidents_total{kind="store_after_delete"} 1)") !=
           std::string::npos;
  }));
  CHECK(redis.Keys('x').empty());
  CHECK(Ask(two, Session(Frame(3, MakePng(1)), kAnna)).cache() == v1::CACHE_OUTCOME_MISS);
}

TEST_CASE("a deletion that Redis does not hear of is UNAVAILABLE, and while the model loads too") {
  const bool loading = GENERATE(false, true);
  RedisAdmin redis;
  Server server(On(redis.server.port()), Way::kSocket, loading ? Loading::kHeld : Loading::kDone);
  REQUIRE(Eventually([&] { return Delete(server, kAnna).ok(); }));
  redis.server.Kill();
  CHECK(Delete(server, kAnna).error_code() == grpc::StatusCode::UNAVAILABLE);
  redis.server.Start();
  // Told again by itself.
  CHECK(Eventually([&] { return redis.Keys('d').size() == 1; }));
  CHECK(Delete(server, kAnna).ok());
}

// What a server says of its cache to the first who asks once it is ready.
v1::SharedCache FirstState(Server& server) {
  Stream stream(server);
  v1::SharedCache first = v1::SHARED_CACHE_UNSPECIFIED;
  CHECK(stream.AwaitLoad([&](const v1::Load& load) {
    first = load.shared_cache();
    return true;
  }));
  return first;
}

TEST_CASE("a server that is ready knows whether its Redis is there") {
  RedisAdmin redis;
  EmbeddingOptions options = On(redis.server.port());
  SECTION("one that takes its time to answer") {
    options.redis->connect_limit = kPatience;
    options.redis->limit = kPatience;
    redis.server.Pause();
    std::jthread resume([&] {
      std::this_thread::sleep_for(milliseconds(300));
      redis.server.Resume();
    });
    Server server(options);
    CHECK(FirstState(server) == v1::SHARED_CACHE_UP);
  }
  SECTION("one that does not answer: it is not waited for longer than connecting may take") {
    options.redis->connect_limit = milliseconds(50);
    redis.server.Pause();
    {
      Server server(options);
      CHECK(FirstState(server) == v1::SHARED_CACHE_DOWN);
    }
    redis.server.Resume();
  }
  SECTION("one that is not there") {
    redis.server.Kill();
    Server server(options);
    CHECK(FirstState(server) == v1::SHARED_CACHE_DOWN);
    redis.server.Start();
  }
}

TEST_CASE("streams are told whether the shared cache is there") {
  RedisAdmin redis;
  Server alone;
  Server server(On(redis.server.port()));
  Stream stream(server);
  Stream other(alone);
  const auto is = [](v1::SharedCache state) {
    return [state](const v1::Load& load) { return load.shared_cache() == state; };
  };
  CHECK(other.AwaitLoad(is(v1::SHARED_CACHE_OFF)));
  CHECK(stream.AwaitLoad(is(v1::SHARED_CACHE_UP)));
  redis.server.Kill();
  CHECK(stream.AwaitLoad(is(v1::SHARED_CACHE_DOWN)));
  redis.server.Start();
  CHECK(stream.AwaitLoad(is(v1::SHARED_CACHE_UP)));
}

}  // namespace
}  // namespace emotion::embedding
