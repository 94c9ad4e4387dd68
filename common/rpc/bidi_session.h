// THE way to speak on a bidirectional gRPC stream, on both sides. Raw reactors have rules that
// abort or hang the process when broken (one write at a time, Finish exactly once, holds); they are
// kept here, once, and nowhere else.
//
// A session queues what is sent and writes one message at a time. A server does not read on while
// more than `hold_reads_above` answers wait because the client does not take them; a client always
// reads. A peer that takes nothing for `slow_peer_timeout` is cut off, as is one for whom more than
// `cut_off_above` messages wait.
//
// Sessions are held by shared_ptr and are safe from any thread, inside callbacks too, and after the
// stream ended (Send then returns false). Callbacks of one stream never overlap; they run on gRPC's
// few threads and must not block. The handler is released after its OnClosed.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/client_callback.h>
#include <grpcpp/support/server_callback.h>

#include "common/rpc/session_core.h"

namespace emotion {

template <class Request, class Response>
class ServerSession {
 public:
  virtual ~ServerSession() = default;
  // Queues `response`. False: the stream is finished or over, the response is dropped.
  virtual bool Send(Response response) = 0;
  // Ends the stream once the queued responses went out. The first call counts.
  virtual void Finish(grpc::Status status) = 0;
  // "ipv4:127.0.0.1:40000", or "inproc" for a caller of this process: for logs.
  virtual const std::string& peer() const = 0;
};

template <class Request, class Response>
struct ServerSessionHandler {
  virtual ~ServerSessionHandler() = default;
  // First; before any message. Runs on the thread of StartServerSession.
  virtual void OnOpen(std::shared_ptr<ServerSession<Request, Response>> session) = 0;
  virtual void OnMessage(Request&& request) = 0;
  // The client sends no more: answer the rest, then Finish(OK).
  virtual void OnHalfClose() = 0;
  // Exactly once, last: the stream is over, by Finish or because the client left.
  virtual void OnClosed() = 0;
};

// For service methods: `return StartServerSession<Req, Resp>(context, handler);`
template <class Request, class Response>
grpc::ServerBidiReactor<Request, Response>* StartServerSession(
    grpc::CallbackServerContext* context,
    std::shared_ptr<ServerSessionHandler<Request, Response>> handler, SessionLimits limits = {});

template <class Request, class Response>
class ClientSession {
 public:
  virtual ~ClientSession() = default;
  // Queues `request`. False: the stream is over or half-closed, the request is dropped.
  virtual bool Send(Request request) = 0;
  // Sends no more once the queue went out; the server answers the rest and ends the stream.
  virtual void HalfClose() = 0;
  // Ends the stream now, with CANCELLED.
  virtual void Cancel() = 0;
};

template <class Request, class Response>
struct ClientSessionHandler {
  virtual ~ClientSessionHandler() = default;
  // First, before StartClientSession returns: what is sent in here is sent first.
  virtual void OnOpen(std::shared_ptr<ClientSession<Request, Response>> /*session*/) {}
  virtual void OnMessage(Response&& response) = 0;
  // Exactly once, last.
  virtual void OnClosed(const grpc::Status& status) = 0;
};

// Opens a stream. `start` calls the stub's async method with what it is given:
//   [stub](auto* context, auto* reactor) { stub->async()->EmbedStream(context, reactor); }
// What `start` captures stays alive as long as the stream.
template <class Request, class Response>
std::shared_ptr<ClientSession<Request, Response>> StartClientSession(
    std::function<void(grpc::ClientContext*, grpc::ClientBidiReactor<Request, Response>*)> start,
    std::shared_ptr<ClientSessionHandler<Request, Response>> handler, SessionLimits limits = {});

}  // namespace emotion

#include "common/rpc/client_session.h"
#include "common/rpc/server_session.h"
