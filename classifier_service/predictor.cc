#include "classifier_service/predictor.h"

#include <utility>

#include "classifier_service/prediction.h"
#include "common/error/error.h"
#include "common/log/log.h"
#include "common/observe/trace.h"
#include "common/rpc/status.h"
#include "fmt/format.h"

namespace emotion::classifier {
namespace {

using std::chrono::duration_cast;
using std::chrono::microseconds;

// Multiply-adds of heads that are run on threads of I/O: 0.1 ms. Four of 3584-512-256-4 have 7.9
// million, and take 1.7 ms.
constexpr size_t kSmallHeads = 1'000'000;

// A megabyte.
constexpr size_t kRemembered = 4096;

bool IsHit(const v1::EmbedResult& result) {
  return result.cache() == v1::CACHE_OUTCOME_EXACT || result.cache() == v1::CACHE_OUTCOME_NEAR;
}

// Everything about the frame that the embedding service already knows.
v1::PredictResult CarryOver(v1::EmbedResult& result) {
  v1::PredictResult carried;
  carried.set_frame_id(result.frame_id());
  *carried.mutable_status() = std::move(*result.mutable_status());
  carried.set_cache(result.cache());
  if (result.has_similarity()) carried.set_similarity(result.similarity());
  *carried.mutable_quality_warnings() = std::move(*result.mutable_quality_warnings());
  *carried.mutable_times() = result.times();
  carried.set_next_frame_after_ms(result.next_frame_after_ms());
  if (result.has_face()) *carried.mutable_face() = result.face();
  return carried;
}

// The embedding came, and yet there is no answer.
v1::PredictResult Failed(const v1::EmbedResult& embedded, const absl::Status& status) {
  v1::PredictResult result;
  result.set_frame_id(embedded.frame_id());
  result.set_next_frame_after_ms(embedded.next_frame_after_ms());
  ToProtoStatus(status, result.mutable_status());
  return result;
}

}  // namespace

void CompleteFrame(v1::Frame& frame, const heads::HeadInfo& head,
                   std::chrono::milliseconds default_timeout,
                   std::chrono::system_clock::time_point now) {
  if (frame.resize() == v1::RESIZE_UNSPECIFIED) frame.set_resize(v1::RESIZE_HEADS_INPUT);
  if (frame.resize_width() == 0) frame.set_resize_width(head.input_width);
  if (frame.resize_height() == 0) frame.set_resize_height(head.input_height);
  if (frame.orientation() == v1::ORIENTATION_UNSPECIFIED) {
    frame.set_orientation(v1::ORIENTATION_APPLY_EXIF);
  }
  if (frame.detect() == v1::DETECT_UNSPECIFIED) frame.set_detect(v1::DETECT_OFF);
  if (frame.timeout_ms() == 0) frame.set_timeout_ms(static_cast<uint32_t>(default_timeout.count()));
  if (frame.accepted_at_us() == 0) {
    frame.set_accepted_at_us(
        static_cast<uint64_t>(duration_cast<microseconds>(now.time_since_epoch()).count()));
  }
  if (frame.request_id().empty()) frame.set_request_id(MakeRequestId());
}

Predictor::Predictor(Options options, const heads::HeadBank& bank, const ModelBinding& binding,
                     EmbeddingClient& embeddings, Metrics& metrics)
    : options_(std::move(options)),
      bank_(bank),
      binding_(binding),
      embeddings_(embeddings),
      metrics_(metrics),
      small_heads_(bank_.multiply_adds() <= kSmallHeads),
      memory_(kRemembered),
      workers_(options_.worker_threads, options_.queue_capacity) {}

uint64_t Predictor::Submit(v1::Frame frame, Done done) {
  CompleteFrame(frame, bank_.infos().front(), options_.default_timeout,
                std::chrono::system_clock::now());
  return embeddings_.Submit(std::move(frame),
                            [this, done = std::move(done)](v1::EmbedResult result) {
                              Embedded(std::move(result), done);
                            });
}

void Predictor::Embedded(v1::EmbedResult result, const Done& done) {
  if (result.status().code() != 0) {
    done(CarryOver(result));
    return;
  }
  if (IsHit(result) && AnswerAtOnce(result, done)) return;
  auto shared = std::make_shared<v1::EmbedResult>(std::move(result));
  if (!workers_.Submit([this, shared, done] { Classified(std::move(*shared), done); })) {
    done(Failed(*shared, Error(Reason::kQueueFull, "the heads cannot keep up")));
  }
}

// False: it would take too long here, and `result` is as it was.
bool Predictor::AnswerAtOnce(v1::EmbedResult& result, const Done& done) {
  if (small_heads_) {
    Classified(std::move(result), done);
    return true;
  }
  const auto start = std::chrono::steady_clock::now();
  if (const absl::Status fits = CheckEmbedding(result.embedding()); !fits.ok()) {
    done(Failed(result, fits));
    return true;
  }
  const auto known = memory_.Find(AnswerMemory::KeyOf(result.embedding()), start);
  if (known) Answer(result, *known, start, done);
  return known.has_value();
}

void Predictor::Classified(v1::EmbedResult result, const Done& done) {
  const auto start = std::chrono::steady_clock::now();
  const auto predictions = ReadBy(result.embedding());
  if (!predictions.ok()) {
    done(Failed(result, predictions.status()));
    return;
  }
  Answer(result, *predictions, start, done);
}

absl::StatusOr<heads::HeadPredictions> Predictor::ReadBy(const v1::Embedding& embedding) {
  if (absl::Status fits = CheckEmbedding(embedding); !fits.ok()) return fits;
  const auto values = EmbeddingValues(embedding, bank_.input_dim());
  if (!values.ok()) {
    LogError("the heads refused an embedding", {{"error", values.status().ToString()}});
    return Error(Reason::kInternal, values.status().ToString());
  }
  const heads::HeadPredictions predictions = bank_.Classify(*values);
  if (!small_heads_) {
    memory_.Remember(AnswerMemory::KeyOf(embedding), predictions, std::chrono::steady_clock::now());
  }
  return predictions;
}

void Predictor::Answer(v1::EmbedResult& result, const heads::HeadPredictions& predictions,
                       std::chrono::steady_clock::time_point start, const Done& done) {
  v1::PredictResult answer = CarryOver(result);
  for (v1::StatePrediction& prediction : StateMessages(predictions)) {
    *answer.add_predictions() = std::move(prediction);
  }
  answer.set_quality_usable(QualityUsable(answer.quality_warnings()));
  answer.set_model(binding_.model());
  answer.set_demo(bank_.demo());
  const auto spent = std::chrono::steady_clock::now() - start;
  answer.mutable_times()->set_classify_us(
      static_cast<uint32_t>(duration_cast<microseconds>(spent).count()));
  metrics_.StageTime(Stage::kClassify, spent);
  Count(answer);
  done(std::move(answer));
}

// Replicas are judged when they say hello; one that changed its model since is caught here.
absl::Status Predictor::CheckEmbedding(const v1::Embedding& embedding) const {
  if (embedding.dim() == static_cast<uint32_t>(bank_.input_dim()) &&
      FingerprintFrom(embedding.model_fingerprint()) == binding_.bound()) {
    return absl::OkStatus();
  }
  metrics_.Incident(IncidentKind::kModelMismatch);
  return Error(Reason::kModelMismatch, "the embedding is of another model than the heads");
}

void Predictor::Count(const v1::PredictResult& result) {
  for (const v1::StatePrediction& prediction : result.predictions()) {
    metrics_.Prediction(static_cast<State>(prediction.state() - 1),
                        static_cast<int>(prediction.level()));
  }
}

void Predictor::Classify(v1::Embedding embedding, const ClassifyDone& done) {
  auto task = [this, embedding = std::move(embedding), done] {
    const auto bound = binding_.bound();
    const auto fingerprint = FingerprintFrom(embedding.model_fingerprint());
    const int dim = bank_.input_dim();
    if (embedding.dim() != static_cast<uint32_t>(dim) ||
        (bound && fingerprint && fingerprint != bound)) {
      done(absl::FailedPreconditionError(
          fmt::format("the heads take {} values of the encoder {}; was {} values of {}", dim,
                      bound ? Hex(*bound) : "(any)", embedding.dim(),
                      fingerprint ? Hex(*fingerprint) : "(not stated)")));
      return;
    }
    const auto values = EmbeddingValues(embedding, dim);
    if (!values.ok()) {
      done(values.status());
      return;
    }
    v1::ClassifyResponse response;
    for (v1::StatePrediction& prediction : StateMessages(bank_.Classify(*values))) {
      *response.add_predictions() = std::move(prediction);
    }
    response.set_model(binding_.model());
    done(std::move(response));
  };
  if (!workers_.Submit(std::move(task))) {
    done(Error(Reason::kQueueFull, "the heads cannot keep up"));
  }
}

v1::Welcome Predictor::MakeWelcome() {
  v1::Welcome welcome;
  welcome.set_protocol(1);
  if (const auto bound = binding_.bound()) {
    welcome.set_model_fingerprint(bound->data(), bound->size());
  }
  welcome.set_dim(static_cast<uint32_t>(bank_.input_dim()));
  welcome.set_window_frames(static_cast<uint32_t>(options_.window_frames));
  welcome.set_replica_id(options_.replica_id);
  welcome.set_max_image_bytes(static_cast<uint32_t>(options_.max_image_bytes));
  welcome.set_model(binding_.model());
  return welcome;
}

v1::Load Predictor::MakeLoad() {
  const PoolState state = embeddings_.State();
  v1::Load load;
  load.set_queue_wait_ms(static_cast<uint32_t>(state.queue_wait.count()));
  load.set_next_frame_after_ms(static_cast<uint32_t>(state.next_frame_after.count()));
  load.set_window_frames(static_cast<uint32_t>(options_.window_frames));
  load.set_shared_cache(state.shared_cache);
  return load;
}

}  // namespace emotion::classifier
