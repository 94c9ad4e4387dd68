// SHA-256 and HMAC-SHA256 by OpenSSL, in the two forms that this project needs.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace emotion {

using Digest = std::array<uint8_t, 32>;

// Hashes a sequence of parts. Update() takes bytes as they are; Field() puts their length before
// them, so that ("ab", "c") and ("a", "bc") differ. One owner at a time.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  Sha256& Update(std::span<const uint8_t> bytes);
  Sha256& Update(std::string_view bytes);
  Sha256& Field(std::string_view bytes);  // 8-byte little-endian length, then the bytes
  Sha256& Field(uint64_t number);         // as 8 little-endian bytes

  // Call once, last.
  Digest Finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

// HMAC-SHA256(key, message). Any key length, empty included.
Digest HmacSha256(std::string_view key, std::string_view message);

// Lower-case hexadecimal.
std::string Hex(std::span<const uint8_t> bytes);

}  // namespace emotion
