#include "gateway/classifier_client.h"

#include <utility>
#include <vector>

#include <grpcpp/client_context.h>

#include "common/error/error.h"
#include "common/rpc/status.h"

namespace emotion::gateway {
namespace {

using Stub = v1::ClassifierService::Stub;

// How each unary call is started; what differs between them.
void StartCall(Stub& stub, grpc::ClientContext* context, const v1::GetModelRequest* request,
               v1::GetModelResponse* response, std::function<void(grpc::Status)> done) {
  stub.async()->GetModel(context, request, response, std::move(done));
}
void StartCall(Stub& stub, grpc::ClientContext* context, const v1::GetStatusRequest* request,
               v1::GetStatusResponse* response, std::function<void(grpc::Status)> done) {
  stub.async()->GetStatus(context, request, response, std::move(done));
}
void StartCall(Stub& stub, grpc::ClientContext* context, const v1::DeleteSessionRequest* request,
               v1::DeleteSessionResponse* response, std::function<void(grpc::Status)> done) {
  stub.async()->DeleteSession(context, request, response, std::move(done));
}

// One unary call on its way through the replicas.
template <class RequestType, class ResponseType>
struct UnaryCall {
  using Response = ResponseType;

  RequestType request;
  ClassifierClient::UnaryCallback<Response> done;
  std::chrono::system_clock::time_point deadline;
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  size_t next = 0;

  // Of the attempt that runs; a context serves one attempt.
  std::unique_ptr<grpc::ClientContext> context;
  std::unique_ptr<Stub> stub;
  Response response;

  void Prepare() {
    context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(deadline);
    stub = v1::ClassifierService::NewStub(channels[next++]);
    response.Clear();
  }
};

}  // namespace

ClassifierClient::ClassifierClient(FramePoolOptions options, LocalStreamMaker<PredictHop> streams)
    : pool_(
          [&] {
            options.on_change = [this] { Changed(); };
            return std::move(options);
          }(),
          std::move(streams)) {}

ClassifierClient::~ClassifierClient() { Close(); }

uint64_t ClassifierClient::Predict(v1::Frame frame, PredictCallback done) {
  return pool_.Submit(std::move(frame), std::move(done));
}

void ClassifierClient::OnChange(std::function<void()> changed) {
  {
    MutexLock lock(mutex_);
    on_change_ = std::move(changed);
  }
  Changed();
}

void ClassifierClient::Changed() {
  std::function<void()> changed;
  {
    MutexLock lock(mutex_);
    if (!closed_) changed = on_change_;
  }
  if (changed) changed();
}

void ClassifierClient::Cancel(uint64_t ticket) { pool_.Cancel(ticket); }

bool ClassifierClient::Enter() {
  MutexLock lock(mutex_);
  if (closed_) return false;
  ++calls_;
  return true;
}

void ClassifierClient::Leave() {
  MutexLock lock(mutex_);
  --calls_;
  left_.NotifyAll();
}

void ClassifierClient::Remember(grpc::ClientContext* context) {
  MutexLock lock(mutex_);
  contexts_.insert(context);
  if (closed_) context->TryCancel();
}

void ClassifierClient::Forget(grpc::ClientContext* context) {
  MutexLock lock(mutex_);
  contexts_.erase(context);
}

bool ClassifierClient::closed() {
  MutexLock lock(mutex_);
  return closed_;
}

template <class Call>
void ClassifierClient::Start(std::shared_ptr<Call> call) {
  call->Prepare();
  Remember(call->context.get());
  StartCall(*call->stub, call->context.get(), &call->request, &call->response,
            [this, call](const grpc::Status& status) {
              Forget(call->context.get());
              if (!status.ok() && call->next < call->channels.size() && !closed()) {
                Start(call);
                return;
              }
              if (status.ok()) {
                call->done(std::move(call->response));
              } else {
                call->done(FromGrpcStatus(status));
              }
              Leave();
            });
}

template <class Request, class Response>
void ClassifierClient::Ask(Request request, std::chrono::milliseconds timeout,
                           UnaryCallback<Response> done) {
  if (!Enter()) {
    done(Error(Reason::kDraining, "the gateway is stopping"));
    return;
  }
  auto call = std::make_shared<UnaryCall<Request, Response>>();
  call->request = std::move(request);
  call->done = std::move(done);
  call->deadline = std::chrono::system_clock::now() + timeout;
  call->channels = pool_.Channels();
  if (call->channels.empty()) {
    call->done(Error(Reason::kNoReplica, "no classifier service is known"));
    Leave();
    return;
  }
  Start(std::move(call));
}

void ClassifierClient::GetModel(std::chrono::milliseconds timeout,
                                UnaryCallback<v1::GetModelResponse> done) {
  Ask(v1::GetModelRequest(), timeout, std::move(done));
}

void ClassifierClient::GetStatus(std::chrono::milliseconds timeout,
                                 UnaryCallback<v1::GetStatusResponse> done) {
  Ask(v1::GetStatusRequest(), timeout, std::move(done));
}

void ClassifierClient::DeleteSession(const v1::DeleteSessionRequest& request,
                                     std::chrono::milliseconds timeout,
                                     UnaryCallback<v1::DeleteSessionResponse> done) {
  Ask(request, timeout, std::move(done));
}

void ClassifierClient::Close() {
  {
    MutexLock lock(mutex_);
    closed_ = true;
    for (grpc::ClientContext* context : contexts_) context->TryCancel();
    while (calls_ > 0) left_.Wait(mutex_);
  }
  pool_.Close();
}

}  // namespace emotion::gateway
