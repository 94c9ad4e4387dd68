// The first bytes of an answer: status line and header fields, as HTTP/1.1 has them.
#pragma once

#include <string>

#include "gateway/http/message.h"

namespace emotion::gateway {

// Whether answers of this status have a body, and so a Content-Length.
bool HasBody(int status);

// Up to and with the empty line. keep: the connection goes on.
std::string ResponseHead(const Response& response, bool keep);

}  // namespace emotion::gateway
