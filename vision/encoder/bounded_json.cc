#include "vision/encoder/bounded_json.h"

#include <filesystem>
#include <fstream>
#include <set>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "fmt/format.h"
#include "vision/encoder/model_error.h"

namespace emotion::vision {
namespace {

// The parser itself does not recurse, but what it builds costs memory per level and per bracket.
int NestingDepth(std::string_view text) {
  int depth = 0;
  int deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return deepest;
}

// Remembers the keys of every object that is open, to find a repeated one.
class RepeatedKeyFinder {
 public:
  bool operator()(int, nlohmann::json::parse_event_t event, nlohmann::json& value) {
    using Event = nlohmann::json::parse_event_t;
    if (event == Event::object_start) open_.emplace_back();
    if (event == Event::object_end) open_.pop_back();
    if (event == Event::key && !open_.empty()) {
      auto key = value.get<std::string>();
      if (!open_.back().insert(key).second && repeated.empty()) repeated = std::move(key);
    }
    return true;
  }

  std::string repeated;

 private:
  std::vector<std::set<std::string>> open_;
};

}  // namespace

absl::StatusOr<std::string> ReadSmallFile(const std::string& path, size_t max_bytes) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error == std::errc::no_such_file_or_directory) {
    return ModelMissing(fmt::format("{}: there is no such file", path));
  }
  if (error) return ModelError(fmt::format("{}: {}", path, error.message()));
  if (size > max_bytes) {
    return ModelError(fmt::format("{}: has {} bytes; at most {} are read", path, size, max_bytes));
  }
  std::string text(size, '\0');
  std::ifstream file(path, std::ios::binary);
  if (!file.read(text.data(), static_cast<std::streamsize>(size))) {
    return ModelError(fmt::format("{}: cannot be read", path));
  }
  return text;
}

absl::StatusOr<nlohmann::json> ParseBoundedJson(std::string_view text, std::string_view source,
                                                const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return ModelError(fmt::format("{}: has {} bytes; at most {} are read", source, text.size(),
                                  limits.max_bytes));
  }
  if (const int depth = NestingDepth(text); depth > limits.max_depth) {
    return ModelError(
        fmt::format("{}: nests {} deep; at most {} is read", source, depth, limits.max_depth));
  }
  RepeatedKeyFinder finder;
  try {
    auto value = nlohmann::json::parse(text, std::ref(finder));
    if (!finder.repeated.empty()) {
      return ModelError(fmt::format("{}: the key '{}' is there twice", source, finder.repeated));
    }
    if (!value.is_object()) {
      return ModelError(fmt::format("{}: is a JSON {}, not an object", source, value.type_name()));
    }
    return value;
  } catch (const nlohmann::json::exception& error) {
    return ModelError(fmt::format("{}: is not JSON: {}", source, error.what()));
  }
}

}  // namespace emotion::vision
