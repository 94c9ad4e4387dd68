#include "embedding_service/cache/codec.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace emotion::embedding {
namespace {

static_assert(std::endian::native == std::endian::little, "values are little-endian");

constexpr uint32_t kMagic = 0x32434d45;  // "EMC2"; the digit is the version
constexpr size_t kSignatureBytes = sizeof(Digest);
constexpr size_t kSessionBytes = 16;

// The layout before the halves and the signature over all before it. No padding: all are written as
// they lie.
struct Header {
  uint32_t magic = kMagic;
  uint32_t dim = 0;
  ContentKey key{};
  vision::Fingerprint fingerprint{};
  uint32_t precision = 0;
  uint32_t quality_warnings = 0;
  int64_t encoded_at_us = 0;
  int64_t accepted_at_us = 0;
  std::array<char, kSessionBytes> session{};
  uint32_t has_session = 0;
  // For frames in which a face was looked for: none yet, and a value that has them is of a later
  // release.
  uint32_t faces = 0;
  std::array<uint16_t, 4> face_box{};
};
static_assert(sizeof(Header) == 128);

std::string_view Bytes(const void* data, size_t size) {
  return {static_cast<const char*>(data), size};
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
         header.precision == static_cast<uint32_t>(identity.precision) && header.has_session <= 1 &&
         (header.has_session == 1 || header.session == Header{}.session) && header.faces == 0 &&
         header.face_box == Header{}.face_box;
}

// Takes as long for a wrong signature that is nearly right as for any other.
bool Equal(std::string_view signature, const Digest& expected) {
  uint8_t difference = signature.size() == expected.size() ? 0 : 1;
  for (size_t i = 0; i < std::min(signature.size(), expected.size()); ++i) {
    difference |= static_cast<uint8_t>(signature[i]) ^ expected[i];
  }
  return difference == 0;
}

}  // namespace

std::string EncodeCached(const ContentKey& key, const CodecIdentity& identity,
                         const SharedSeal& seal, const OwnedEmbedding& embedding) {
  const CachedEmbedding& value = *embedding.value;
  Header header;
  header.dim = static_cast<uint32_t>(value.halves.size() / 2);
  header.key = key;
  header.fingerprint = identity.fingerprint;
  header.precision = static_cast<uint32_t>(identity.precision);
  header.quality_warnings = value.quality_warnings;
  header.encoded_at_us = value.encoded_at_us;
  header.accepted_at_us = embedding.accepted_at_us;
  header.has_session = embedding.session.size() == kSessionBytes ? 1 : 0;
  if (header.has_session == 1) {
    std::copy(embedding.session.begin(), embedding.session.end(), header.session.begin());
  }

  std::string bytes;
  bytes.reserve(sizeof(header) + value.halves.size() + kSignatureBytes);
  bytes.append(Bytes(&header, sizeof(header)));
  bytes.append(value.halves);
  const Digest signature = seal.SignValue(bytes);
  bytes.append(Bytes(signature.data(), signature.size()));
  return bytes;
}

std::optional<OwnedEmbedding> DecodeCached(const ContentKey& key, const CodecIdentity& identity,
                                           const SharedSeal& seal, std::string_view bytes) {
  Header header;
  const size_t signed_bytes = sizeof(header) + identity.dim * 2;
  if (bytes.size() != signed_bytes + kSignatureBytes) return std::nullopt;
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (!Fits(header, key, identity)) return std::nullopt;
  const std::string_view signature = bytes.substr(signed_bytes);
  if (!Equal(signature, seal.SignValue(bytes.substr(0, signed_bytes)))) return std::nullopt;

  const std::string_view halves = bytes.substr(sizeof(header), identity.dim * 2);
  if (!AllFinite(halves)) return std::nullopt;
  return OwnedEmbedding{.value = std::make_shared<const CachedEmbedding>(
                            CachedEmbedding{.halves = std::string(halves),
                                            .quality_warnings = header.quality_warnings,
                                            .encoded_at_us = header.encoded_at_us}),
                        .session = header.has_session == 1
                                       ? std::string(header.session.data(), header.session.size())
                                       : std::string(),
                        .accepted_at_us = header.accepted_at_us};
}

}  // namespace emotion::embedding
