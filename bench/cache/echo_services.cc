#include "bench/cache/echo_services.h"

#include <utility>

#include "common/affect/affect.h"
#include "common/rpc/bidi_session.h"

namespace emotion::bench {
namespace {

constexpr uint32_t kWindow = 256;
constexpr size_t kFingerprintBytes = 32;

v1::Welcome WelcomeOf(const char* replica) {
  v1::Welcome welcome;
  welcome.set_protocol(1);
  welcome.set_model_fingerprint(std::string(kFingerprintBytes, 'e'));
  welcome.set_window_frames(kWindow);
  welcome.set_replica_id(replica);
  welcome.set_max_image_bytes(4U << 20U);
  return welcome;
}

v1::EmbedResult EmbedAnswer(uint32_t dim) {
  v1::EmbedResult result;
  v1::Embedding& embedding = *result.mutable_embedding();
  embedding.set_data(std::string(size_t{dim} * 2, '\0'));
  embedding.set_dtype(v1::D_TYPE_F16);
  embedding.set_dim(dim);
  embedding.set_model_fingerprint(std::string(kFingerprintBytes, 'e'));
  result.set_cache(v1::CACHE_OUTCOME_EXACT);
  return result;
}

v1::PredictResult PredictAnswer() {
  v1::PredictResult result;
  result.set_cache(v1::CACHE_OUTCOME_EXACT);
  result.set_quality_usable(true);
  result.set_model("echo");
  for (size_t state = 1; state <= kStateCount; ++state) {
    v1::StatePrediction& prediction = *result.add_predictions();
    prediction.set_state(static_cast<v1::AffectiveState>(state));
    prediction.set_level(1);
    prediction.set_confidence(0.4F);
    for (const float p : {0.1F, 0.4F, 0.3F, 0.2F}) prediction.add_probabilities(p);
    prediction.set_expected_level(1.6F);
  }
  return result;
}

}  // namespace

EchoEmbedding::EchoEmbedding(uint32_t dim) : answer_(EmbedAnswer(dim)), streams_(*this, kWindow) {}

grpc::ServerBidiReactor<v1::EmbedStreamRequest, v1::EmbedStreamResponse>*
EchoEmbedding::EmbedStream(grpc::CallbackServerContext* context) {
  return StartServerSession<v1::EmbedStreamRequest, v1::EmbedStreamResponse>(context,
                                                                             streams_.NewStream());
}

uint64_t EchoEmbedding::Submit(v1::Frame /*frame*/, Done done) {
  done(answer_);
  return 1;
}

v1::Welcome EchoEmbedding::MakeWelcome() {
  v1::Welcome welcome = WelcomeOf("echo embedding");
  welcome.set_dim(answer_.embedding().dim());
  return welcome;
}

EchoClassifier::EchoClassifier(FramePoolOptions embedding, LocalStreamMaker<EmbedHop> local)
    : answer_(PredictAnswer()),
      streams_(*this, kWindow),
      pool_(std::move(embedding), std::move(local)) {}

grpc::ServerBidiReactor<v1::PredictStreamRequest, v1::PredictStreamResponse>*
EchoClassifier::PredictStream(grpc::CallbackServerContext* context) {
  return StartServerSession<v1::PredictStreamRequest, v1::PredictStreamResponse>(
      context, streams_.NewStream());
}

uint64_t EchoClassifier::Submit(v1::Frame frame, Done done) {
  return pool_.Submit(std::move(frame), [this, done = std::move(done)](v1::EmbedResult result) {
    v1::PredictResult answer = answer_;
    *answer.mutable_status() = std::move(*result.mutable_status());
    done(std::move(answer));
  });
}

v1::Welcome EchoClassifier::MakeWelcome() { return WelcomeOf("echo classifier"); }

}  // namespace emotion::bench
