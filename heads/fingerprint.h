// Digests that say which encoder an embedding comes from and which heads judged it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace emotion::heads {

using Fingerprint = std::array<uint8_t, 32>;  // SHA-256

// 64 lower-case hexadecimal digits.
std::string FormatFingerprint(const Fingerprint& fingerprint);

// The inverse, in either case; nullopt for any other text.
std::optional<Fingerprint> ParseFingerprint(std::string_view hex);

}  // namespace emotion::heads
