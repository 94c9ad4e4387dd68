#include "embedding_service/cache/shared_near.h"

#include <cstring>

#include "embedding_service/cache/near_duplicate.h"

namespace emotion::embedding {
namespace {

constexpr size_t kSealedBytes = DescriptorSeal::kSealedBytes;
constexpr size_t kKeyBytes = sizeof(ContentKey);
constexpr size_t kTimeBytes = sizeof(int64_t);
constexpr size_t kSignedBytes = kSealedBytes + kKeyBytes + kTimeBytes;

std::string SignatureOf(const SharedSeal& seal, std::string_view lane_name, std::string_view body) {
  std::string message(lane_name);
  message.append(body);
  const Digest signature = seal.SignEntry(message);
  return {reinterpret_cast<const char*>(signature.data()), signature.size()};
}

}  // namespace

std::string EncodeNearEntry(const SharedSeal& seal, std::string_view lane_name,
                            const SharedNearEntry& entry) {
  std::string bytes = entry.sealed;
  bytes.append(reinterpret_cast<const char*>(entry.key.data()), kKeyBytes);
  bytes.append(reinterpret_cast<const char*>(&entry.encoded_at_us), kTimeBytes);
  return bytes + SignatureOf(seal, lane_name, bytes);
}

std::optional<SharedNearEntry> DecodeNearEntry(const SharedSeal& seal, std::string_view lane_name,
                                               std::string_view bytes) {
  if (!seal.keyed() || bytes.size() != kSignedBytes + sizeof(Digest)) return std::nullopt;
  const std::string_view body = bytes.substr(0, kSignedBytes);
  if (bytes.substr(kSignedBytes) != SignatureOf(seal, lane_name, body)) return std::nullopt;
  SharedNearEntry entry{.sealed = std::string(body.substr(0, kSealedBytes))};
  std::memcpy(entry.key.data(), body.data() + kSealedBytes, kKeyBytes);
  std::memcpy(&entry.encoded_at_us, body.data() + kSealedBytes + kKeyBytes, kTimeBytes);
  return entry;
}

}  // namespace emotion::embedding
