#include "embedding_service/cache/codec.h"

#include <cstring>

#include <catch2/catch.hpp>

#include "common/numeric/half.h"

namespace emotion::embedding {
namespace {

const CodecIdentity kModel{
    .fingerprint = {1, 2, 3}, .precision = vision::Precision::kBf16, .dim = 3};
const SharedSeal kPlain("");
const SharedSeal kSealed("a secret of the house");
const ContentKey kKey{7};

OwnedEmbedding Embedding(std::vector<float> values = {0.5F, -2, 1024}) {
  return {.value = std::make_shared<CachedEmbedding>(
              CachedEmbedding{.halves = EncodeHalf(values),
                              .quality_warnings = 0b10,
                              .encoded_at_us = 1'700'000'000'000'000}),
          .session = std::string(16, 'a'),
          .accepted_at_us = 1'699'999'999'000'000};
}

std::string Encode(const SharedSeal& seal) { return EncodeCached(kKey, kModel, seal, Embedding()); }

TEST_CASE("a value comes back as it was stored") {
  for (const SharedSeal* seal : {&kPlain, &kSealed}) {
    const auto decoded = DecodeCached(kKey, kModel, *seal, Encode(*seal));
    REQUIRE(decoded);
    CHECK(decoded->value->halves == Embedding().value->halves);
    CHECK(decoded->value->quality_warnings == 0b10);
    CHECK(decoded->value->encoded_at_us == 1'700'000'000'000'000);
    CHECK(decoded->session == std::string(16, 'a'));
    CHECK(decoded->accepted_at_us == 1'699'999'999'000'000);
  }
}

TEST_CASE("a value of no session comes back without one, and one of zeros with it") {
  OwnedEmbedding embedding = Embedding();
  for (const std::string& session : {std::string(), std::string(16, '\0')}) {
    embedding.session = session;
    const auto decoded =
        DecodeCached(kKey, kModel, kPlain, EncodeCached(kKey, kModel, kPlain, embedding));
    REQUIRE(decoded);
    CHECK(decoded->session == session);
  }
}

TEST_CASE("a value answers only for its own key, model, precision and size") {
  const std::string bytes = Encode(kPlain);
  CHECK_FALSE(DecodeCached(ContentKey{8}, kModel, kPlain, bytes));
  CodecIdentity other = kModel;
  other.fingerprint[31] = 1;
  CHECK_FALSE(DecodeCached(kKey, other, kPlain, bytes));
  other = kModel;
  other.precision = vision::Precision::kFp32;
  CHECK_FALSE(DecodeCached(kKey, other, kPlain, bytes));
  other = kModel;
  other.dim = 4;
  CHECK_FALSE(DecodeCached(kKey, other, kPlain, bytes));
}

TEST_CASE("who does not know the secret makes no values, and reads none that others could not") {
  CHECK_FALSE(DecodeCached(kKey, kModel, kSealed, Encode(kPlain)));
  CHECK_FALSE(DecodeCached(kKey, kModel, kSealed, Encode(SharedSeal("another secret here"))));
  CHECK_FALSE(DecodeCached(kKey, kModel, kPlain, Encode(kSealed)));
}

TEST_CASE("no single flipped bit and no cut of a value is taken for a value") {
  for (const SharedSeal* seal : {&kPlain, &kSealed}) {
    const std::string bytes = Encode(*seal);
    for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      std::string bad = bytes;
      bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
      REQUIRE_FALSE(DecodeCached(kKey, kModel, *seal, bad));
    }
    for (size_t size = 0; size < bytes.size(); ++size) {
      REQUIRE_FALSE(DecodeCached(kKey, kModel, *seal, bytes.substr(0, size)));
    }
    CHECK_FALSE(DecodeCached(kKey, kModel, *seal, bytes + '\0'));
  }
}

// The bytes of a value with something else at `at`, signed anew.
std::string Resigned(size_t at, char byte) {
  std::string bytes = Encode(kSealed);
  bytes.resize(bytes.size() - sizeof(Digest));
  bytes[at] = byte;
  const Digest signature = kSealed.SignValue(bytes);
  return bytes.append(reinterpret_cast<const char*>(signature.data()), signature.size());
}

TEST_CASE("what this release does not understand is refused, however well signed") {
  const std::string bytes = Encode(kSealed);
  REQUIRE(DecodeCached(kKey, kModel, kSealed, Resigned(0, bytes[0])));
  CHECK_FALSE(DecodeCached(kKey, kModel, kSealed, Resigned(3, '3')));  // the version
  CHECK_FALSE(DecodeCached(kKey, kModel, kSealed, Resigned(112, 2)));  // a flag that is none
  CHECK_FALSE(DecodeCached(kKey, kModel, kSealed, Resigned(116, 1)));  // faces
  CHECK_FALSE(DecodeCached(kKey, kModel, kSealed, Resigned(126, 1)));  // a face's box
}

TEST_CASE("values that are not finite are no embedding, however well signed") {
  for (const uint16_t half : {0xfc00, 0x7c00, 0x7e00, 0xffff}) {
    OwnedEmbedding embedding = Embedding();
    auto value = std::make_shared<CachedEmbedding>(*embedding.value);
    std::memcpy(value->halves.data() + 2, &half, 2);
    embedding.value = value;
    CHECK_FALSE(
        DecodeCached(kKey, kModel, kSealed, EncodeCached(kKey, kModel, kSealed, embedding)));
  }
}

TEST_CASE("with a secret shared names differ from the private ones, and by secret") {
  const SharedSeal other("another secret here");
  CHECK(kPlain.KeyOf(kKey) == kKey);
  CHECK(kSealed.KeyOf(kKey) != kKey);
  CHECK(kSealed.KeyOf(kKey) == SharedSeal("a secret of the house").KeyOf(kKey));
  CHECK(kSealed.KeyOf(kKey) != other.KeyOf(kKey));
  const NearLane lane(32, 'l');
  CHECK(kSealed.LaneName(lane) != lane);
  CHECK(kSealed.LaneName(lane) != other.LaneName(lane));
  CHECK(kSealed.LaneName(lane).size() == 32);
}

}  // namespace
}  // namespace emotion::embedding
