// The same unary call to several channels at once, all answers together.
//
// Each call has a deadline of its own; Close() cancels what is under way and waits for it, since an
// in-process channel must not be used after its server shut down.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include "absl/status/statusor.h"
#include "common/rpc/status.h"
#include "common/sync/mutex.h"

namespace emotion::classifier {

class UnaryFanOut {
 public:
  UnaryFanOut() = default;
  ~UnaryFanOut() { Close(); }
  UnaryFanOut(const UnaryFanOut&) = delete;
  UnaryFanOut& operator=(const UnaryFanOut&) = delete;

  template <class Response>
  using Done = std::function<void(std::vector<absl::StatusOr<Response>>)>;

  // `start(channel, context, request, response, callback)` begins one call, as a stub's async
  // method does. `done` is called exactly once, on a gRPC thread or, without channels or after
  // Close, at once.
  template <class Request, class Response, class Start>
  void Call(const std::vector<std::shared_ptr<grpc::Channel>>& channels, const Request& request,
            std::chrono::milliseconds timeout, Start start, Done<Response> done)
      EXCLUDES_LOCK(mutex_) {
    struct Shared {
      Mutex mutex;
      size_t left GUARDED_BY(mutex);
      std::vector<absl::StatusOr<Response>> answers GUARDED_BY(mutex);
      Request request;
      Done<Response> done;
    };
    struct One {
      grpc::ClientContext context;
      Response response;
    };
    if (channels.empty() || !Begin(channels.size())) {
      done({});
      return;
    }
    auto shared = std::make_shared<Shared>();
    shared->request = request;
    shared->done = std::move(done);
    {
      MutexLock lock(shared->mutex);
      shared->left = channels.size();
    }
    for (const auto& channel : channels) {
      auto one = std::make_shared<One>();
      one->context.set_deadline(std::chrono::system_clock::now() + timeout);
      Remember(&one->context);
      start(channel, &one->context, &shared->request, &one->response,
            [this, shared, one](const grpc::Status& status) {
              std::vector<absl::StatusOr<Response>> answers;
              bool last = false;
              {
                MutexLock lock(shared->mutex);
                if (status.ok()) {
                  shared->answers.emplace_back(std::move(one->response));
                } else {
                  shared->answers.emplace_back(FromGrpcStatus(status));
                }
                last = --shared->left == 0;
                if (last) answers = std::move(shared->answers);
              }
              if (last) shared->done(std::move(answers));
              End(&one->context);
            });
    }
  }

  // Refuses new calls, cancels those under way, returns when their callbacks ended.
  void Close() EXCLUDES_LOCK(mutex_) {
    MutexLock lock(mutex_);
    closed_ = true;
    for (grpc::ClientContext* context : contexts_) context->TryCancel();
    while (pending_ > 0) ended_.Wait(mutex_);
  }

 private:
  bool Begin(size_t calls) EXCLUDES_LOCK(mutex_) {
    MutexLock lock(mutex_);
    if (closed_) return false;
    pending_ += calls;
    return true;
  }
  void Remember(grpc::ClientContext* context) EXCLUDES_LOCK(mutex_) {
    MutexLock lock(mutex_);
    contexts_.insert(context);
    if (closed_) context->TryCancel();
  }
  void End(grpc::ClientContext* context) EXCLUDES_LOCK(mutex_) {
    MutexLock lock(mutex_);
    contexts_.erase(context);
    --pending_;
    ended_.NotifyAll();
  }

  Mutex mutex_;
  CondVar ended_;
  bool closed_ GUARDED_BY(mutex_) = false;
  size_t pending_ GUARDED_BY(mutex_) = 0;
  std::set<grpc::ClientContext*> contexts_ GUARDED_BY(mutex_);
};

}  // namespace emotion::classifier
