#include "common/hash/sha256.h"

#include <new>

#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace emotion {

struct Sha256::Context {
  EVP_MD_CTX* evp = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(evp); }
};

// OpenSSL's digests fail only where memory does.
Sha256::Sha256() : context_(std::make_unique<Context>()) {
  if (EVP_DigestInit_ex(context_->evp, EVP_sha256(), nullptr) != 1) throw std::bad_alloc();
}

Sha256::~Sha256() = default;

Sha256& Sha256::Update(std::span<const uint8_t> bytes) {
  EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size());
  return *this;
}

Sha256& Sha256::Update(std::string_view bytes) {
  EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size());
  return *this;
}

Sha256& Sha256::Field(std::string_view bytes) {
  Field(static_cast<uint64_t>(bytes.size()));
  return Update(bytes);
}

Sha256& Sha256::Field(uint64_t number) {
  std::array<uint8_t, 8> bytes;
  for (uint8_t& byte : bytes) {
    byte = static_cast<uint8_t>(number);
    number >>= 8;
  }
  return Update(bytes);
}

Digest Sha256::Finish() {
  Digest digest;
  EVP_DigestFinal_ex(context_->evp, digest.data(), nullptr);
  return digest;
}

Digest HmacSha256(std::string_view key, std::string_view message) {
  Digest digest;
  // A null key would mean "the key of the call before" to OpenSSL.
  HMAC(EVP_sha256(), key.empty() ? "" : key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const uint8_t*>(message.data()), message.size(), digest.data(), nullptr);
  return digest;
}

std::string Hex(std::span<const uint8_t> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (uint8_t byte : bytes) {
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

}  // namespace emotion
