// The routes about the service itself: health, metrics, the model card, forgetting a session.
#pragma once

#include <memory>

#include "gateway/gateway_context.h"
#include "gateway/http/message.h"

namespace emotion::gateway {

// The whole picture: asks the classifier service, for at most half a second. 200 for ok and
// degraded, 503 for loading and draining.
void HandleHealth(GatewayContext& context, const std::shared_ptr<Exchange>& exchange);
// This process answers.
void HandleLive(GatewayContext& context, const std::shared_ptr<Exchange>& exchange);
// This process can serve: depends on nobody else.
void HandleReady(GatewayContext& context, const std::shared_ptr<Exchange>& exchange);

void HandleMetrics(GatewayContext& context, const std::shared_ptr<Exchange>& exchange);
void HandleModel(GatewayContext& context, const std::shared_ptr<Exchange>& exchange);
void HandleDeleteSession(GatewayContext& context, const std::shared_ptr<Exchange>& exchange);
void HandleOpenApi(GatewayContext& context, const std::shared_ptr<Exchange>& exchange);

}  // namespace emotion::gateway
