#include "embedding_service/cache/content_key.h"

#include <cstring>

#include "common/hash/sha256.h"

namespace emotion::embedding {

ContentKey MakeContentKey(const ContentKeyParts& parts) {
  Sha256 hash;
  hash.Field("emotion exact key 1");
  hash.Field(parts.cache_scope);
  hash.Field(parts.image);
  hash.Field({reinterpret_cast<const char*>(parts.fingerprint.data()), parts.fingerprint.size()});
  hash.Field(vision::PrecisionName(parts.precision));
  hash.Field(uint64_t{parts.preprocessing_version});
  hash.Field(uint64_t{parts.native});
  hash.Field(static_cast<uint64_t>(parts.resize_to.width));
  hash.Field(static_cast<uint64_t>(parts.resize_to.height));
  hash.Field(uint64_t{parts.apply_exif});
  hash.Field("detect off");  // the one mode that there is
  return hash.Finish();
}

NearLane MakeNearLane(const NearLaneParts& parts) {
  Sha256 hash;
  hash.Field("emotion near lane 1");
  hash.Field(parts.session);
  hash.Field(uint64_t{parts.face_id});
  hash.Field({reinterpret_cast<const char*>(parts.fingerprint.data()), parts.fingerprint.size()});
  hash.Field(vision::PrecisionName(parts.precision));
  hash.Field(uint64_t{parts.preprocessing_version});
  hash.Field(static_cast<uint64_t>(parts.resize_to.width));
  hash.Field(static_cast<uint64_t>(parts.resize_to.height));
  hash.Field(uint64_t{parts.apply_exif});
  hash.Field("detect off");
  const Digest digest = hash.Finish();
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

size_t ContentKeyHash::operator()(const ContentKey& key) const {
  size_t first = 0;
  std::memcpy(&first, key.data(), sizeof(first));
  return first;
}

}  // namespace emotion::embedding
