// Links over POST /v1/predict: HTTP/1.1 connections that are kept, as many per session as there
// are unanswered frames.
#pragma once

#include <boost/asio/io_context.hpp>

#include "bench/load/link.h"
#include "bench/load/options.h"

namespace emotion::bench {

// Borrows `io` and `options`. A session may have its part of options.max_connections, at least one;
// above that, frames wait for a connection of their session, and their latency runs on.
LinkFactory RestLinks(boost::asio::io_context& io, const LoadOptions& options);

}  // namespace emotion::bench
