#include "heads/fingerprint.h"

#include "common/hash/sha256.h"

namespace emotion::heads {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string FormatFingerprint(const Fingerprint& fingerprint) { return Hex(fingerprint); }

std::optional<Fingerprint> ParseFingerprint(std::string_view hex) {
  Fingerprint fingerprint;
  if (hex.size() != 2 * fingerprint.size()) return std::nullopt;
  for (size_t i = 0; i < fingerprint.size(); ++i) {
    const int high = HexDigit(hex[2 * i]);
    const int low = HexDigit(hex[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    fingerprint[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return fingerprint;
}

}  // namespace emotion::heads
