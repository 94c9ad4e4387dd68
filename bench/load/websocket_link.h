// Links over GET /v1/stream: one socket per session.
#pragma once

#include <boost/asio/io_context.hpp>

#include "bench/load/link.h"
#include "bench/load/options.h"

namespace emotion::bench {

// Borrows `io`.
LinkFactory WebSocketLinks(boost::asio::io_context& io, const LoadOptions& options);

}  // namespace emotion::bench
