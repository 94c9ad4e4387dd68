// Bytes of a server, which may be anything, to replies: hiredis' reader within bounds.
//
// Not safe from more than one thread.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/redis/redis_reply.h"

namespace emotion {

// What one reply may be. Arrays nest at most 7 deep (hiredis' own bound).
struct ReplyLimits {
  size_t max_bytes = 64 * 1024;  // as they are sent
  size_t max_elements = 1024;    // of all its arrays together
};

class ReplyReader {
 public:
  explicit ReplyReader(ReplyLimits limits);
  ~ReplyReader();
  ReplyReader(const ReplyReader&) = delete;
  ReplyReader& operator=(const ReplyReader&) = delete;

  // Takes the next bytes. Few at a time (16 KiB), with all calls of Next() between: what is not
  // read yet is moved about.
  void Feed(std::string_view bytes);

  // The next reply; nullopt: more bytes are needed. DATA_LOSS: no protocol of Redis, or beyond the
  // limits; then and for ever, for nobody knows where the next reply begins.
  absl::StatusOr<std::optional<RedisReply>> Next();

  // Whether bytes wait that belong to no reply yet.
  bool HasRest() const;

 private:
  struct Reader;

  size_t Unread() const;

  const ReplyLimits limits_;
  absl::Status broken_;
  size_t fed_bytes_ = 0;  // since the start of the reply that is being read
  std::unique_ptr<Reader> reader_;
};

}  // namespace emotion
