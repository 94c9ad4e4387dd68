// Text from outside, made safe to pass on: protobuf strings and JSON must be valid UTF-8.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace emotion {

// `text` with every invalid byte replaced by U+FFFD and cut to at most `max_bytes` at a character's
// boundary. Overlong forms, surrogates and values above U+10FFFF count as invalid.
std::string CleanUtf8(std::string_view text, size_t max_bytes = std::string::npos);

bool IsUtf8(std::string_view text);

}  // namespace emotion
