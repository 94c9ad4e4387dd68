// The classifier services as live sessions need them: ClassifierClient behind LiveBackend, and what
// is known about the model.
#pragma once

#include <functional>
#include <string>

#include "common/rpc/timer_thread.h"
#include "common/sync/mutex.h"
#include "gateway/classifier_client.h"
#include "gateway/live/live_backend.h"

namespace emotion::gateway {

// Safe from any thread.
class LiveClassifier final : public LiveBackend {
 public:
  // Borrows `client`, which must be closed before this object goes.
  explicit LiveClassifier(ClassifierClient& client) : client_(client) {}

  // `changed` is called after the model may have changed. Once, before any session.
  void OnChange(std::function<void()> changed);

  uint64_t Predict(v1::Frame frame, std::function<void(v1::PredictResult)> done) override {
    return client_.Predict(std::move(frame), std::move(done));
  }
  void Cancel(uint64_t ticket) override { client_.Cancel(ticket); }
  LiveState State() override;
  void Forget(const v1::DeleteSessionRequest& request,
              std::function<void(absl::Status)> done) override;

 private:
  void Look();

  ClassifierClient& client_;
  std::function<void()> changed_;
  Mutex mutex_;
  std::string asked_model_ GUARDED_BY(mutex_);  // whose card was asked for last
  std::string known_model_ GUARDED_BY(mutex_);  // whose card is known
  bool known_demo_ GUARDED_BY(mutex_) = false;
  TimerThread timers_;  // last: asks again
};

}  // namespace emotion::gateway
