// A real ClassifierServer between a real gRPC client and a fake embedding service.
#include <future>
#include <thread>

#include <catch2/catch.hpp>

#include "classifier_service/server.h"
#include "common/error/error.h"
#include "common/rpc/bidi_session.h"
#include "common/rpc/channel.h"
#include "common/rpc/frame_pool.h"
#include "common/rpc/status.h"
#include "fmt/format.h"
#include "heads/head_bank.h"
#include "tests/fakes/fake_embedding_service.h"
#include "tests/fakes/small_heads.h"

namespace emotion::classifier {
namespace {

constexpr int kDim = 16;
const std::string kModelA(32, 'a');
const std::string kModelB(32, 'b');

heads::Fingerprint FingerprintOf(const std::string& bytes) {
  heads::Fingerprint fingerprint;
  std::copy(bytes.begin(), bytes.end(), fingerprint.begin());
  return fingerprint;
}

// A classifier in front of the given embedding servers, with a stub to it.
class Classifier {
 public:
  explicit Classifier(std::vector<std::string> targets,
                      std::optional<heads::Fingerprint> stated = std::nullopt, int dim = kDim)
      : dim_(dim), heads_(dim, stated), metrics_(BuildInfo{"test", ""}) {
    ClassifierOptions options;
    options.listen = "127.0.0.1:0";
    options.embedding_targets = std::move(targets);
    options.models = {.root = heads_.root(), .demo = false};
    auto server = ClassifierServer::Start(options, metrics_);
    INFO(server.status().ToString());
    REQUIRE(server.ok());
    server_ = *std::move(server);
    channel_ = MakeChannel("127.0.0.1:" + std::to_string(server_->port()));
    stub_ = v1::ClassifierService::NewStub(channel_);
    bank_ = heads::HeadBank::Load(heads_.classifiers()).value();
  }

  grpc::Status Predict(const std::string& image, v1::PredictResult* result,
                       std::chrono::milliseconds timeout = std::chrono::seconds(20)) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + timeout);
    v1::PredictRequest request;
    request.mutable_frame()->set_encoded_image(image);
    v1::PredictResponse response;
    const grpc::Status status = stub_->Predict(&context, request, &response);
    *result = response.result();
    return status;
  }

  // The level that the heads give for what the fake encoder makes of `image`.
  int ExpectedLevel(const std::string& image, size_t state) const {
    const auto vector = DecodeHalf(EncodeHalf(testing::VectorOfBytes(image, dim_)));
    return bank_->Classify(vector)[state].level;
  }

  ClassifierServer& server() { return *server_; }
  v1::ClassifierService::Stub& stub() { return *stub_; }
  std::string target() const { return "127.0.0.1:" + std::to_string(server_->port()); }
  Metrics& metrics() { return metrics_; }

 private:
  const int dim_;
  testing::SmallHeads heads_;
  Metrics metrics_;
  std::unique_ptr<ClassifierServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::ClassifierService::Stub> stub_;
  std::unique_ptr<heads::HeadBank> bank_;
};

void CheckAnswers(const Classifier& classifier, const std::string& image,
                  const v1::PredictResult& result) {
  REQUIRE(result.predictions_size() == static_cast<int>(kStateCount));
  for (size_t state = 0; state < kStateCount; ++state) {
    CHECK(static_cast<int>(result.predictions(static_cast<int>(state)).level()) ==
          classifier.ExpectedLevel(image, state));
  }
}

}  // namespace

TEST_CASE("a frame comes back with what the heads make of its own vector") {
  testing::FakeEmbeddingServer embedding(kDim, kModelA);
  Classifier classifier({embedding.target()});
  for (int i = 0; i < 20; ++i) {
    const std::string image = fmt::format("image {}", i);
    v1::PredictResult result;
    const grpc::Status status = classifier.Predict(image, &result);
    INFO(status.error_message());
    REQUIRE(status.ok());
    CheckAnswers(classifier, image, result);
    CHECK(result.cache() == v1::CACHE_OUTCOME_MISS);
    CHECK(result.next_frame_after_ms() == 2000);
    CHECK(result.quality_usable());
    CHECK(result.model().size() == 12);
  }
  const v1::Frame frame = embedding.service().last_frame();
  CHECK(frame.resize() == v1::RESIZE_HEADS_INPUT);
  CHECK(frame.resize_width() == 112);
  CHECK(frame.detect() == v1::DETECT_OFF);
}

