// The embedding service over real gRPC: socket and in-process, with a fake encoder.
#include <future>
#include <thread>

#include <catch2/catch.hpp>

#include "tests/integration/embedding_fixture.h"

namespace emotion::embedding {
namespace {

TEST_CASE("a stream is welcomed with the model, its window and its limits") {
  Server server({.queue_limit = 17, .max_image_bytes = 5000});
  Stream stream(server);
  const auto welcome = stream.Welcome();
  REQUIRE(welcome);
  CHECK(welcome->protocol() == 1);
  CHECK(welcome->model_fingerprint() == std::string(32, '\xfa'));
  CHECK(welcome->dim() == testing::kFakeDim);
  CHECK(welcome->window_frames() == 17);
  CHECK(welcome->max_image_bytes() == 5000);
  CHECK_FALSE(welcome->replica_id().empty());
  CHECK(stream.AwaitLoad([](const v1::Load& load) { return load.window_frames() > 0; }));
}

TEST_CASE("a stream that does not say hello, or another protocol, is ended with the reason") {
  Server server;
  Stream silent(server, /*hello=*/false);
  silent.Send(Frame(1, MakePng(1)));
  CHECK(silent.Closed().error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  Stream future(server, /*hello=*/false);
  future.Hello(2);
  CHECK(future.Closed().error_code() == grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_CASE("bad images and fields fail alone, each with its reason") {
  Server server({.max_image_bytes = 100'000});
  Stream stream(server);
  stream.Send(Frame(1, "GIF89a not an image we take"));
  stream.Send(Frame(2, MakePng(1).substr(0, 200)));
  stream.Send(Frame(3, std::string(100'001, 'x')));
  stream.Send(Frame(4, ""));
  v1::Frame wide = Frame(5, MakePng(1, 640, 16));
  stream.Send(wide);
  v1::Frame field = Frame(6, MakePng(1));
  field.set_face_id(64);
  stream.Send(field);
  v1::Frame detect = Frame(7, MakePng(1));
  detect.set_detect(v1::DETECT_CROP);
  stream.Send(detect);
  v1::Frame id = Frame(uint64_t{1} << 53, MakePng(1));
  stream.Send(id);
  stream.Send(Frame(8, MakePng(8)));

  CHECK(ReasonIn(stream.Get(1)) == Reason::kImageUnsupported);
  CHECK(ReasonIn(stream.Get(2)) == Reason::kImageCorrupt);
  CHECK(ReasonIn(stream.Get(3)) == Reason::kImageTooLarge);
  CHECK(ReasonIn(stream.Get(4)) == Reason::kImageUnsupported);
  CHECK(ReasonIn(stream.Get(5)) == Reason::kImageDimensions);
  const absl::Status violated = FromProtoStatus(stream.Get(6).status());
  CHECK(ReasonOf(violated) == Reason::kFieldInvalid);
  REQUIRE(ViolationsOf(violated).size() == 1);
  CHECK(ViolationsOf(violated)[0].field == "face_id");
  CHECK(ReasonIn(stream.Get(7)) == Reason::kFieldInvalid);
  CHECK(ReasonIn(stream.Get(uint64_t{1} << 53)) == Reason::kFieldInvalid);
  CHECK(stream.Get(8).embedding().data() == Expected(MakePng(8)));
}

TEST_CASE("the same image twice is a miss, then an exact hit with equal numbers") {
  Server server;
  Stream stream(server);
  stream.Send(Frame(1, MakePng(1)));
  const v1::EmbedResult miss = stream.Get(1);
  stream.Send(Frame(2, MakePng(1)));
  const v1::EmbedResult hit = stream.Get(2);
  CHECK(miss.cache() == v1::CACHE_OUTCOME_MISS);
  CHECK(miss.times().decode_us() > 0);
  CHECK(hit.cache() == v1::CACHE_OUTCOME_EXACT);
  CHECK(hit.embedding().data() == miss.embedding().data());
}

TEST_CASE("a cancelled frame is answered CANCELLED and costs no encode; the stream lives") {
  Server server;
  Stream stream(server);
  server.Occupy();
  stream.Send(Frame(1, MakePng(1)));
  server.control.gate.AwaitVisitor();
  stream.Send(Frame(2, MakePng(2)));
  stream.Cancel(2);
  CHECK(ReasonIn(stream.Get(2)) == Reason::kCancelled);
  stream.Cancel(77);  // unknown: ignored
  server.control.gate.Open();
  CHECK(stream.Get(1).status().code() == 0);
  server.AwaitNothingHeld();
  CHECK(server.control.images == 1);
}

TEST_CASE("a frame's own deadline is kept while the encoder is busy") {
  Server server;
  Stream stream(server);
  server.Occupy();
  stream.Send(Frame(1, MakePng(1)));
  server.control.gate.AwaitVisitor();
  v1::Frame hurried = Frame(2, MakePng(2));
  hurried.set_timeout_ms(800);  // long enough not to be refused at the door on a slow machine
  stream.Send(hurried);
  const v1::EmbedResult late = stream.Get(2);
  CHECK(late.status().code() == grpc::StatusCode::DEADLINE_EXCEEDED);
  CHECK(ReasonIn(late) == Reason::kDeadline);
  server.control.gate.Open();
  CHECK(stream.Get(1).status().code() == 0);
}

TEST_CASE("several devices are tested each, then serve one queue at the same time") {
  Server server({.devices = {"first", "second"}, .batch_size = 1});
  CHECK(server.control.batches() == std::vector<size_t>(4, 1));  // two warm encodes of each
  const int tested = server.control.encodes;
  Stream stream(server);
  server.Occupy();
  stream.Send(Frame(1, MakePng(1)));
  stream.Send(Frame(2, MakePng(2)));
  while (server.control.encodes < tested + 2) std::this_thread::yield();  // both are busy
  server.control.gate.Open();
  CHECK(stream.Get(1).embedding().data() == Expected(MakePng(1)));
  CHECK(stream.Get(2).embedding().data() == Expected(MakePng(2)));
}

TEST_CASE("frames over the window are answered at once, for themselves alone") {
  Server server({.queue_limit = 3});
  Stream stream(server);
  server.Occupy();
  stream.Send(Frame(1, MakePng(1)));
  server.control.gate.AwaitVisitor();
  stream.Send(Frame(2, MakePng(2)));
  stream.Send(Frame(3, MakePng(3)));
  stream.Send(Frame(4, MakePng(4)));
  const v1::EmbedResult over = stream.Get(4);
  CHECK(over.status().code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(ReasonIn(over) == Reason::kQueueFull);
  server.control.gate.Open();
  for (uint64_t id : {1U, 2U, 3U}) CHECK(stream.Get(id).status().code() == 0);
}

TEST_CASE("a frame id that is in flight is INVALID_ARGUMENT for the newcomer alone") {
  Server server;
  Stream stream(server);
  server.Occupy();
  stream.Send(Frame(1, MakePng(1)));
  server.control.gate.AwaitVisitor();
  stream.Send(Frame(1, MakePng(2)));
  CHECK(stream.Get(1).status().code() == grpc::StatusCode::INVALID_ARGUMENT);
  server.control.gate.Open();
  stream.HalfClose();
  CHECK(stream.Closed().ok());
  CHECK(stream.AnsweredTwice());  // the first frame got its answer, too
}

TEST_CASE("half-close answers the rest, then ends with OK") {
  Server server;
  Stream stream(server);
  server.Occupy();
  for (uint32_t i = 0; i < 5; ++i) stream.Send(Frame(i, MakePng(i)));
  stream.HalfClose();
  server.control.gate.AwaitVisitor();
  server.control.gate.Open();
  CHECK(stream.Closed().ok());
  for (uint32_t i = 0; i < 5; ++i) CHECK(stream.Get(i).status().code() == 0);
}

TEST_CASE("draining answers what was accepted, refuses the rest and ends in order") {
  Server server;
  Stream stream(server);
  server.Occupy();
  stream.Send(Frame(1, MakePng(1)));
  server.control.gate.AwaitVisitor();
  server.server->BeginDrain(milliseconds(100));
  REQUIRE(stream.AwaitDrain());
  CHECK_FALSE(server.server->ready());
  CHECK(server.Health("emotion.v1.EmbeddingService") == 2);
  stream.Send(Frame(2, MakePng(2)));
  const v1::EmbedResult refused = stream.Get(2);
  CHECK(refused.status().code() == grpc::StatusCode::UNAVAILABLE);
  CHECK(ReasonIn(refused) == Reason::kDraining);
  Stream late(server);
  CHECK(late.AwaitDrain());
  late.HalfClose();
  stream.HalfClose();
  std::thread stopper([&] { server.server->Stop(Soon()); });
  server.control.gate.Open();
  stopper.join();
  CHECK(stream.Get(1).status().code() == 0);
  CHECK(stream.Closed().ok());
}

TEST_CASE("stopping with a client that stays cuts it off at the deadline, everything answered") {
  Server server;
  Stream stream(server);
  stream.Send(Frame(1, MakePng(1)));
  CHECK(stream.Get(1).status().code() == 0);
  server.server->Stop(std::chrono::steady_clock::now() + milliseconds(50));
  CHECK_FALSE(stream.Closed().ok());
}

TEST_CASE("a unary call answers with the embedding, in the type asked for") {
  Server server;
  v1::EmbedRequest request;
  *request.mutable_frame() = Frame(9, MakePng(1));
  v1::EmbedResponse response;
  REQUIRE(server.Embed(request, &response).ok());
  CHECK(response.result().frame_id() == 9);
  CHECK(response.result().embedding().data() == Expected(MakePng(1)));
  request.set_dtype(v1::D_TYPE_F32);
  REQUIRE(server.Embed(request, &response).ok());
  CHECK(response.result().cache() == v1::CACHE_OUTCOME_EXACT);
  CHECK(response.result().embedding().data().size() == testing::kFakeDim * 4);
  request.set_dtype(static_cast<v1::DType>(9));
  CHECK(server.Embed(request, &response).error_code() == grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_CASE("an error of a unary call is the call's own status, with its reason") {
  Server server;
  v1::EmbedRequest request;
  *request.mutable_frame() = Frame(1, "no image");
  v1::EmbedResponse response;
  const grpc::Status status = server.Embed(request, &response);
  CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(ReasonOf(FromGrpcStatus(status)) == Reason::kImageUnsupported);
}

TEST_CASE("a unary caller that leaves withdraws its frame") {
  Server server;
  server.Occupy();
  v1::EmbedRequest busy;
  *busy.mutable_frame() = Frame(1, MakePng(1));
  grpc::Status first_status;
  std::thread first([&] {
    v1::EmbedResponse response;
    first_status = server.Embed(busy, &response);
  });
  server.control.gate.AwaitVisitor();
  v1::EmbedRequest request;
  *request.mutable_frame() = Frame(2, MakePng(2));
  v1::EmbedResponse response;
  CHECK(server.Embed(request, &response, milliseconds(800)).error_code() ==
        grpc::StatusCode::DEADLINE_EXCEEDED);
  server.control.gate.Open();
  first.join();
  CHECK(first_status.ok());
  server.AwaitNothingHeld();
  CHECK(server.control.images == 1);
}

TEST_CASE("a failing encoder answers INTERNAL without telling about itself, and recovers") {
  Server server;
  Stream stream(server);
  server.control.throws = 1;
  stream.Send(Frame(1, MakePng(1)));
  const v1::EmbedResult failed = stream.Get(1);
  CHECK(failed.status().code() == grpc::StatusCode::INTERNAL);
  CHECK(failed.status().message().find("device lost") == std::string::npos);
  stream.Send(Frame(2, MakePng(1)));
  CHECK(stream.Get(2).cache() == v1::CACHE_OUTCOME_MISS);
}

TEST_CASE("the port is open while the model loads: not serving and LOADING, then ready") {
  Server server({}, Way::kSocket, Loading::kHeld);
  v1::EmbedRequest request;
  *request.mutable_frame() = Frame(1, MakePng(1));
  v1::EmbedResponse response;
  CHECK_FALSE(server.server->ready());
  CHECK(server.Health("") == 2);
  CHECK(server.Health("emotion.v1.EmbeddingService") == 2);
  const grpc::Status early = server.Embed(request, &response);
  CHECK(early.error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK(ReasonOf(FromGrpcStatus(early)) == Reason::kLoading);
  Stream refused(server);
  CHECK(ReasonOf(FromGrpcStatus(refused.Closed())) == Reason::kLoading);

  server.loader_gate.Open();
  REQUIRE(server.AwaitLoaded().ok());
  CHECK(server.server->ready());
  CHECK(server.Health("") == 1);
  CHECK(server.Health("emotion.v1.EmbeddingService") == 1);
  CHECK(server.Embed(request, &response).ok());
}

TEST_CASE("a model that cannot be loaded is told to the process and never served") {
  Server server({}, Way::kSocket, Loading::kFails);
  CHECK(server.AwaitLoaded().code() == absl::StatusCode::kNotFound);
  CHECK_FALSE(server.server->ready());
  CHECK(server.Health("") == 2);
}

TEST_CASE("a server can be stopped while its model loads") {
  Server server({}, Way::kSocket, Loading::kHeld);
  server.loader_gate.AwaitVisitor();
  std::thread opener([&] { server.loader_gate.Open(); });
  server.server->Stop(Soon());
  opener.join();
  CHECK_FALSE(server.server->ready());
}

TEST_CASE("an address that is taken ends the start") {
  const Server server;
  EmbeddingOptions options;
  options.listen = "127.0.0.1:" + std::to_string(server.server->port());
  Metrics metrics{BuildInfo{}};
  const auto second = EmbeddingServer::Start(
      options, {.metrics = metrics, .load = [] { return absl::UnknownError(""); }, .loaded = {}});
  CHECK(second.status().code() == absl::StatusCode::kUnavailable);
}

TEST_CASE("the model card says what serves here") {
  Server server({.batch_size = 3});
  grpc::ClientContext context;
  v1::GetEmbeddingModelResponse card;
  REQUIRE(server.stub->GetEmbeddingModel(&context, {}, &card).ok());
  CHECK(card.name() == "fake");
  CHECK(card.dim() == testing::kFakeDim);
  CHECK(card.demo());
  CHECK(card.batch_size() == 3);
  CHECK(card.precision() == v1::PRECISION_F32);
  CHECK_FALSE(card.server_version().empty());
}

TEST_CASE("a deleted session is forgotten, also by frames that were accepted before") {
  Server server;
  const auto remove = [&](const std::string& key, uint64_t at) {
    grpc::ClientContext context;
    v1::DeleteEmbeddingSessionRequest request;
    request.set_session_key(key);
    request.set_deleted_at_us(at);
    v1::DeleteEmbeddingSessionResponse response;
    return server.stub->DeleteEmbeddingSession(&context, request, &response).error_code();
  };
  Stream stream(server);
  uint64_t id = 0;
  const auto ask = [&](uint64_t accepted_at) {
    v1::Frame frame = Frame(++id, MakePng(1));
    frame.set_session_key(std::string(16, 'a'));
    frame.set_accepted_at_us(accepted_at);
    stream.Send(frame);
    return stream.Get(id).cache();
  };
  CHECK(ask(1000) == v1::CACHE_OUTCOME_MISS);
  CHECK(ask(1001) == v1::CACHE_OUTCOME_EXACT);
  CHECK(remove(std::string(16, 'a'), 2000) == grpc::StatusCode::OK);
  CHECK(ask(1500) == v1::CACHE_OUTCOME_MISS);
  CHECK(ask(2001) == v1::CACHE_OUTCOME_MISS);
  CHECK(ask(2002) == v1::CACHE_OUTCOME_EXACT);
  CHECK(remove(std::string(16, 'b'), 0) == grpc::StatusCode::OK);
  CHECK(remove("short", 0) == grpc::StatusCode::INVALID_ARGUMENT);
}

}  // namespace
}  // namespace emotion::embedding
