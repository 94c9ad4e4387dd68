// An EmbeddingService whose streams run what the test says.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/rpc/bidi_session.h"
#include "common/rpc/server_host.h"
#include "emotion/v1/embedding.grpc.pb.h"
#include "tests/unit/common/rpc/waiter.h"

namespace emotion::testing {

using Request = emotion::v1::EmbedStreamRequest;
using Response = emotion::v1::EmbedStreamResponse;
using ServerStream = ServerSession<Request, Response>;
using ClientStream = ClientSession<Request, Response>;

// What happens on one server stream; unset functions do nothing.
struct StreamScript {
  std::function<void(ServerStream&)> on_open;
  std::function<void(ServerStream&, Request&&)> on_message;
  std::function<void(ServerStream&)> on_half_close = [](ServerStream& stream) {
    stream.Finish(grpc::Status::OK);
  };
  std::function<void()> on_closed;
  SessionLimits limits;
};

class ScriptedHandler final : public ServerSessionHandler<Request, Response> {
 public:
  explicit ScriptedHandler(StreamScript script) : script_(std::move(script)) {}

  void OnOpen(std::shared_ptr<ServerStream> session) override {
    session_ = std::move(session);
    if (script_.on_open) script_.on_open(*session_);
  }
  void OnMessage(Request&& request) override {
    if (script_.on_message) script_.on_message(*session_, std::move(request));
  }
  void OnHalfClose() override {
    if (script_.on_half_close) script_.on_half_close(*session_);
  }
  void OnClosed() override {
    if (script_.on_closed) script_.on_closed();
    session_.reset();
  }

 private:
  const StreamScript script_;
  std::shared_ptr<ServerStream> session_;
};

class ScriptedService final : public emotion::v1::EmbeddingService::CallbackService {
 public:
  explicit ScriptedService(StreamScript script) : script_(std::move(script)) {}

  grpc::ServerBidiReactor<Request, Response>* EmbedStream(
      grpc::CallbackServerContext* context) override {
    return StartServerSession<Request, Response>(
        context, std::make_shared<ScriptedHandler>(script_), script_.limits);
  }

 private:
  const StreamScript script_;
};

// Answers each frame with a result of its id.
inline StreamScript EchoScript() {
  StreamScript script;
  script.on_message = [](ServerStream& stream, Request&& request) {
    Response response;
    response.mutable_result()->set_frame_id(request.frame().frame_id());
    stream.Send(std::move(response));
  };
  return script;
}

// A service on a port and in process.
struct TestServer {
  explicit TestServer(StreamScript script, const std::string& listen = "127.0.0.1:0")
      : service(std::move(script)) {
    ServerHost::Options options;
    options.listen = listen;
    options.services = {&service};
    options.names = {"emotion.v1.EmbeddingService"};
    auto started = ServerHost::Start(options);
    if (!started.ok()) throw std::runtime_error(started.status().ToString());
    host = *std::move(started);
    host->SetServing(true);
  }

  std::string address() const { return "127.0.0.1:" + std::to_string(host->port()); }

  ScriptedService service;
  std::unique_ptr<ServerHost> host;
};

class CollectingHandler final : public ClientSessionHandler<Request, Response> {
 public:
  void OnMessage(Response&& response) override { ids.Add(response.result().frame_id()); }
  void OnClosed(const grpc::Status& status) override { closed.Add(status); }

  Collected<uint64_t> ids;
  Collected<grpc::Status> closed;
};

inline std::shared_ptr<ClientStream> OpenStream(const std::shared_ptr<grpc::Channel>& channel,
                                                std::shared_ptr<CollectingHandler> handler,
                                                SessionLimits limits = {}) {
  std::shared_ptr<emotion::v1::EmbeddingService::Stub> stub =
      emotion::v1::EmbeddingService::NewStub(channel);
  return StartClientSession<Request, Response>(
      [stub](grpc::ClientContext* context, auto* reactor) {
        stub->async()->EmbedStream(context, reactor);
      },
      std::move(handler), limits);
}

inline Request FrameRequest(uint64_t id, size_t bytes = 0) {
  Request request;
  request.mutable_frame()->set_frame_id(id);
  request.mutable_frame()->set_encoded_image(std::string(bytes, 'x'));
  return request;
}

}  // namespace emotion::testing
