#include <cmath>

#include <catch2/catch.hpp>

#include "tests/unit/embedding_service/cache/near_faces.h"
#include "tests/unit/embedding_service/cache/seal_attack.h"

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

// Bytes as they would be stored without a seal: the attacks must succeed on them.
std::string Plain(const FaceDescriptor& descriptor) {
  return {reinterpret_cast<const char*>(descriptor.contrasts().data()),
          descriptor.contrasts().size()};
}

// Many frames of one learner who does everything, in one lane.
std::vector<FaceDescriptor> OneLearner(size_t frames) {
  training::Random random(11);
  std::vector<FaceDescriptor> seen;
  for (unsigned i = 0; i < frames; ++i) {
    training::FaceParameters face = NeutralFace(3);
    face.expression.eye_openness = random.Uniform();
    face.expression.gaze_x = random.Uniform(-1, 1);
    face.expression.mouth_openness = random.Uniform();
    face.scene.centre_x += random.Normal(0, 0.02);
    face.scene.exposure = random.Uniform(0.7, 1);
    seen.push_back(Seen(face, i));
  }
  return seen;
}

// What there is to find out of a descriptor: cells, a block's mean square, and that of all.
std::vector<Numbers> Secrets(const std::vector<FaceDescriptor>& faces) {
  std::vector<Numbers> secrets(6);
  for (const FaceDescriptor& face : faces) {
    const auto& cells = face.contrasts();
    for (size_t i = 0; i < 4; ++i) secrets[i].push_back(cells[(8 + 3 * i) * 28 + 9 + 2 * i]);
    double block = 0, all = 0;
    for (size_t i = 0; i < cells.size(); ++i) {
      const double square = cells[i] * cells[i];
      all += square;
      if (i / 28 >= 18 && i / 28 < 22 && i % 28 >= 12 && i % 28 < 16) block += square;
    }
    secrets[4].push_back(block);
    secrets[5].push_back(all);
  }
  return secrets;
}

TEST_CASE("from sealed descriptors of a lane nothing can be learnt about further ones") {
  const DescriptorSeal seal("a secret");
  const std::vector<FaceDescriptor> faces = OneLearner(300);
  std::vector<std::string> plain, sealed;
  for (const FaceDescriptor& face : faces) {
    plain.push_back(Plain(face));
    sealed.push_back(seal.Seal(face, kLane));
  }
  // Of 100 told at random the correlation has a deviation of 0.1.
  for (const Numbers& secret : Secrets(faces)) {
    CHECK(LearnAndTell(plain, secret) > 0.4);
    CHECK(std::abs(LearnAndTell(sealed, secret)) < 0.4);
  }
}

TEST_CASE("no byte of sealed descriptors goes with a face's contrasts") {
  const DescriptorSeal seal("a secret");
  const std::vector<FaceDescriptor> faces = OneLearner(200);
  const Numbers secret = Secrets(faces)[0];
  double largest = 0, largest_plain = 0;
  std::vector<std::string> sealed;
  for (const FaceDescriptor& face : faces) sealed.push_back(seal.Seal(face, kLane));
  for (size_t at = 0; at < DescriptorSeal::kSealedBytes; ++at) {
    Numbers bytes;
    for (const std::string& one : sealed) bytes.push_back(static_cast<int8_t>(one[at]));
    largest = std::max(largest, std::abs(Correlation(bytes, secret)));
  }
  for (size_t at = 0; at < faces[0].contrasts().size(); ++at) {
    Numbers cells;
    for (const FaceDescriptor& face : faces) cells.push_back(face.contrasts()[at]);
    largest_plain = std::max(largest_plain, std::abs(Correlation(cells, secret)));
  }
  CHECK(largest_plain > 0.9);
  CHECK(largest < 0.4);  // the largest of 2,928 by chance: about 0.25
}

TEST_CASE("a face in one lane cannot be found again in another, nor two frames in one") {
  const DescriptorSeal seal("a secret");
  std::vector<std::string> plain_a, plain_b, lane_a, lane_b, lane_a_again;
  constexpr uint64_t kFaces = 60;
  for (uint64_t seed = 0; seed < kFaces; ++seed) {
    const FaceDescriptor face = Seen(NeutralFace(seed), 1);
    const FaceDescriptor again = Seen(NeutralFace(seed), 2);
    plain_a.push_back(Plain(face));
    plain_b.push_back(Plain(again));
    lane_a.push_back(seal.Seal(face, "lane a"));
    lane_b.push_back(seal.Seal(face, "lane b"));
    lane_a_again.push_back(seal.Seal(again, "lane a"));
  }
  CHECK(Recognised(plain_a, plain_b) == kFaces);
  CHECK(Recognised(lane_a, lane_b) < 8);  // by chance: one
  CHECK(Recognised(lane_a, lane_a_again) < 8);
}

TEST_CASE("sealed bytes are as even as noise, also of a picture without contrast") {
  const DescriptorSeal seal("a secret");
  for (const FaceDescriptor& face : {FaceDescriptor(), Seen(NeutralFace(5))}) {
    std::array<int, 256> counts{};
    constexpr int kSeals = 100;
    for (int lane = 0; lane < kSeals; ++lane) {
      for (char byte : seal.Seal(face, std::to_string(lane))) ++counts[static_cast<uint8_t>(byte)];
    }
    const double expected = kSeals * double{DescriptorSeal::kSealedBytes} / 256;
    double chi_square = 0;
    for (int count : counts) chi_square += (count - expected) * (count - expected) / expected;
    CHECK(chi_square < 255 + 5 * std::sqrt(2.0 * 255));
  }
}

TEST_CASE("sealing depends on the secret and on the lane, and on nothing else") {
  const FaceDescriptor face = Seen(NeutralFace(2));
  CHECK(DescriptorSeal("s").Seal(face, kLane) == DescriptorSeal("s").Seal(face, kLane));
  CHECK(DescriptorSeal("s").Seal(face, kLane) != DescriptorSeal("t").Seal(face, kLane));
  CHECK(DescriptorSeal("s").Seal(face, kLane) != DescriptorSeal("s").Seal(face, "other"));
  CHECK(DescriptorSeal("").Seal(face, "").size() == DescriptorSeal::kSealedBytes);
}

}  // namespace
}  // namespace emotion::embedding
