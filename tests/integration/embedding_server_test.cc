// The embedding service over real gRPC: socket and in-process, with a fake encoder.
#include <future>
#include <map>
#include <optional>
#include <random>
#include <stdexcept>
#include <thread>

#include <catch2/catch.hpp>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>

#include "common/error/error.h"
#include "common/numeric/half.h"
#include "common/rpc/bidi_session.h"
#include "common/rpc/status.h"
#include "embedding_service/server.h"
#include "emotion/v1/embedding.grpc.pb.h"
#include "tests/fakes/fake_encoder.h"
#include "tests/fakes/make_png.h"
#include "vision/preprocess/image_preparer.h"

namespace emotion::embedding {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::FakeEncoder;
using testing::FakeEncoderControl;
using testing::MakePng;

constexpr seconds kPatience{30};  // far more than anything here takes; then the test fails

std::chrono::steady_clock::time_point Soon() {
  return std::chrono::steady_clock::now() + kPatience;
}

v1::Frame Frame(uint64_t id, std::string image) {
  v1::Frame frame;
  frame.set_frame_id(id);
  frame.set_encoded_image(std::move(image));
  frame.set_resize(v1::RESIZE_HEADS_INPUT);
  frame.set_orientation(v1::ORIENTATION_APPLY_EXIF);
  frame.set_detect(v1::DETECT_OFF);
  return frame;
}

std::string Expected(const std::string& image) {
  static const vision::ImagePreparer preparer{vision::ImagePreparer::Settings{}};
  const auto prepared = preparer.Prepare(image, vision::PrepareOptions{});
  REQUIRE(prepared.ok());
  return EncodeHalf(testing::FakeEmbedding(prepared->patches));
}

Reason ReasonIn(const v1::EmbedResult& result) {
  return ReasonOf(FromProtoStatus(result.status()));
}

enum class Way { kSocket, kInProcess };
enum class Loading { kDone, kHeld, kFails };

// A server, with its model loaded unless the test says otherwise.
struct Server {
  explicit Server(EmbeddingOptions options = {}, Way way = Way::kSocket,
                  Loading loading = Loading::kDone) {
    if (loading == Loading::kHeld) loader_gate.Close();
    if (loading == Loading::kFails) load_error = absl::NotFoundError("no weights here");
    options.listen = way == Way::kSocket ? "127.0.0.1:0" : "";
    auto started = EmbeddingServer::Start(
        options, {.metrics = metrics,
                  .load = [this] { return Load(); },
                  .loaded = [this](const absl::Status& status) { Loaded(status); }});
    REQUIRE(started.ok());
    server = *std::move(started);
    channel = way == Way::kInProcess
                  ? server->InProcessChannel()
                  : grpc::CreateChannel("127.0.0.1:" + std::to_string(server->port()),
                                        grpc::InsecureChannelCredentials());
    stub = v1::EmbeddingService::NewStub(channel);
    if (loading == Loading::kDone) {
      REQUIRE(AwaitLoaded().ok());
      control.images = 0;
    }
  }
  ~Server() {
    control.gate.Open();
    loader_gate.Open();
    server->Stop(Soon());
  }

  absl::StatusOr<LoadedModel> Load() {
    loader_gate.Pass();
    if (!load_error.ok()) return load_error;
    return LoadedModel{.encoder = std::make_unique<FakeEncoder>(control),
                       .preprocessor = {},
                       .make_fp32 = {},
                       .directory = "/nowhere"};
  }
  void Loaded(const absl::Status& status) {
    const MutexLock lock(mutex);
    loaded = status;
    changed.NotifyAll();
  }
  absl::Status AwaitLoaded() {
    const MutexLock lock(mutex);
    while (!loaded) changed.Wait(mutex);
    return *loaded;
  }

  // The encoder is busy until the gate is opened.
  void Occupy() { control.gate.Close(); }

