#include <cmath>

#include <catch2/catch.hpp>

#include "tests/unit/embedding_service/cache/near_faces.h"

namespace emotion::embedding {
namespace {

const std::string kLane(32, 'L');

TEST_CASE("sealed descriptors of a lane are as alike as what was sealed") {
  const DescriptorSeal seal("a secret");
  std::vector<FaceDescriptor> faces;
  for (uint64_t seed = 0; seed < 6; ++seed) {
    for (unsigned noise = 1; noise < 4; ++noise) faces.push_back(Seen(NeutralFace(seed), noise));
  }
  faces.push_back(FaceDescriptor());
  for (const FaceDescriptor& a : faces) {
    for (const FaceDescriptor& b : faces) {
      const float sealed = seal.Similarity(seal.Seal(a, kLane), seal.Seal(b, kLane));
      CHECK(std::abs(sealed - Similarity(a, b)) <= 0.002F);
    }
  }
}

TEST_CASE("what the seal did not make has similarity -1") {
  const DescriptorSeal seal("a secret");
  const std::string good = seal.Seal(Seen(NeutralFace(1)), kLane);
  REQUIRE(good.size() == DescriptorSeal::kSealedBytes);
  CHECK(seal.Similarity(good, good) == 1.0F);
  CHECK(seal.Similarity("", "") == -1.0F);
  CHECK(seal.Similarity(good, good.substr(1)) == -1.0F);
  CHECK(seal.Similarity(good + "x", good) == -1.0F);
  CHECK(seal.Similarity(std::string(good.size(), '\0'), good) == -1.0F);
  for (size_t at = 0; at < good.size(); at += 7) {
    std::string bent = good;
    bent[at] = static_cast<char>(bent[at] ^ 1);
    CHECK(seal.Similarity(good, bent) == -1.0F);
  }
  CHECK(DescriptorSeal("another").Similarity(good, good) == -1.0F);
  CHECK(seal.Similarity(good, seal.Seal(Seen(NeutralFace(1)), "another lane")) == -1.0F);
}

}  // namespace
}  // namespace emotion::embedding
