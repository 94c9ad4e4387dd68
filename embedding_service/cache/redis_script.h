// A Lua script that Redis runs as one step: sent by its hash, and in full to a server that does not
// know it yet (a new one, or one that forgot).
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/redis/redis_client.h"

namespace emotion::embedding {

class RedisScript {
 public:
  using Done = std::function<void(absl::StatusOr<RedisReply>)>;

  explicit RedisScript(std::string_view text);

  // `done` is called once, as RedisClient's; its reply is what the script returned, never an error:
  // those become INTERNAL. The script object must live until then.
  void Run(RedisClient& client, std::vector<std::string> keys, std::vector<std::string> arguments,
           Done done) const;

 private:
  const std::string text_;
  const std::string sha1_;
};

}  // namespace emotion::embedding