TEST_CASE("hits that large heads have read before are answered with what they said of each") {
  constexpr int kLargeDim = 65536;  // 1.05 million multiply-adds in all
  testing::FakeEmbeddingServer embedding(kLargeDim, kModelA);
  Classifier classifier({embedding.target()}, FingerprintOf(kModelA), kLargeDim);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 5; ++i) {
      const std::string image = fmt::format("cached image {}", i);
      v1::PredictResult result;
      REQUIRE(classifier.Predict(image, &result).ok());
      CheckAnswers(classifier, image, result);
      CHECK(result.cache() == v1::CACHE_OUTCOME_EXACT);
      CHECK(result.quality_usable());
      CHECK(result.model().size() == 12);
    }
    v1::PredictResult result;
    const auto status = FromGrpcStatus(classifier.Predict("wrong-model, cached", &result));
    CHECK(ReasonOf(status) == Reason::kModelMismatch);
  }
}

TEST_CASE("a bad image is the unary call's own status, with its reason") {
  testing::FakeEmbeddingServer embedding(kDim, kModelA);
  Classifier classifier({embedding.target()});
  v1::PredictResult result;
  const absl::Status status = FromGrpcStatus(classifier.Predict("bad image", &result));
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  CHECK(ReasonOf(status) == Reason::kImageCorrupt);
}

TEST_CASE("in a batch a bad image fails alone and the order is kept") {
  testing::FakeEmbeddingServer embedding(kDim, kModelA);
  Classifier classifier({embedding.target()});
  grpc::ClientContext context;
  v1::PredictBatchRequest request;
  for (const char* image : {"one", "bad", "three"}) {
    request.add_frames()->set_encoded_image(image);
  }
  v1::PredictBatchResponse response;
  REQUIRE(classifier.stub().PredictBatch(&context, request, &response).ok());
  REQUIRE(response.results_size() == 3);
  CheckAnswers(classifier, "one", response.results(0));
  CHECK(ReasonOf(FromProtoStatus(response.results(1).status())) == Reason::kImageCorrupt);
  CheckAnswers(classifier, "three", response.results(2));
}

TEST_CASE("a caller that leaves withdraws its frame, and a deadline is kept") {
  testing::FakeEmbeddingServer embedding(kDim, kModelA);
  Classifier classifier({embedding.target()});
  v1::PredictResult result;
  REQUIRE(classifier.Predict("warm", &result).ok());
  const grpc::Status late =
      classifier.Predict("held for ever", &result, std::chrono::milliseconds(200));
  CHECK(late.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);

  grpc::ClientContext context;
  v1::PredictRequest request;
  request.mutable_frame()->set_encoded_image("held until the caller leaves");
  v1::PredictResponse response;
  std::promise<grpc::Status> done;
  classifier.stub().async()->Predict(&context, &request, &response,
                                     [&](grpc::Status status) { done.set_value(status); });
  embedding.service().WaitForHeld(1);
  context.TryCancel();
  CHECK(done.get_future().get().error_code() == grpc::StatusCode::CANCELLED);
  // The withdrawal reaches the embedding service soon after.
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (embedding.service().cancelled() < 1 && std::chrono::steady_clock::now() < patience) {
    std::this_thread::yield();
  }
  CHECK(embedding.service().cancelled() >= 1);
}

TEST_CASE("without a replica frames are refused at once, with when to try again") {
  Classifier classifier({"127.0.0.1:1"});
  v1::PredictResult result;
  const absl::Status status = FromGrpcStatus(classifier.Predict("image", &result));
  CHECK(status.code() == absl::StatusCode::kUnavailable);
  CHECK(ReasonOf(status) == Reason::kNoReplica);
}

TEST_CASE("replicas of another model than the heads state are not used") {
  testing::FakeEmbeddingServer embedding(kDim, kModelB);
  Classifier classifier({embedding.target()}, FingerprintOf(kModelA));
  v1::PredictResult result;
  const absl::Status status = FromGrpcStatus(classifier.Predict("image", &result));
  CHECK(ReasonOf(status) == Reason::kModelMismatch);
  CHECK(embedding.service().submitted() == 0);

  grpc::ClientContext context;
  v1::GetStatusResponse state;
  REQUIRE(classifier.stub().GetStatus(&context, {}, &state).ok());
  CHECK(state.replicas_ready() == 0);
  CHECK(state.replicas_model_mismatch() == 1);
}

TEST_CASE("an embedding of another model than its replica promised is never classified") {
  testing::FakeEmbeddingServer embedding(kDim, kModelA);
  Classifier classifier({embedding.target()});
  v1::PredictResult result;
  const absl::Status status = FromGrpcStatus(classifier.Predict("wrong-model", &result));
  CHECK(ReasonOf(status) == Reason::kModelMismatch);
  CHECK(classifier.metrics().Text().find("kind=\"model_mismatch\"} 1") != std::string::npos);
}

