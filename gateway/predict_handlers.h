// POST /v1/predict and POST /v1/predict/batch: a request becomes frames, results become its answer.
//
// Every frame is one frame of PredictStream, interactive, with sequence 0 (posts are never
// superseded). A client that leaves withdraws its frames. Both return at once; the answer comes
// from a thread of the classifier client.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "gateway/gateway_context.h"
#include "gateway/http/message.h"

namespace emotion::gateway {

// LOADING where the models live in this process and are not there yet: a request may come before.
absl::Status CheckLoaded(const GatewayContext& context);

// `context` outlives every exchange.
void HandlePredict(GatewayContext& context, const std::shared_ptr<Exchange>& exchange);
void HandlePredictBatch(GatewayContext& context, const std::shared_ptr<Exchange>& exchange);

}  // namespace emotion::gateway
