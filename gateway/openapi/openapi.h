// The OpenAPI 3.1 description of the REST interface, served at /openapi.json.
#pragma once

#include <string_view>

namespace emotion::gateway {

// gateway/openapi/openapi.json, built in.
std::string_view OpenApiDocument();

}  // namespace emotion::gateway
