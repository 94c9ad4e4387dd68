#include "gateway/http/multipart.h"

#include <algorithm>
#include <optional>

#include "common/error/error.h"
#include "fmt/format.h"
#include "gateway/http/message.h"

namespace emotion::gateway {
namespace {

constexpr size_t kMaxParts = 64;
constexpr size_t kMaxBoundary = 70;  // RFC 2046
constexpr size_t kMaxPartHeader = 4096;

absl::Status Damaged(std::string_view why) {
  return Error(Reason::kFieldInvalid, fmt::format("the multipart body {}", why));
}

absl::Status ReadHeader(std::string_view line, Part& part) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return Damaged("has a part header without a colon");
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = TrimSpace(line.substr(colon + 1));
  if (EqualsIgnoringCase(name, "Content-Disposition")) {
    part.name = HeaderParameter(value, "name");
  } else if (EqualsIgnoringCase(name, "Content-Type")) {
    part.content_type = value;
  } else if (EqualsIgnoringCase(name, "Content-Transfer-Encoding") &&
             !EqualsIgnoringCase(value, "binary") && !EqualsIgnoringCase(value, "8bit") &&
             !EqualsIgnoringCase(value, "7bit")) {
    return Damaged("has a part with a transfer encoding; send the bytes as they are");
  }
  return absl::OkStatus();
}

// `text` is everything between two boundaries, without the line end behind the first one.
absl::StatusOr<Part> ReadPart(std::string_view text) {
  Part part;
  while (true) {
    const size_t end = text.substr(0, kMaxPartHeader).find("\r\n");
    if (end == std::string_view::npos) return Damaged("has a part whose header does not end");
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 2);
    if (line.empty()) break;
    if (absl::Status status = ReadHeader(line, part); !status.ok()) return status;
  }
  if (part.name.empty()) return Damaged("has a part without a name");
  part.content = text;
  return part;
}

}  // namespace

std::string HeaderParameter(std::string_view value, std::string_view name) {
  size_t position = value.find(';');
  while (position != std::string_view::npos) {
    std::string_view rest = TrimSpace(value.substr(position + 1));
    const size_t equals = rest.find('=');
    if (equals == std::string_view::npos) return "";
    const std::string_view key = TrimSpace(rest.substr(0, equals));
    rest = TrimSpace(rest.substr(equals + 1));
    size_t length = 0;
    std::string parameter;
    if (rest.starts_with('"')) {
      for (length = 1; length < rest.size() && rest[length] != '"'; ++length) {
        if (rest[length] == '\\' && length + 1 < rest.size()) ++length;
        parameter.push_back(rest[length]);
      }
    } else {
      length = std::min(rest.find(';'), rest.size());
      parameter = TrimSpace(rest.substr(0, length));
    }
    if (EqualsIgnoringCase(key, name)) return parameter;
    value = rest.substr(std::min(length, rest.size()));
    position = value.find(';');
  }
  return "";
}

absl::StatusOr<std::vector<Part>> ParseMultipart(std::string_view body,
                                                 std::string_view content_type) {
  const std::string boundary = HeaderParameter(content_type, "boundary");
  if (boundary.empty() || boundary.size() > kMaxBoundary) {
    return Damaged(fmt::format("needs a boundary of 1 to {} characters", kMaxBoundary));
  }
  const std::string first = "--" + boundary;
  const std::string next = "\r\n" + first;
  // What stands before the first boundary is to be ignored; a boundary starts a line.
  size_t start = body.starts_with(first) ? first.size() : body.find(next);
  if (start == std::string_view::npos) return Damaged("does not hold its boundary");
  if (!body.starts_with(first)) start += next.size();

  std::vector<Part> parts;
  for (std::string_view rest = body.substr(start); !rest.starts_with("--");) {
    const size_t line_end = rest.substr(0, 64).find("\r\n");
    if (line_end == std::string_view::npos || !TrimSpace(rest.substr(0, line_end)).empty()) {
      return Damaged("has a boundary that is followed by something else");
    }
    rest.remove_prefix(line_end + 2);
    const size_t end = rest.find(next);
    if (end == std::string_view::npos) return Damaged("ends without its last boundary");
    if (parts.size() == kMaxParts) return Damaged(fmt::format("has over {} parts", kMaxParts));
    absl::StatusOr<Part> part = ReadPart(rest.substr(0, end));
    if (!part.ok()) return part.status();
    if (std::ranges::any_of(parts, [&](const Part& p) { return p.name == part->name; })) {
      return Damaged("has two parts of one name");
    }
    parts.push_back(*std::move(part));
    rest.remove_prefix(end + next.size());
  }
  return parts;
}

}  // namespace emotion::gateway
