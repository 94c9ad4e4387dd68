// Which of the known names was probably meant by a mistyped one.
#pragma once

#include <span>
#include <string_view>

namespace emotion {

// The known name with the fewest edits (insert, delete, replace) from `name`, at most 2 and less
// than a third of its length; empty when none is so near.
std::string_view NearMiss(std::string_view name, std::span<const std::string_view> known);

}  // namespace emotion
