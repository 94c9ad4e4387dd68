#include "vision/preprocess/preprocessor_config.h"

#include <cmath>
#include <fstream>
#include <iterator>
#include <optional>

#include <nlohmann/json.hpp>

#include "common/error/error.h"
#include "fmt/format.h"

namespace emotion::vision {
namespace {

using Json = nlohmann::json;

constexpr int64_t kMaxPatchSize = 64, kMaxTemporalPatchSize = 16, kMaxMergeSize = 8;
constexpr int64_t kMaxPixels = int64_t{1} << 32;
constexpr std::uintmax_t kMaxFileBytes = 1 << 20;
constexpr int kPilBicubic = 3;

// Reads checked fields of one JSON object and remembers the first thing that was wrong.
class FieldReader {
 public:
  FieldReader(const Json& object, std::string source)
      : object_(object), source_(std::move(source)) {}

  template <typename Int>
  void ReadInt(const char* key, int64_t most, Int& value) {
    const Json* field = Find(object_, key);
    if (field != nullptr) TakeInt(*field, key, most, value);
  }

  void ReadEdge(const char* key, int64_t& value) {
    const Json* size = Find(object_, "size");
    if (size == nullptr) return;
    if (!size->is_object()) return Refuse("size", "must be an object");
    if (const Json* field = Find(*size, key)) TakeInt(*field, key, kMaxPixels, value);
  }

  void ReadReal(const char* key, double& value) {
    if (const Json* field = Find(object_, key)) TakeReal(*field, key, value);
  }

  void ReadColour(const char* key, std::array<double, 3>& value) {
    const Json* field = Find(object_, key);
    if (field == nullptr) return;
    if (!field->is_array() || field->size() != value.size()) {
      return Refuse(key, "must be a list of 3 numbers");
    }
    for (size_t i = 0; i < value.size(); ++i) TakeReal((*field)[i], key, value[i]);
  }

  void Require(const char* key, const Json& expected) {
    const Json* field = Find(object_, key);
    if (field != nullptr && *field != expected) {
      Refuse(key, fmt::format("must be {}; is {}", expected.dump(), field->dump()));
    }
  }

  void Refuse(const char* key, std::string_view what) {
    if (status_.ok()) status_ = FieldError(fmt::format("{}: {}", source_, key), what);
  }

  const absl::Status& status() const { return status_; }

 private:
  // null counts as absent, as in transformers.
  static const Json* Find(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found == object.end() || found->is_null() ? nullptr : &*found;
  }

  template <typename Int>
  void TakeInt(const Json& field, const char* key, int64_t most, Int& value) {
    if (!field.is_number_integer() || field.get<int64_t>() < 1 || field.get<int64_t>() > most) {
      return Refuse(key, fmt::format("must be an integer of 1 to {}; is {}", most, field.dump()));
    }
    value = static_cast<Int>(field.get<int64_t>());
  }

  void TakeReal(const Json& field, const char* key, double& value) {
    if (!field.is_number() || !std::isfinite(field.get<double>())) {
      return Refuse(key, fmt::format("must be a finite number; is {}", field.dump()));
    }
    value = field.get<double>();
  }

  const Json& object_;
  std::string source_;
  absl::Status status_;
};

absl::StatusOr<PreprocessorConfig> FromJson(const Json& object, const std::string& source) {
  PreprocessorConfig config;
  FieldReader reader(object, source);
  reader.ReadInt("patch_size", kMaxPatchSize, config.patch_size);
  reader.ReadInt("temporal_patch_size", kMaxTemporalPatchSize, config.temporal_patch_size);
  reader.ReadInt("merge_size", kMaxMergeSize, config.merge_size);
  reader.ReadEdge("shortest_edge", config.min_pixels);
  reader.ReadEdge("longest_edge", config.max_pixels);
  reader.ReadInt("min_pixels", kMaxPixels, config.min_pixels);
  reader.ReadInt("max_pixels", kMaxPixels, config.max_pixels);
  reader.ReadReal("rescale_factor", config.rescale_factor);
  reader.ReadColour("image_mean", config.mean);
  reader.ReadColour("image_std", config.std);
  for (const char* step : {"do_resize", "do_rescale", "do_normalize", "do_convert_rgb"}) {
    reader.Require(step, true);
  }
  reader.Require("resample", kPilBicubic);
  if (config.min_pixels > config.max_pixels) {
    reader.Refuse("min_pixels", fmt::format("{} must not be over max_pixels {}", config.min_pixels,
                                            config.max_pixels));
  }
  for (const double std : config.std) {
    // Checked as the float32 that it is divided by.
    if (!(static_cast<float>(std) > 0)) reader.Refuse("image_std", "must be positive");
  }
  if (!reader.status().ok()) return reader.status();
  return config;
}

absl::StatusOr<std::optional<std::string>> ReadSmallFile(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return std::nullopt;
  if (std::filesystem::file_size(path, error) > kMaxFileBytes || error) {
    return FieldError(path.string(),
                      fmt::format("must be a file of at most {} bytes", kMaxFileBytes));
  }
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file) return FieldError(path.string(), "cannot be read");
  return text;
}

}  // namespace

absl::StatusOr<PreprocessorConfig> ParsePreprocessorConfig(const std::string& json,
                                                           const std::string& source) {
  const Json document = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return FieldError(source, "is not a JSON object");
  const auto nested = document.find("image_processor");
  if (nested == document.end()) return FromJson(document, source);
  if (!nested->is_object()) return FieldError(source, "image_processor is not a JSON object");
  return FromJson(*nested, source);
}

absl::StatusOr<PreprocessorConfig> ReadPreprocessorConfig(const std::filesystem::path& directory) {
  for (const char* name : {"preprocessor_config.json", "processor_config.json"}) {
    const std::filesystem::path path = directory / name;
    const auto text = ReadSmallFile(path);
    if (!text.ok()) return text.status();
    if (!*text) continue;
    return ParsePreprocessorConfig(**text, path.string());
  }
  return PreprocessorConfig();
}

std::string CanonicalText(const PreprocessorConfig& config) {
  const auto list = [](const std::array<double, 3>& values) {
    return fmt::format("{},{},{}", values[0], values[1], values[2]);
  };
  return fmt::format(
      "image_mean={}\nimage_std={}\nmax_pixels={}\nmerge_size={}\nmin_pixels={}\npatch_size={}\n"
      "rescale_factor={}\ntemporal_patch_size={}\n",
      list(config.mean), list(config.std), config.max_pixels, config.merge_size, config.min_pixels,
      config.patch_size, config.rescale_factor, config.temporal_patch_size);
}

}  // namespace emotion::vision
