#include "gateway/json_codec/base64.h"

#include <array>
#include <cstdint>

#include "common/error/error.h"
#include "fmt/format.h"

namespace emotion::gateway {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint32_t kBad = 0xFF000000;

using Table = std::array<uint32_t, 256>;

// One table per position of a group: the six bits already shifted into place, so that a group is
// four loads and three ors; a bad character sets the top byte, checked once per group.
constexpr Table MakeTable(int shift) {
  Table table{};
  table.fill(kBad);
  for (size_t i = 0; i < kAlphabet.size(); ++i) {
    table[static_cast<unsigned char>(kAlphabet[i])] = static_cast<uint32_t>(i) << shift;
  }
  return table;
}

constexpr Table kFirst = MakeTable(18);
constexpr Table kSecond = MakeTable(12);
constexpr Table kThird = MakeTable(6);
constexpr Table kFourth = MakeTable(0);

uint32_t Group(const unsigned char* in) {
  return kFirst[in[0]] | kSecond[in[1]] | kThird[in[2]] | kFourth[in[3]];
}

// The last group, with `padding` (1 or 2) of its characters "=". False when it is not canonical.
bool DecodeLast(const unsigned char* in, size_t padding, char* out) {
  const uint32_t third = padding == 2 ? 0 : kThird[in[2]];
  const uint32_t bits = kFirst[in[0]] | kSecond[in[1]] | third;
  const uint32_t unused = padding == 2 ? 0xFFFF : 0xFF;
  if ((bits & kBad) != 0 || (bits & unused) != 0) return false;
  out[0] = static_cast<char>(bits >> 16);
  if (padding == 1) out[1] = static_cast<char>(bits >> 8);
  return true;
}

size_t PaddingOf(std::string_view text) {
  if (!text.ends_with('=')) return 0;
  return text.ends_with("==") ? 2 : 1;
}

size_t DecodedSize(std::string_view text) { return text.size() / 4 * 3 - PaddingOf(text); }

bool StartsWithIgnoringCase(std::string_view text, std::string_view lower_prefix) {
  if (text.size() < lower_prefix.size()) return false;
  for (size_t i = 0; i < lower_prefix.size(); ++i) {
    const char c = text[i];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c) != lower_prefix[i]) return false;
  }
  return true;
}

// Strips "data:image/...;base64," where there is one.
absl::StatusOr<std::string_view> Payload(std::string_view text, std::string_view field) {
  if (!StartsWithIgnoringCase(text, "data:")) return text;
  const size_t comma = text.substr(0, 128).find(',');
  if (comma == std::string_view::npos) return FieldError(field, "is a data URL without a comma");
  const std::string_view head = text.substr(0, comma);
  for (const std::string_view known :
       {"data:image/jpeg;base64", "data:image/png;base64", "data:image/webp;base64"}) {
    if (head.size() == known.size() && StartsWithIgnoringCase(head, known)) {
      return text.substr(comma + 1);
    }
  }
  if (!head.ends_with(";base64")) return FieldError(field, "is a data URL that is not base64");
  return WithViolation(
      Error(Reason::kImageUnsupported,
            fmt::format("{}: only image/jpeg, image/png and image/webp are taken", field)),
      {std::string(field), "is a data URL of another media type"});
}

}  // namespace

std::optional<std::string> DecodeBase64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  if (text.empty()) return std::string();
  const size_t padding = PaddingOf(text);
  std::string bytes(DecodedSize(text), '\0');
  const auto* in = reinterpret_cast<const unsigned char*>(text.data());
  const auto* const end = in + text.size() - (padding == 0 ? 0 : 4);
  char* out = bytes.data();
  uint32_t seen = 0;
  for (; in != end; in += 4, out += 3) {
    const uint32_t bits = Group(in);
    seen |= bits;
    out[0] = static_cast<char>(bits >> 16);
    out[1] = static_cast<char>(bits >> 8);
    out[2] = static_cast<char>(bits);
  }
  if ((seen & kBad) != 0) return std::nullopt;
  if (padding != 0 && !DecodeLast(in, padding, out)) return std::nullopt;
  return bytes;
}

std::string EncodeBase64(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t left = std::min<size_t>(3, bytes.size() - i);
    uint32_t bits = 0;
    for (size_t j = 0; j < 3; ++j) {
      bits = bits << 8 | (j < left ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    }
    for (size_t j = 0; j < 4; ++j) {
      text.push_back(j <= left ? kAlphabet[bits >> (18 - 6 * j) & 63] : '=');
    }
  }
  return text;
}

absl::StatusOr<std::string> DecodeImageText(std::string_view text, std::string_view field,
                                            size_t max_bytes) {
  absl::StatusOr<std::string_view> payload = Payload(text, field);
  if (!payload.ok()) return payload.status();
  if (payload->empty()) return FieldError(field, "is empty");
  if (payload->size() % 4 == 0 && DecodedSize(*payload) > max_bytes) {
    return WithViolation(
        Error(Reason::kImageTooLarge, fmt::format("{}: {} bytes; at most {} are taken", field,
                                                  DecodedSize(*payload), max_bytes)),
        {std::string(field), fmt::format("must have at most {} bytes", max_bytes)});
  }
  std::optional<std::string> bytes = DecodeBase64(*payload);
  if (!bytes) return FieldError(field, "is not base64 (standard alphabet, padded, no white space)");
  return *std::move(bytes);
}

}  // namespace emotion::gateway
