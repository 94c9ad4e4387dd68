#include "common/rpc/call_metrics.h"

#include "common/error/error.h"
#include "common/rpc/status.h"

namespace emotion {

void CallMetrics::Count(int code) const {
  metrics_->Request(service_, method_, CodeName(static_cast<absl::StatusCode>(code)),
                    std::chrono::steady_clock::now() - start_);
}

grpc::ServerUnaryReactor* FinishNow(grpc::CallbackServerContext* context,
                                    const CallMetrics& metrics, const absl::Status& status) {
  const grpc::Status mapped = ToGrpcStatus(status);
  metrics(mapped);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(mapped);
  return reactor;
}

}  // namespace emotion
