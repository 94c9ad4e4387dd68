#include "common/config/near_miss.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace emotion {
namespace {

// Levenshtein's distance, one row at a time.
size_t Edits(std::string_view from, std::string_view to) {
  std::vector<size_t> row(to.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < from.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < to.size(); ++j) {
      const size_t replaced = diagonal + (from[i] == to[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string_view NearMiss(std::string_view name, std::span<const std::string_view> known) {
  std::string_view nearest;
  size_t fewest = 3;
  if (name.size() > 64) return nearest;
  for (const std::string_view candidate : known) {
    const size_t edits = Edits(name, candidate);
    if (edits < fewest && edits * 3 < candidate.size()) {
      fewest = edits;
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace emotion
