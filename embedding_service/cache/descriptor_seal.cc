#include <algorithm>
#include <cmath>
#include <memory>
#include <new>
#include <optional>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "common/hash/sha256.h"
#include "embedding_service/cache/face_blocks.h"
#include "embedding_service/cache/near_duplicate.h"

namespace emotion::embedding {
namespace {

// A sealed descriptor: signature of lane tag and numbers (16 bytes; also where the cipher starts),
// then, enciphered, the lane's tag (32 bytes) and the numbers. Two pictures' numbers of one lane
// are enciphered unlike unless they are the same, so that their differences say nothing either.
constexpr size_t kSignBytes = 16;
constexpr size_t kTagBytes = 32;
constexpr size_t kNumberBytes = size_t{kBlocks} * 3 * kBlockCells * 2;
static_assert(kSignBytes + kTagBytes + kNumberBytes == DescriptorSeal::kSealedBytes);

constexpr float kSteps = 64;  // stored numbers to one of contrast; 4 x 127 of them fit 16 bits
constexpr int kRounds = 3;    // of signs and mixing; two leave plain cells visible

std::string_view Bytes(const std::array<uint8_t, 32>& key) {
  return {reinterpret_cast<const char*>(key.data()), key.size()};
}

// `text` with the key's stream from `start` on: AES-256 in counter mode. Its own inverse.
void Encipher(const std::array<uint8_t, 32>& key, std::string_view start, char* text, size_t size) {
  const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context(
      EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  auto* bytes = reinterpret_cast<unsigned char*>(text);
  int written = 0;
  const bool done =
      context != nullptr &&
      EVP_EncryptInit_ex(context.get(), EVP_aes_256_ctr(), nullptr, key.data(),
                         reinterpret_cast<const unsigned char*>(start.data())) == 1 &&
      EVP_EncryptUpdate(context.get(), bytes, &written, bytes, static_cast<int>(size)) == 1;
  if (!done) throw std::bad_alloc();  // nothing else leads here
}

// Two bytes of signs for each round and block.
using RotationBits = std::array<uint16_t, kBlocks * kRounds>;

RotationBits BitsOf(const Digest& lane_key) {
  RotationBits bits{};
  constexpr std::string_view kStart("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
  Encipher(lane_key, kStart, reinterpret_cast<char*>(bits.data()), sizeof(bits));
  return bits;
}

// Signs, then a Hadamard transform: orthogonal, and each value depends on all of the block.
void MixOnce(BlockVector& values, uint16_t signs) {
  for (size_t i = 0; i < values.size(); ++i) {
    if ((signs >> i) & 1) values[i] = -values[i];
  }
  for (size_t step = 1; step < values.size(); step *= 2) {
    for (size_t i = 0; i < values.size(); ++i) {
      if ((i & step) != 0) continue;
      const float sum = values[i] + values[i + step];
      values[i + step] = values[i] - values[i + step];
      values[i] = sum;
    }
  }
  for (float& value : values) value /= 4;  // sqrt(kBlockCells)
}

void Rotate(FaceBlocks& blocks, const RotationBits& bits) {
  for (size_t b = 0; b < kBlocks; ++b) {
    for (size_t round = 0; round < kRounds; ++round) {
      const uint16_t signs = bits[b * kRounds + round];
      MixOnce(blocks[b].contrast, signs);
      MixOnce(blocks[b].slope_x, signs);
      MixOnce(blocks[b].slope_y, signs);
    }
  }
}

void Put(std::string& out, const BlockVector& values) {
  for (float value : values) {
    const auto number =
        static_cast<int>(std::lround(std::clamp(value * kSteps, -32767.F, 32767.F)));
    out.push_back(static_cast<char>(number & 0xff));
    out.push_back(static_cast<char>((number >> 8) & 0xff));
  }
}

std::string NumbersOf(const FaceBlocks& blocks) {
  std::string numbers;
  numbers.reserve(kNumberBytes);
  for (const FaceBlock& block : blocks) {
    Put(numbers, block.contrast);
    Put(numbers, block.slope_x);
    Put(numbers, block.slope_y);
  }
  return numbers;
}

void Take(std::string_view& numbers, BlockVector& values) {
  for (size_t i = 0; i < values.size(); ++i) {
    const auto low = static_cast<uint8_t>(numbers[2 * i]);
    const auto high = static_cast<uint8_t>(numbers[2 * i + 1]);
    values[i] = static_cast<float>(static_cast<int16_t>(low | (high << 8))) / kSteps;
  }
  numbers.remove_prefix(2 * values.size());
}

FaceBlocks BlocksIn(std::string_view numbers) {
  FaceBlocks blocks;
  for (FaceBlock& block : blocks) {
    Take(numbers, block.contrast);
    Take(numbers, block.slope_x);
    Take(numbers, block.slope_y);
  }
  return blocks;
}

std::string SignatureOf(const std::array<uint8_t, 32>& key, std::string_view opened) {
  const Digest digest = HmacSha256(Bytes(key), opened);
  return {reinterpret_cast<const char*>(digest.data()), kSignBytes};
}

// Lane tag and numbers; nullopt for what was not sealed with these keys.
std::optional<std::string> Open(const std::array<uint8_t, 32>& cipher_key,
                                const std::array<uint8_t, 32>& sign_key, std::string_view sealed) {
  if (sealed.size() != DescriptorSeal::kSealedBytes) return std::nullopt;
  const std::string_view signature = sealed.substr(0, kSignBytes);
  std::string opened(sealed.substr(kSignBytes));
  Encipher(cipher_key, signature, opened.data(), opened.size());
  const std::string expected = SignatureOf(sign_key, opened);
  if (CRYPTO_memcmp(expected.data(), signature.data(), kSignBytes) != 0) return std::nullopt;
  return opened;
}

}  // namespace

DescriptorSeal::DescriptorSeal(std::string_view cache_secret)
    : rotation_key_(HmacSha256(cache_secret, "emotion near rotation 1")),
      cipher_key_(HmacSha256(cache_secret, "emotion near cipher 1")),
      sign_key_(HmacSha256(cache_secret, "emotion near signature 1")) {}

std::string DescriptorSeal::Seal(const FaceDescriptor& descriptor, std::string_view lane) const {
  const Digest lane_key = HmacSha256(Bytes(rotation_key_), lane);
  FaceBlocks blocks = BlocksOf(descriptor);
  Rotate(blocks, BitsOf(lane_key));
  const Digest tag = HmacSha256(Bytes(sign_key_), Bytes(lane_key));
  std::string opened(Bytes(tag));
  opened += NumbersOf(blocks);
  std::string sealed = SignatureOf(sign_key_, opened);
  Encipher(cipher_key_, sealed, opened.data(), opened.size());
  return sealed += opened;
}

float DescriptorSeal::Similarity(std::string_view sealed_a, std::string_view sealed_b) const {
  const auto a = Open(cipher_key_, sign_key_, sealed_a);
  const auto b = Open(cipher_key_, sign_key_, sealed_b);
  if (!a || !b || a->compare(0, kTagBytes, *b, 0, kTagBytes) != 0) return -1;
  return SimilarityOf(BlocksIn(std::string_view(*a).substr(kTagBytes)),
                      BlocksIn(std::string_view(*b).substr(kTagBytes)));
}

}  // namespace emotion::embedding
