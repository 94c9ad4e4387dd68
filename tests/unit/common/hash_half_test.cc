#include <cmath>
#include <cstring>
#include <limits>

#include <catch2/catch.hpp>

#include "common/hash/sha256.h"
#include "common/numeric/half.h"

namespace emotion {

TEST_CASE("SHA-256 and HMAC give the published vectors") {
  CHECK(Hex(Sha256().Update("abc").Finish()) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  // RFC 4231, test case 2.
  CHECK(Hex(HmacSha256("Jefe", "what do ya want for nothing?")) ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  CHECK(Hex(HmacSha256("", "")) ==
        "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST_CASE("fields of a hash do not run into each other") {
  CHECK(Sha256().Field("ab").Field("c").Finish() != Sha256().Field("a").Field("bc").Finish());
  CHECK(Sha256().Field(uint64_t{1}).Finish() ==
        Sha256().Update(std::string_view("\1\0\0\0\0\0\0\0", 8)).Finish());
}

TEST_CASE("every half value survives the way to float and back") {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = HalfToFloat(half);
    if (std::isnan(value)) {
      REQUIRE(std::isnan(HalfToFloat(FloatToHalf(value))));
    } else {
      REQUIRE(FloatToHalf(value) == half);
    }
  }
}

TEST_CASE("halves round to nearest, ties to even, and overflow to infinity") {
  CHECK(FloatToHalf(1.0F + 0x1p-11F) == FloatToHalf(1.0F));                // tie: down to even
  CHECK(FloatToHalf(1.0F + 3 * 0x1p-11F) == FloatToHalf(1.0F + 0x1p-9F));  // tie: up to even
  CHECK(FloatToHalf(1.0F + 0x1.8p-11F) == FloatToHalf(1.0F + 0x1p-10F));
  CHECK(FloatToHalf(65519.9F) == 0x7bff);
  CHECK(FloatToHalf(65520.0F) == 0x7c00);
  CHECK(FloatToHalf(-std::numeric_limits<float>::infinity()) == 0xfc00);
  CHECK(FloatToHalf(0x1p-25F) == 0);    // tie to even: zero
  CHECK(FloatToHalf(0x1.8p-25F) == 1);  // smallest subnormal
  CHECK(FloatToHalf(-0.0F) == 0x8000);
}

TEST_CASE("vectors of halves are little-endian pairs of bytes") {
  const std::vector<float> values = {1.0F, -2.5F, 0.0F};
  const std::string bytes = EncodeHalf(values);
  REQUIRE(bytes.size() == 6);
  CHECK(std::memcmp(bytes.data(), "\x00\x3c", 2) == 0);
  CHECK(DecodeHalf(bytes) == values);
}

}  // namespace emotion