  grpc::Status Embed(const v1::EmbedRequest& request, v1::EmbedResponse* response,
                     milliseconds timeout = kPatience) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + timeout);
    return stub->Embed(&context, request, response);
  }

  // What health says of `name`: 1 SERVING, 2 NOT_SERVING.
  int Health(const std::string& name) {
    grpc::GenericStub generic(channel);
    std::string request;
    if (!name.empty()) {
      request.push_back('\x0a');  // field 1, a string
      request.push_back(static_cast<char>(name.size()));
      request.append(name);
    }
    const grpc::Slice slice(request);
    const grpc::ByteBuffer out(&slice, 1);
    grpc::ByteBuffer in;
    grpc::ClientContext context;
    std::promise<grpc::Status> done;
    generic.UnaryCall(&context, "/grpc.health.v1.Health/Check", {}, &out, &in,
                      [&](grpc::Status status) { done.set_value(std::move(status)); });
    if (!done.get_future().get().ok()) return -1;
    std::vector<grpc::Slice> slices;
    in.Dump(&slices);
    return slices.empty() || slices[0].size() < 2 ? 0 : slices[0].begin()[1];
  }

  void AwaitNothingHeld() {
    const auto until = Soon();
    while (std::chrono::steady_clock::now() < until) {
      const EmbeddingServer::Held held = server->held();
      if (held.frames == 0 && held.flights == 0) return;
      std::this_thread::sleep_for(milliseconds(1));
    }
    FAIL("frames are still held");
  }

  Metrics metrics{BuildInfo{}};
  FakeEncoderControl control;
  testing::Gate loader_gate;
  absl::Status load_error;
  Mutex mutex;
  CondVar changed;
  std::optional<absl::Status> loaded GUARDED_BY(mutex);
  std::unique_ptr<EmbeddingServer> server;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::EmbeddingService::Stub> stub;
};

// A client of one stream that remembers what it was told.
class Stream {
 public:
  explicit Stream(Server& server, bool hello = true) : log_(std::make_shared<Log>()) {
    v1::EmbeddingService::Stub* stub = server.stub.get();
    session_ = StartClientSession<v1::EmbedStreamRequest, v1::EmbedStreamResponse>(
        [stub](grpc::ClientContext* context, auto* reactor) {
          stub->async()->EmbedStream(context, reactor);
        },
        log_);
    if (!hello) return;
    Hello(1);
    log_->Await([this] { return log_->welcome || log_->closed; });
  }
  ~Stream() {
    session_->Cancel();
    Closed();
  }

  void Hello(uint32_t protocol) {
    v1::EmbedStreamRequest request;
    request.mutable_hello()->set_protocol(protocol);
    session_->Send(std::move(request));
  }
  void Send(v1::Frame frame) {
    v1::EmbedStreamRequest request;
    *request.mutable_frame() = std::move(frame);
    session_->Send(std::move(request));
  }
  void Cancel(uint64_t id) {
    v1::EmbedStreamRequest request;
    request.mutable_cancel()->set_frame_id(id);
    session_->Send(std::move(request));
  }
  void HalfClose() { session_->HalfClose(); }
  void Leave() { session_->Cancel(); }

  // The answer of frame `id`; the test fails when none comes.
  v1::EmbedResult Get(uint64_t id) {
    Require([&] { return log_->results.contains(id); });
    const MutexLock lock(log_->mutex);
    return log_->results.at(id);
  }
  size_t Answers() {
    const MutexLock lock(log_->mutex);
    return log_->results.size();
  }
  bool AwaitDrain() {
    return log_->Await([this] { return log_->drained; });
  }
  std::optional<v1::Welcome> Welcome() {
    const MutexLock lock(log_->mutex);
    return log_->welcome;
  }
  bool AwaitLoad() {
    return log_->Await([this] { return log_->load.has_value(); });
  }
  grpc::Status Closed() {
    Require([this] { return log_->closed.has_value(); });
    const MutexLock lock(log_->mutex);
    return *log_->closed;
  }
  bool AnsweredTwice() {
    const MutexLock lock(log_->mutex);
    return log_->twice;
  }

 private:
  struct Log final : ClientSessionHandler<v1::EmbedStreamRequest, v1::EmbedStreamResponse> {
    void OnMessage(v1::EmbedStreamResponse&& response) override {
      const MutexLock lock(mutex);
      if (response.has_welcome()) welcome = response.welcome();
      if (response.has_drain()) drained = true;
      if (response.has_load()) load = response.load();
      if (response.has_result()) {
        twice |= !results.emplace(response.result().frame_id(), response.result()).second;
      }
      changed.NotifyAll();
    }
    void OnClosed(const grpc::Status& status) override {
      const MutexLock lock(mutex);
      closed = status;
      changed.NotifyAll();
    }
    template <class Condition>
    bool Await(const Condition& condition) {
      const auto until = Soon();
      const MutexLock lock(mutex);
      while (!condition()) {
        if (!changed.WaitUntil(mutex, until)) return condition();
      }
      return true;
    }