TEST_CASE("Classify takes an embedding that fits and refuses one that does not") {
  testing::FakeEmbeddingServer embedding(kDim, kModelA);
  Classifier classifier({embedding.target()}, FingerprintOf(kModelA));
  v1::ClassifyRequest request;
  request.mutable_embedding()->set_dim(kDim);
  request.mutable_embedding()->set_data(EncodeHalf(testing::VectorOfBytes("x", kDim)));
  request.mutable_embedding()->set_model_fingerprint(kModelA);
  v1::ClassifyResponse response;
  {
    grpc::ClientContext context;
    REQUIRE(classifier.stub().Classify(&context, request, &response).ok());
    CHECK(static_cast<int>(response.predictions(0).level()) == classifier.ExpectedLevel("x", 0));
  }
  request.mutable_embedding()->set_model_fingerprint(kModelB);
  grpc::ClientContext context;
  const grpc::Status refused = classifier.stub().Classify(&context, request, &response);
  CHECK(refused.error_code() == grpc::StatusCode::FAILED_PRECONDITION);
  CHECK(refused.error_message().find("6161") != std::string::npos);
  CHECK(refused.error_message().find("6262") != std::string::npos);
}

TEST_CASE("a session's deletion reaches every replica, and fails while one is away") {
  testing::FakeEmbeddingServer first(kDim, kModelA);
  testing::FakeEmbeddingServer second(kDim, kModelB);  // of another model: told all the same
  Classifier classifier({first.target(), second.target()}, FingerprintOf(kModelA));
  v1::DeleteSessionRequest request;
  request.set_session_key(std::string(16, 's'));
  request.set_deleted_at_us(99);
  v1::DeleteSessionResponse response;
  {
    grpc::ClientContext context;
    REQUIRE(classifier.stub().DeleteSession(&context, request, &response).ok());
  }
  for (auto* server : {&first, &second}) {
    const auto deleted = server->service().deleted();
    REQUIRE(deleted.size() == 1);
    CHECK(deleted[0].session_key() == request.session_key());
    CHECK(deleted[0].deleted_at_us() == 99);
  }
  second.Stop();
  grpc::ClientContext context;
  CHECK(classifier.stub().DeleteSession(&context, request, &response).error_code() ==
        grpc::StatusCode::UNAVAILABLE);
  grpc::ClientContext odd;
  request.set_session_key("short");
  CHECK(classifier.stub().DeleteSession(&odd, request, &response).error_code() ==
        grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_CASE("the model card names encoder and heads") {
  testing::FakeEmbeddingServer embedding(kDim, kModelA);
  Classifier classifier({embedding.target()}, FingerprintOf(kModelA));
  v1::PredictResult result;
  REQUIRE(classifier.Predict("warm", &result).ok());
  grpc::ClientContext context;
  v1::GetModelResponse card;
  const grpc::Status status = classifier.stub().GetModel(&context, {}, &card);
  INFO(status.error_message());
  REQUIRE(status.ok());
  CHECK(card.encoder().name() == "fake");
  CHECK(card.model() == result.model());
  REQUIRE(card.heads_size() == 4);
  CHECK(card.heads(0).verified());
  CHECK(card.heads(3).file() == "mlp_Frustration_best.pth");
  CHECK(card.level_names(3) == "very high");
}

TEST_CASE("a drain answers what was accepted, then the streams end") {
  testing::FakeEmbeddingServer embedding(kDim, kModelA);
  Classifier classifier({embedding.target()});
  FramePoolOptions options;
  options.targets = {classifier.target()};
  FramePool<PredictHop> pool(options);
  std::promise<v1::PredictResult> accepted;
  v1::Frame frame;
  frame.set_encoded_image("held over the drain");
  pool.Submit(frame, [&](v1::PredictResult result) { accepted.set_value(std::move(result)); });
  embedding.service().WaitForHeld(1);

  classifier.server().BeginDrain(std::chrono::milliseconds(100));
  CHECK_FALSE(classifier.server().ready());
  std::jthread stopping([&] {
    classifier.server().Stop(std::chrono::steady_clock::now() + std::chrono::seconds(20));
  });
  embedding.service().ReleaseHeld();
  const v1::PredictResult result = accepted.get_future().get();
  CHECK(result.status().code() == 0);
  CHECK(result.predictions_size() == 4);
}

}  // namespace emotion::classifier
