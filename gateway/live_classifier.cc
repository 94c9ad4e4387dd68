#include "gateway/live_classifier.h"

#include <utility>

namespace emotion::gateway {
namespace {

constexpr std::chrono::milliseconds kModelTimeout{2000};
constexpr std::chrono::milliseconds kForgetTimeout{5000};
// A classifier service has no card before it met an embedding service.
constexpr std::chrono::milliseconds kAskAgainAfter{200};

std::string ModelOf(const PoolState& pool) { return pool.welcome ? pool.welcome->model() : ""; }

}  // namespace

void LiveClassifier::OnChange(std::function<void()> changed) {
  changed_ = std::move(changed);
  client_.OnChange([this] { Look(); });
}

// A stream names the model; whether it is a demo stands in its card only.
void LiveClassifier::Look() {
  const std::string model = ModelOf(client_.State());
  {
    MutexLock lock(mutex_);
    if (model.empty() || model == asked_model_) return;
    asked_model_ = model;
  }
  client_.GetModel(kModelTimeout, [this](const absl::StatusOr<v1::GetModelResponse>& card) {
    {
      MutexLock lock(mutex_);
      if (card.ok()) {
        known_model_ = card->model();
        known_demo_ = card->demo();
      } else {
        asked_model_.clear();
        timers_.At(std::chrono::steady_clock::now() + kAskAgainAfter, [this] { Look(); });
      }
    }
    changed_();
  });
}

LiveState LiveClassifier::State() {
  const PoolState pool = client_.State();
  LiveState state{
      .model = ModelOf(pool), .demo = std::nullopt, .next_frame_after = pool.next_frame_after};
  MutexLock lock(mutex_);
  if (!state.model.empty() && state.model == known_model_) state.demo = known_demo_;
  return state;
}

void LiveClassifier::Forget(const v1::DeleteSessionRequest& request,
                            std::function<void(absl::Status)> done) {
  client_.DeleteSession(
      request, kForgetTimeout,
      [done = std::move(done)](const absl::StatusOr<v1::DeleteSessionResponse>& deleted) {
        done(deleted.status());
      });
}

}  // namespace emotion::gateway
