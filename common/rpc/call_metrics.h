// What services count of their calls: each unary call when it ends, each frame of a stream when it
// is answered, each stream while it is open.
#pragma once

#include <chrono>
#include <memory>
#include <string_view>
#include <utility>

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "absl/status/status.h"
#include "common/observe/metrics.h"
#include "common/rpc/bidi_session.h"
#include "common/rpc/frame_backend.h"

namespace emotion {

// Measures one call from its making to the call of its operator, which counts it. Copyable, so that
// it can live in callbacks. `service` and `method` are constants.
class CallMetrics {
 public:
  CallMetrics(Metrics& metrics, std::string_view service, std::string_view method)
      : metrics_(&metrics),
        service_(service),
        method_(method),
        start_(std::chrono::steady_clock::now()) {}

  void operator()(const grpc::Status& status) const { Count(status.error_code()); }
  void Count(int code) const;  // gRPC's

 private:
  Metrics* metrics_;
  std::string_view service_;
  std::string_view method_;
  std::chrono::steady_clock::time_point start_;
};

// For service methods that need not wait: counts and finishes.
grpc::ServerUnaryReactor* FinishNow(grpc::CallbackServerContext* context,
                                    const CallMetrics& metrics, const absl::Status& status);

// The same handler, counted as an open stream for as long as the session holds it. Borrows
// `metrics`.
template <class Request, class Response>
std::shared_ptr<ServerSessionHandler<Request, Response>> CountedStream(
    std::shared_ptr<ServerSessionHandler<Request, Response>> handler, Metrics& metrics) {
  metrics.AddStreams(1);
  auto* const raw = handler.get();
  return {raw, [handler = std::move(handler),
                &metrics](ServerSessionHandler<Request, Response>*) mutable {
            handler.reset();
            metrics.AddStreams(-1);
          }};
}

// Counts the frames of streams, which are no calls of their own. Borrows `backend` and `metrics`.
template <class Result>
class CountingBackend final : public FrameBackend<Result> {
 public:
  using Done = typename FrameBackend<Result>::Done;

  CountingBackend(FrameBackend<Result>& backend, Metrics& metrics, std::string_view service,
                  std::string_view method)
      : backend_(backend), metrics_(metrics), service_(service), method_(method) {}

  uint64_t Submit(v1::Frame frame, Done done) override {
    return backend_.Submit(std::move(frame), [call = CallMetrics(metrics_, service_, method_),
                                              done = std::move(done)](Result result) {
      call.Count(result.status().code());
      done(std::move(result));
    });
  }
  void Cancel(uint64_t ticket) override { backend_.Cancel(ticket); }
  v1::Welcome MakeWelcome() override { return backend_.MakeWelcome(); }
  v1::Load MakeLoad() override { return backend_.MakeLoad(); }

 private:
  FrameBackend<Result>& backend_;
  Metrics& metrics_;
  const std::string_view service_;
  const std::string_view method_;
};

}  // namespace emotion
