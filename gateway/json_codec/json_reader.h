// Reads the JSON object of a request, strictly and without building a document.
//
// The members of the outermost object are handed to a sink one by one; the elements of its arrays
// too. What lies deeper is checked and dropped, so memory does not depend on what strangers nest.
// Refused: anything but one object, duplicate names in any object, depth above 32, NaN and numbers
// out of range, text that is not UTF-8, bytes behind the end.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "absl/status/status.h"

namespace emotion::gateway {

inline constexpr size_t kMaxJsonDepth = 32;

struct JsonNull {};
struct JsonObject {};  // its members are not handed over
struct JsonArray {};   // its elements follow, each with an index

// Integers outside int64 arrive as double.
using JsonValue = std::variant<JsonNull, bool, int64_t, double, std::string, JsonArray, JsonObject>;

class JsonSink {
 public:
  virtual ~JsonSink() = default;
  // `name` is a member of the outermost object; `index` is set for an element of the array that
  // member holds. Takes `value` over. An error ends the reading and is what ReadJsonObject returns.
  virtual absl::Status OnValue(std::string_view name, std::optional<size_t> index,
                               JsonValue&& value) = 0;
};

// INVALID_ARGUMENT (FIELD_INVALID) for bad JSON, saying where; else the sink's first error.
absl::Status ReadJsonObject(std::string_view text, JsonSink& sink);

}  // namespace emotion::gateway
