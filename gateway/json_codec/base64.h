// Strict base64 (RFC 4648 section 4) and data URLs, as images arrive in JSON.
//
// Strict means canonical: the standard alphabet, padded to a multiple of four, no white space, and
// the unused bits of the last group are zero, so that one image has exactly one text. (OpenSSL's
// and Abseil's decoders forgive some of these; two texts for one image would be two answers to tell
// apart when a client asks why.)
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace emotion::gateway {

// nullopt when `text` is not canonical base64. "" decodes to "".
std::optional<std::string> DecodeBase64(std::string_view text);

std::string EncodeBase64(std::string_view bytes);

// The bytes behind `text`: plain base64, or "data:image/jpeg;base64,..." (jpeg, png, webp; the
// media type in any case). `field` is the path of the member, such as "image" or "images/3", and
// stands in the errors:
//   FIELD_INVALID      empty, not base64, a damaged data URL
//   IMAGE_UNSUPPORTED  a data URL of another media type
//   IMAGE_TOO_LARGE    more than `max_bytes` after decoding; nothing is decoded then
absl::StatusOr<std::string> DecodeImageText(std::string_view text, std::string_view field,
                                            size_t max_bytes);

}  // namespace emotion::gateway
