// An embedding service over real gRPC with a fake encoder, and a client of its streams.
#pragma once

#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

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

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::FakeEncoder;
using testing::FakeEncoderControl;
using testing::MakePng;

inline constexpr seconds kPatience{30};  // far more than anything here takes; then the test fails

inline std::chrono::steady_clock::time_point Soon() {
  return std::chrono::steady_clock::now() + kPatience;
}

inline v1::Frame Frame(uint64_t id, std::string image) {
  v1::Frame frame;
  frame.set_frame_id(id);
  frame.set_encoded_image(std::move(image));
  frame.set_resize(v1::RESIZE_HEADS_INPUT);
  frame.set_orientation(v1::ORIENTATION_APPLY_EXIF);
  frame.set_detect(v1::DETECT_OFF);
  return frame;
}

inline std::string Expected(const std::string& image) {
  static const vision::ImagePreparer preparer{vision::ImagePreparer::Settings{}};
  const auto prepared = preparer.Prepare(image, vision::PrepareOptions{});
  REQUIRE(prepared.ok());
  return EncodeHalf(testing::FakeEmbedding(prepared->patches));
}

inline Reason ReasonIn(const v1::EmbedResult& result) {
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
    devices = options.devices.size();
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
    LoadedModel model{.encoder = std::make_unique<FakeEncoder>(control),
                      .preprocessor = {},
                      .make_fp32 = {},
                      .directory = "/nowhere"};
    for (size_t i = 1; i < devices; ++i) {
      model.on_more_devices.push_back(std::make_unique<FakeEncoder>(control));
    }
    return model;
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
  FakeEncoderControl control;  // of the encoders of all devices
  size_t devices = 1;
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
  // The load told last is like that.
  bool AwaitLoad(const std::function<bool(const v1::Load&)>& like) {
    return log_->Await([&] { return log_->load && like(*log_->load); });
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

}  // namespace emotion::embedding
