// libFuzzer: any bytes as what a Redis server answers.
//
// The first byte says into pieces of which size the rest is cut, for a reply may be cut anywhere.
// However it is cut, the replies are the same, and within the limits.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "common/redis/reply_reader.h"

namespace emotion {
namespace {

constexpr ReplyLimits kLimits = {.max_bytes = 512, .max_elements = 32};

struct Size {
  size_t bytes = 0;
  size_t elements = 0;
};

void Measure(const RedisReply& reply, Size& size) {
  size.bytes += reply.text.size();
  size.elements += reply.items.size();
  for (const RedisReply& item : reply.items) Measure(item, size);
}

void Write(const RedisReply& reply, std::string& out) {
  out += std::to_string(static_cast<int>(reply.kind)) + ":" + std::to_string(reply.integer) + ":" +
         std::to_string(reply.items.size()) + ":" + reply.text + "\n";
  for (const RedisReply& item : reply.items) Write(item, out);
}

// All replies as one text, up to the first that is refused.
std::string Read(std::string_view bytes, size_t piece) {
  ReplyReader reader(kLimits);
  std::string all;
  for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
    reader.Feed(bytes.substr(0, piece));
    for (;;) {
      const auto reply = reader.Next();
      if (!reply.ok()) return all;
      if (!reply->has_value()) break;
      Size size;
      Measure(**reply, size);
      if (size.bytes > kLimits.max_bytes || size.elements > kLimits.max_elements) std::abort();
      (void)MeansServerFailure(**reply);
      Write(**reply, all);
    }
  }
  return all;
}

}  // namespace
}  // namespace emotion

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t piece = 1 + data[0] % 64;
  if (emotion::Read(bytes, piece) != emotion::Read(bytes, 1)) std::abort();
  return 0;
}
