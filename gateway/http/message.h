// Requests and answers as plain values, and the exchange that joins one of each.
//
// Nothing here knows sockets: the connection (http/connection) makes a Request, the routes answer
// it through its Exchange, from whatever thread the answer happens to be ready on.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/sync/mutex.h"

namespace emotion::gateway {

// Case-insensitive, ASCII only.
bool EqualsIgnoringCase(std::string_view a, std::string_view b);

// Without spaces and tabs at both ends.
std::string_view TrimSpace(std::string_view text);

// Header fields in the order they came; names compare without case.
class Headers {
 public:
  void Add(std::string_view name, std::string_view value) {
    fields_.emplace_back(std::string(name), std::string(value));
  }
  // Replaces every field of that name.
  void Set(std::string_view name, std::string_view value);
  // The first field of that name.
  std::optional<std::string_view> Find(std::string_view name) const;
  size_t Count(std::string_view name) const;
  // Whether a comma-separated field holds `token` (without case; parameters after ';' are cut off).
  bool HasToken(std::string_view name, std::string_view token) const;
  const std::vector<std::pair<std::string, std::string>>& fields() const { return fields_; }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

struct Request {
  std::string method;                                      // as sent: "GET", "POST", ...
  std::string path;                                        // decoded, starts with '/'
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in order
  Headers headers;
  std::string body;

  std::string remote_address;  // "192.0.2.1" or "2001:db8::1"; an IPv4-mapped one is plain IPv4
  std::string request_id;      // always set once the request was admitted
  std::string traceparent;     // of this hop
  std::string trace_id;
  std::string route;  // pattern of the route, such as "/v1/sessions/{id}"; "" where none fits
  std::string path_parameter;                     // what stands for {id}
  std::chrono::steady_clock::time_point started;  // when its first byte was seen
  uint64_t accepted_at_us = 0;                    // Unix time when its header was read
};

// What the access log and the metrics say about an answer.
struct Facts {
  std::string code = "OK";  // gRPC's name
  std::string reason = "";  // name of a Reason, or empty
  std::string cache = "";   // "miss", "exact", "near", "coalesced", or empty
  bool refused = false;     // turned away at the door, before any work
};

struct Response {
  int status = 200;
  // Besides Content-Length, Connection and Date, which the connection adds.
  Headers headers;
  std::string body;
  // Sent instead of `body` when set: files that many answers share.
  std::shared_ptr<const std::string> shared_body;
  Facts facts;
  bool close = false;  // ends the connection behind this answer

  const std::string& content() const { return shared_body ? *shared_body : body; }
};

// One request on its way to its answer. Safe from any thread.
class Exchange {
 public:
  // `deliver` is called once, with the first answer, on the thread that answers; it must not block.
  Exchange(Request request, std::function<void(Response)> deliver)
      : request_(std::move(request)), deliver_(std::move(deliver)) {}

  const Request& request() const { return request_; }
  Request& mutable_request() { return request_; }  // before the answer, by the handler only

  // The first answer counts, later ones are dropped.
  void Respond(Response response);

  // `cancel` runs once if the client leaves before the answer, at once if it has left already.
  void OnGone(std::function<void()> cancel);

  // Called by the connection when the client has left.
  void NotifyGone();

 private:
  Request request_;
  Mutex mutex_;
  std::function<void(Response)> deliver_ GUARDED_BY(mutex_);
  std::function<void()> cancel_ GUARDED_BY(mutex_);
  bool gone_ GUARDED_BY(mutex_) = false;
};

}  // namespace emotion::gateway
