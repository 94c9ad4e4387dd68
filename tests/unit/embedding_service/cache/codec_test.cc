#include "embedding_service/cache/codec.h"

#include <cstring>

#include <catch2/catch.hpp>

#include "common/numeric/half.h"

namespace emotion::embedding {
namespace {

const CodecIdentity kModel{
    .fingerprint = {1, 2, 3}, .precision = vision::Precision::kBf16, .dim = 3};

CachedEmbedding Value() {
  return {.halves = EncodeHalf(std::vector<float>{0.5F, -2, 1024}),
          .quality_warnings = 0b10,
          .encoded_at_us = 1'700'000'000'000'000};
}

TEST_CASE("a value comes back as it was stored") {
  const ContentKey key{7};
  const auto value = DecodeCached(key, kModel, EncodeCached(key, kModel, Value()));
  REQUIRE(value);
  CHECK(value->halves == Value().halves);
  CHECK(value->quality_warnings == 0b10);
  CHECK(value->encoded_at_us == 1'700'000'000'000'000);
}

TEST_CASE("a value answers only for its own key, model, precision and size") {
  const ContentKey key{7};
  const std::string bytes = EncodeCached(key, kModel, Value());
  CHECK_FALSE(DecodeCached(ContentKey{8}, kModel, bytes));
  CodecIdentity other = kModel;
  other.fingerprint[31] = 1;
  CHECK_FALSE(DecodeCached(key, other, bytes));
  other = kModel;
  other.precision = vision::Precision::kFp32;
  CHECK_FALSE(DecodeCached(key, other, bytes));
  other = kModel;
  other.dim = 4;
  CHECK_FALSE(DecodeCached(key, other, bytes));
}

TEST_CASE("no single flipped bit and no cut of a value is taken for a value") {
  const ContentKey key{7};
  const std::string bytes = EncodeCached(key, kModel, Value());
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string bad = bytes;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    REQUIRE_FALSE(DecodeCached(key, kModel, bad));
  }
  for (size_t size = 0; size < bytes.size(); ++size) {
    REQUIRE_FALSE(DecodeCached(key, kModel, bytes.substr(0, size)));
  }
  CHECK_FALSE(DecodeCached(key, kModel, bytes + '\0'));
}

TEST_CASE("values that are not finite are no embedding, however well signed") {
  const ContentKey key{7};
  CachedEmbedding value = Value();
  const uint16_t infinity = 0xfc00;
  std::memcpy(value.halves.data() + 2, &infinity, 2);
  CHECK_FALSE(DecodeCached(key, kModel, EncodeCached(key, kModel, value)));
}

}  // namespace
}  // namespace emotion::embedding