    Mutex mutex;
    CondVar changed;
    std::optional<v1::Welcome> welcome;
    std::optional<v1::Load> load;
    bool drained = false;
    bool twice = false;
    std::map<uint64_t, v1::EmbedResult> results;
    std::optional<grpc::Status> closed;
  };

  // Catch's assertions are for one thread; clients run on many.
  template <class Condition>
  void Require(const Condition& condition) {
    if (!log_->Await(condition)) throw std::runtime_error("the server did not answer in time");
  }

  std::shared_ptr<Log> log_;
  std::shared_ptr<ClientSession<v1::EmbedStreamRequest, v1::EmbedStreamResponse>> session_;
};

void ManyStreams(Way way) {
  Server server({.queue_limit = 512}, way);
  constexpr uint32_t kStreams = 8;
  constexpr uint32_t kFrames = 40;
  std::vector<std::string> images;
  std::vector<std::string> expected;
  for (uint32_t i = 0; i < 64; ++i) {
    images.push_back(MakePng(i, 32, 32));
    expected.push_back(Expected(images.back()));
  }
  std::atomic<int> wrong{0};
  std::vector<std::thread> clients;
  for (uint32_t s = 0; s < kStreams; ++s) {
    clients.emplace_back([&, s] {
      Stream stream(server);
      for (uint32_t i = 0; i < kFrames; ++i) stream.Send(Frame(i, images[(s * 7 + i) % 64]));
      stream.HalfClose();
      for (uint32_t i = 0; i < kFrames; ++i) {
        const v1::EmbedResult result = stream.Get(i);
        if (result.status().code() != 0 ||
            result.embedding().data() != expected[(s * 7 + i) % 64]) {
          ++wrong;
        }
      }
      if (!stream.Closed().ok() || stream.AnsweredTwice()) ++wrong;
    });
  }
  for (std::thread& client : clients) client.join();
  CHECK(wrong == 0);
  server.AwaitNothingHeld();
}

TEST_CASE("many streams at once get each the vectors of their own images, over a socket") {
  ManyStreams(Way::kSocket);
}

TEST_CASE("many streams at once get each the vectors of their own images, in process") {
  ManyStreams(Way::kInProcess);
}

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
  CHECK(stream.AwaitLoad());
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

TEST_CASE("after random cancels, disconnects and faults nothing is held any more") {
  Server server({.batch_size = 4, .queue_limit = 64});
  std::vector<std::string> images;
  for (uint32_t i = 0; i < 16; ++i) images.push_back(MakePng(i, 32, 32));
  std::vector<std::string> expected;
  for (const std::string& image : images) expected.push_back(Expected(image));
  std::atomic<int> wrong{0};
  std::vector<std::thread> clients;
  for (unsigned c = 0; c < 4; ++c) {
    clients.emplace_back([&, c] {
      std::minstd_rand random(c + 1);
      for (int round = 0; round < 10; ++round) {
        Stream stream(server);
        for (uint64_t id = 0; id < 30; ++id) {
          v1::Frame frame = Frame(id, images[(id + c) % images.size()]);
          if (random() % 3 == 0) frame.set_cache_mode(v1::CACHE_MODE_NO_STORE);
          if (random() % 5 == 0) frame.set_timeout_ms(1 + random() % 3);
          stream.Send(frame);
          if (random() % 4 == 0) stream.Cancel(random() % 30);
          if (random() % 100 == 0) server.control.failures = 1;
        }
        if (random() % 2 == 0) {
          stream.Leave();
          continue;
        }
        stream.HalfClose();
        if (!stream.Closed().ok() || stream.Answers() != 30 || stream.AnsweredTwice()) ++wrong;
        for (uint64_t id = 0; id < 30; ++id) {
          const v1::EmbedResult result = stream.Get(id);
          if (result.status().code() == 0 &&
              result.embedding().data() != expected[(id + c) % images.size()]) {
            ++wrong;
          }
        }
      }
    });
  }
  for (std::thread& client : clients) client.join();
  CHECK(wrong == 0);
  server.AwaitNothingHeld();
}

}  // namespace
}  // namespace emotion::embedding
