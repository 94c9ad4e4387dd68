// What happens to one frame in the classifier service: what the sender left open is filled in, the
// embedding service encodes it, the heads read the embedding.
//
//   Submit ──▶ EmbeddingClient ── out of the cache ──▶ small heads, or their memory ──▶ done
//                    └─ encoded, or not remembered ──▶ worker: heads ──▶ done
//
// A hit is answered on the thread that brings it, where that is quick: waking another one would
// take longer. What was encoded comes from the encoder's thread, which has better to do, and goes
// to a small pool of this class.
// Thread-safe. Borrows its parts, which must outlive it.
#pragma once

#include <chrono>
#include <memory>

#include "classifier_service/answer_memory.h"
#include "classifier_service/embedding_client.h"
#include "classifier_service/model_binding.h"
#include "common/observe/metrics.h"
#include "common/rpc/frame_backend.h"
#include "common/sync/worker_pool.h"
#include "emotion/v1/classifier.pb.h"
#include "heads/head_bank.h"

namespace emotion::classifier {

// Fills in what classifier_service never forwards unspecified: resize to the heads' input size,
// EXIF orientation applied, detection off, and for direct callers who left them out the time of
// acceptance (`now`), the timeout and a request id.
void CompleteFrame(v1::Frame& frame, const heads::HeadInfo& head,
                   std::chrono::milliseconds default_timeout,
                   std::chrono::system_clock::time_point now);

class Predictor final : public FrameBackend<v1::PredictResult> {
 public:
  struct Options {
    std::chrono::milliseconds default_timeout;
    size_t window_frames;    // of one stream, for Welcome
    size_t max_image_bytes;  // for Welcome
    size_t worker_threads;
    size_t queue_capacity = 4096;  // embeddings that wait for the heads
    std::string replica_id;
  };

  Predictor(Options options, const heads::HeadBank& bank, const ModelBinding& binding,
            EmbeddingClient& embeddings, Metrics& metrics);

  uint64_t Submit(v1::Frame frame, Done done) override;
  void Cancel(uint64_t ticket) override { embeddings_.Cancel(ticket); }
  v1::Welcome MakeWelcome() override;
  v1::Load MakeLoad() override;

  // Runs the heads on an embedding that the caller brought. FAILED_PRECONDITION (both named) when
  // they were not trained for its dim or fingerprint. `done` is called once, on a worker, or at
  // once when the workers are overloaded (QUEUE_FULL).
  using ClassifyDone = std::function<void(absl::StatusOr<v1::ClassifyResponse>)>;
  void Classify(v1::Embedding embedding, const ClassifyDone& done);

 private:
  void Embedded(v1::EmbedResult result, const Done& done);
  bool AnswerAtOnce(v1::EmbedResult& result, const Done& done);
  void Classified(v1::EmbedResult result, const Done& done);
  absl::StatusOr<heads::HeadPredictions> ReadBy(const v1::Embedding& embedding);
  void Answer(v1::EmbedResult& result, const heads::HeadPredictions& predictions,
              std::chrono::steady_clock::time_point start, const Done& done);
  absl::Status CheckEmbedding(const v1::Embedding& embedding) const;
  void Count(const v1::PredictResult& result);

  const Options options_;
  const heads::HeadBank& bank_;
  const ModelBinding& binding_;
  EmbeddingClient& embeddings_;
  Metrics& metrics_;
  const bool small_heads_;  // read at once, and not worth remembering
  AnswerMemory memory_;
  WorkerPool workers_;  // last: its tasks use all of the above
};

}  // namespace emotion::classifier
