// The transport of a WebSocket: takes over the socket of an HTTP connection after an upgrade
// request, answers the handshake, reads and writes messages within WebSocketLimits.
//
// One object on the strand of the socket, without a coroutine, so that an idle socket holds a few
// kilobytes. Included only by the .cc files of this folder: it needs Asio.
#pragma once

#include <string>

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>

#include "gateway/http/message.h"
#include "gateway/http/open_sockets.h"
#include "gateway/http/server_state.h"

namespace emotion::gateway {

// Lives until the socket ends. `head` is `request` as Beast read it and is not kept. Called on the
// socket's strand.
void StartWebSocket(boost::asio::ip::tcp::socket socket, OpenSockets::Slot slot, ServerState& state,
                    Request request,
                    const boost::beast::http::request<boost::beast::http::string_body>& head,
                    const std::string& subprotocol);

}  // namespace emotion::gateway
