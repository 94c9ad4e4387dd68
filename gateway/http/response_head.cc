#include "gateway/http/response_head.h"

#include <array>
#include <ctime>

#include "fmt/format.h"
#include "gateway/http/problem.h"

namespace emotion::gateway {
namespace {

std::string HttpDate() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 64> text{};
  const size_t size = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return std::string(text.data(), size);
}

}  // namespace

bool HasBody(int status) { return status != 204 && status != 304; }

std::string ResponseHead(const Response& response, bool keep) {
  std::string text = fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\n", response.status,
                                 StatusPhrase(response.status), HttpDate());
  for (const auto& [name, value] : response.headers.fields()) {
    text += name;
    text += ": ";
    text += value;
    text += "\r\n";
  }
  if (HasBody(response.status)) {
    text += fmt::format("Content-Length: {}\r\n", response.content().size());
  }
  text += response.headers.Find("Upgrade") ? "Connection: Upgrade, " : "Connection: ";
  text += keep ? "keep-alive\r\n\r\n" : "close\r\n\r\n";
  return text;
}

}  // namespace emotion::gateway
