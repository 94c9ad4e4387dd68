// Free-form entries of a checkpoint (crop, metrics) as JSON text and back.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "heads/pth/pickle_value.h"
#include "heads/pth/pth_writer.h"

namespace emotion::heads {

// None, bools, numbers, text, lists, tuples and dicts with text keys. Other values become null, as
// do NaN and infinity. INVALID_ARGUMENT for over 8 levels or 10,000 values.
absl::StatusOr<std::string> PickleToJson(const pth::PickleDocument& document,
                                         const pth::Node& node);

// INVALID_ARGUMENT for text that is no JSON, or over 8 levels.
absl::StatusOr<pth::ValueToWrite> JsonToPickle(const std::string& json);

}  // namespace emotion::heads
