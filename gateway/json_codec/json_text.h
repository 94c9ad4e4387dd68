// Writing JSON by hand: answers have a fixed order of members and fixed decimals, which a document
// object would only get in the way of.
#pragma once

#include <string>
#include <string_view>

namespace emotion::gateway {

// Appends `text` as a JSON string with its quotes. Control characters are escaped; bytes that are
// not UTF-8 become U+FFFD, so the result is always valid JSON.
void AppendJsonString(std::string& out, std::string_view text);

std::string JsonString(std::string_view text);

// `value` with exactly `decimals` decimals. What is not finite becomes 0: an answer never holds
// NaN.
// "-0.000000" becomes "0.000000".
void AppendJsonNumber(std::string& out, double value, int decimals);

}  // namespace emotion::gateway
