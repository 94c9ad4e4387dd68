#include "embedding_service/cache/shared_seal.h"

namespace emotion::embedding {
namespace {

std::string_view BytesOf(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

std::string KeyFor(std::string_view secret, std::string_view purpose) {
  if (secret.empty()) return {};
  return std::string(BytesOf(HmacSha256(secret, purpose)));
}

}  // namespace

SharedSeal::SharedSeal(std::string_view cache_secret)
    : name_key_(KeyFor(cache_secret, "emotion cache: names")),
      value_key_(KeyFor(cache_secret, "emotion cache: values")),
      entry_key_(KeyFor(cache_secret, "emotion cache: near entries")) {}

ContentKey SharedSeal::KeyOf(const ContentKey& key) const {
  return keyed() ? HmacSha256(name_key_, BytesOf(key)) : key;
}

std::string SharedSeal::LaneName(const NearLane& lane) const {
  return keyed() ? std::string(BytesOf(HmacSha256(name_key_, "lane" + lane))) : lane;
}

Digest SharedSeal::SignValue(std::string_view bytes) const {
  if (keyed()) return HmacSha256(value_key_, bytes);
  Sha256 hash;
  hash.Update(bytes);
  return hash.Finish();
}

Digest SharedSeal::SignEntry(std::string_view bytes) const { return HmacSha256(entry_key_, bytes); }

}  // namespace emotion::embedding
