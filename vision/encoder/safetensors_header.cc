#include "vision/encoder/safetensors_header.h"

#include <optional>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "fmt/format.h"
#include "vision/encoder/model_error.h"

namespace emotion::vision {
namespace {

constexpr size_t kMaxTensors = 1'000'000;
constexpr size_t kMaxRank = 8;
constexpr size_t kMaxNameBytes = 512;
constexpr std::string_view kMetadataName = "__metadata__";

std::optional<DType> ParseDType(std::string_view name) {
  for (int i = 0; i <= static_cast<int>(DType::kF8E5M2); ++i) {
    if (DTypeName(static_cast<DType>(i)) == name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

// The header's grammar as a state machine over the parser's events:
//   { name: { "dtype": text, "shape": [int...], "data_offsets": [int, int] }, ... }
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool start_object(std::size_t) override {
    if (state_ == State::kStart) return Enter(State::kNames);
    if (state_ != State::kEntry) return Fail("an object where none belongs");
    return Enter(in_metadata_ ? State::kMetadata : State::kMember);
  }

  bool key(string_t& name) override {
    if (state_ == State::kMetadata) return true;
    if (state_ == State::kNames) return StartEntry(name);
    return StartMember(name);
  }

  bool end_object() override {
    if (state_ == State::kMetadata) {
      in_metadata_ = false;
      return Enter(State::kNames);
    }
    if (state_ == State::kMember) return FinishEntry();
    return Enter(State::kEnd);
  }

  bool start_array(std::size_t) override {
    if (state_ == State::kShapeValue) return Enter(State::kShape);
    if (state_ == State::kOffsetsValue) return Enter(State::kOffsets);
    return Fail("a list where none belongs");
  }

  bool end_array() override { return Enter(State::kMember); }

  bool string(string_t& text) override {
    if (state_ == State::kMetadata) return true;
    if (state_ != State::kDTypeValue) return Fail("a string where none belongs");
    const auto dtype = ParseDType(text);
    if (!dtype) return Fail(fmt::format("dtype '{}' is not known", text.substr(0, 16)));
    entry_.dtype = *dtype;
    return Enter(State::kMember);
  }

  bool number_unsigned(number_unsigned_t number) override {
    if (number > INT64_MAX) return Fail("a number past 63 bits");
    const auto value = static_cast<int64_t>(number);
    if (state_ == State::kShape) {
      if (entry_.shape.size() == kMaxRank) return Fail("a shape of more than 8 sizes");
      entry_.shape.push_back(value);
      return true;
    }
    if (state_ != State::kOffsets) return Fail("a number where none belongs");
    if (offsets_ == 2) return Fail("more than two data_offsets");
    (offsets_++ == 0 ? entry_.begin : entry_.end) = value;
    return true;
  }

  bool number_integer(number_integer_t) override { return Fail("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { return Fail("a fraction"); }
  bool null() override { return Fail("null where it does not belong"); }
  bool boolean(bool) override { return Fail("a boolean where none belongs"); }
  bool binary(binary_t&) override { return Fail("binary data"); }
  bool parse_error(std::size_t at, const std::string&,
                   const nlohmann::detail::exception&) override {
    if (problem_.empty()) problem_ = fmt::format("is not JSON at byte {}", at);
    return false;
  }

  const std::string& problem() const { return problem_; }
  std::vector<HeaderEntry> TakeEntries() { return std::move(entries_); }

 private:
  enum class State {
    kStart,
    kNames,         // between entries
    kEntry,         // after a name
    kMetadata,      // inside __metadata__
    kMember,        // inside an entry, between members
    kDTypeValue,    // after "dtype"
    kShapeValue,    // after "shape"
    kOffsetsValue,  // after "data_offsets"
    kShape,
    kOffsets,
    kEnd,
  };

  bool Enter(State state) {
    state_ = state;
    return true;
  }

  bool Fail(std::string_view what) {
    problem_ =
        entry_.name.empty() ? std::string(what) : fmt::format("tensor '{}': {}", entry_.name, what);
    return false;
  }

  bool StartEntry(const std::string& name) {
    if (name.size() > kMaxNameBytes) return Fail("a tensor name of more than 512 bytes");
    if (entries_.size() == kMaxTensors) return Fail("more than 1000000 tensors");
    entry_ = {};
    entry_.name = name;
    if (!names_.insert(name).second) return Fail("is there twice");
    in_metadata_ = name == kMetadataName;
    seen_.clear();
    offsets_ = 0;
    return Enter(State::kEntry);
  }

  bool StartMember(const std::string& name) {
    if (!seen_.insert(name).second) return Fail("a member is there twice");
    if (name == "dtype") return Enter(State::kDTypeValue);
    if (name == "shape") return Enter(State::kShapeValue);
    if (name == "data_offsets") return Enter(State::kOffsetsValue);
    return Fail(fmt::format("member '{}' is not known", name.substr(0, 32)));
  }

  bool FinishEntry() {
    if (seen_.size() != 3) return Fail("must have dtype, shape and data_offsets");
    if (offsets_ != 2) return Fail("must have two data_offsets");
    entries_.push_back(std::exchange(entry_, {}));
    return Enter(State::kNames);
  }

  State state_ = State::kStart;
  bool in_metadata_ = false;
  int offsets_ = 0;
  HeaderEntry entry_;
  std::set<std::string> seen_;   // members of this entry
  std::set<std::string> names_;  // tensors so far
  std::vector<HeaderEntry> entries_;
  std::string problem_;
};

}  // namespace

absl::StatusOr<std::vector<HeaderEntry>> ParseSafetensorsHeader(std::string_view json,
                                                                std::string_view source) {
  HeaderReader reader;
  // The format says '{'; without this a bare number or string would parse.
  const bool good = json.starts_with('{') && nlohmann::json::sax_parse(json, &reader);
  if (!good) {
    return ModelError(
        fmt::format("{}: safetensors header: {}", source,
                    reader.problem().empty() ? "must begin with '{'" : reader.problem()));
  }
  return reader.TakeEntries();
}

}  // namespace emotion::vision
