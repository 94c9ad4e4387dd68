// Any bytes as what a shared cache answers: a value or a near entry that is taken is exactly what
// would be written for what it says, and nothing else is taken.
//
// The first byte chooses: values without and with a secret, near entries; and whether the rest is
// signed first, so that what stands behind the signature is reached.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "embedding_service/cache/codec.h"
#include "embedding_service/cache/shared_near.h"

namespace emotion::embedding {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

const ContentKey kKey{7};
const CodecIdentity kModel{
    .fingerprint = {1, 2, 3}, .precision = vision::Precision::kBf16, .dim = 3};
const SharedSeal kPlain("");
const SharedSeal kSealed("the secret of the fuzzer");
constexpr std::string_view kLane = "lane";

void Value(std::string bytes, const SharedSeal& seal, bool sign) {
  if (sign) {
    const Digest signature = seal.SignValue(bytes);
    bytes.append(reinterpret_cast<const char*>(signature.data()), signature.size());
  }
  const auto decoded = DecodeCached(kKey, kModel, seal, bytes);
  if (!decoded) return;
  Require(decoded->value->halves.size() == kModel.dim * 2);
  Require(decoded->session.empty() || decoded->session.size() == 16);
  Require(EncodeCached(kKey, kModel, seal, *decoded) == bytes);
}

void NearEntry(std::string bytes, bool sign) {
  if (sign) {
    const Digest signature = kSealed.SignEntry(std::string(kLane) + bytes);
    bytes.append(reinterpret_cast<const char*>(signature.data()), signature.size());
  }
  Require(!DecodeNearEntry(kPlain, kLane, bytes));
  const auto decoded = DecodeNearEntry(kSealed, kLane, bytes);
  if (decoded) Require(EncodeNearEntry(kSealed, kLane, *decoded) == bytes);
}

}  // namespace
}  // namespace emotion::embedding

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace emotion::embedding;
  if (size == 0) return 0;
  const std::string rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  const bool sign = (data[0] & 4) != 0;
  switch (data[0] & 3) {
    case 0:
      Value(rest, kPlain, sign);
      break;
    case 1:
      Value(rest, kSealed, sign);
      break;
    default:
      NearEntry(rest, sign);
      break;
  }
  return 0;
}
