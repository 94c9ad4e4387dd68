#include "embedding_service/cache/codec.h"

#include <bit>
#include <cstring>

#include "common/hash/sha256.h"

namespace emotion::embedding {
namespace {

static_assert(std::endian::native == std::endian::little, "values are little-endian");

constexpr uint32_t kMagic = 0x31434d45;  // "EMC1"; the digit is the version
constexpr size_t kChecksumBytes = 32;

// The layout before the halves and the checksum over all before it. No padding: all are written as
// they lie.
struct Header {
  uint32_t magic = kMagic;
  uint32_t dim = 0;
  ContentKey key{};
  vision::Fingerprint fingerprint{};
  uint32_t precision = 0;
  uint32_t quality_warnings = 0;
  int64_t encoded_at_us = 0;
  uint64_t reserved = 0;
};
static_assert(sizeof(Header) == 96);

std::string_view Bytes(const void* data, size_t size) {
  return {static_cast<const char*>(data), size};
}

ContentKey Checksum(std::string_view bytes) {
  Sha256 hash;
  hash.Update(bytes);
  return hash.Finish();
}

bool AllFinite(std::string_view halves) {
  for (size_t i = 1; i < halves.size(); i += 2) {
    if ((halves[i] & 0x7c) == 0x7c) return false;  // the exponent is all ones
  }
  return true;
}

bool Fits(const Header& header, const ContentKey& key, const CodecIdentity& identity) {
  return header.magic == kMagic && header.dim == identity.dim && header.key == key &&
         header.fingerprint == identity.fingerprint &&
         header.precision == static_cast<uint32_t>(identity.precision);
}

}  // namespace

std::string EncodeCached(const ContentKey& key, const CodecIdentity& identity,
                         const CachedEmbedding& value) {
  Header header;
  header.dim = static_cast<uint32_t>(value.halves.size() / 2);
  header.key = key;
  header.fingerprint = identity.fingerprint;
  header.precision = static_cast<uint32_t>(identity.precision);
  header.quality_warnings = value.quality_warnings;
  header.encoded_at_us = value.encoded_at_us;

  std::string bytes;
  bytes.reserve(sizeof(header) + value.halves.size() + kChecksumBytes);
  bytes.append(Bytes(&header, sizeof(header)));
  bytes.append(value.halves);
  const auto checksum = Checksum(bytes);
  bytes.append(Bytes(checksum.data(), checksum.size()));
  return bytes;
}

std::optional<CachedEmbedding> DecodeCached(const ContentKey& key, const CodecIdentity& identity,
                                            std::string_view bytes) {
  Header header;
  const size_t checked = sizeof(header) + identity.dim * 2;
  if (bytes.size() != checked + kChecksumBytes) return std::nullopt;
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (!Fits(header, key, identity)) return std::nullopt;
  const auto checksum = Checksum(bytes.substr(0, checked));
  if (bytes.substr(checked) != Bytes(checksum.data(), checksum.size())) return std::nullopt;

  const std::string_view halves = bytes.substr(sizeof(header), identity.dim * 2);
  if (!AllFinite(halves)) return std::nullopt;
  return CachedEmbedding{.halves = std::string(halves),
                         .quality_warnings = header.quality_warnings,
                         .encoded_at_us = header.encoded_at_us};
}

}  // namespace emotion::embedding
