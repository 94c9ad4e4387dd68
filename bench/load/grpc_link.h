// Links over PredictStream: all sessions share a few streams, as a gateway does.
#pragma once

#include <boost/asio/io_context.hpp>

#include "bench/load/link.h"
#include "bench/load/options.h"

namespace emotion::bench {

// Borrows `io` and `options`, which must outlive the links. gRPC's threads only hand answers to
// `io`.
LinkFactory GrpcLinks(boost::asio::io_context& io, const LoadOptions& options);

}  // namespace emotion::bench
