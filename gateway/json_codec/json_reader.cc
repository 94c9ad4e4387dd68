#include "gateway/json_codec/json_reader.h"

#include <limits>
#include <set>
#include <utility>
#include <vector>

#include "common/error/error.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace emotion::gateway {
namespace {

using Json = nlohmann::json;

absl::Status Malformed(std::string_view why) {
  return Error(Reason::kFieldInvalid, fmt::format("the body is not the JSON expected: {}", why));
}

// Names are kept to find duplicates; more of them than any request needs is an attack on memory.
constexpr size_t kMaxNames = 1024;

// The interface that nlohmann's parser calls. Each function returns false to stop.
class Handler : public nlohmann::json_sax<Json> {
 public:
  explicit Handler(JsonSink& sink) : sink_(sink) {}

  bool null() override { return Value(JsonNull{}); }
  bool boolean(bool value) override { return Value(value); }
  bool number_integer(number_integer_t value) override { return Value(int64_t{value}); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return Value(static_cast<double>(value));
    }
    return Value(static_cast<int64_t>(value));
  }
  bool number_float(number_float_t value, const string_t& /*text*/) override {
    return Value(value);
  }
  bool string(string_t& value) override { return Value(std::move(value)); }
  bool binary(binary_t& /*value*/) override { return Stop(Malformed("binary")); }

  bool start_object(std::size_t /*elements*/) override {
    if (levels_.empty()) return Push(true);
    return Value(JsonObject{}) && Push(true);
  }
  bool start_array(std::size_t /*elements*/) override { return Value(JsonArray{}) && Push(false); }
  bool end_object() override { return Pop(); }
  bool end_array() override { return Pop(); }

  bool key(string_t& name) override {
    Level& level = levels_.back();
    if (++names_ > kMaxNames) return Stop(Malformed("too many members"));
    if (levels_.size() == 1) name_ = name;
    if (!level.names.insert(std::move(name)).second) {
      return Stop(Malformed("a member stands there twice"));
    }
    return true;
  }

  bool parse_error(std::size_t position, const std::string& /*last_token*/,
                   const nlohmann::detail::exception& /*error*/) override {
    // The parser's own text may quote the body, which is nobody's business in a log.
    return Stop(Malformed(fmt::format("it is damaged at byte {}", position)));
  }

  absl::Status status() const { return status_; }

 private:
  struct Level {
    bool is_object;
    std::set<std::string> names;
    size_t next_index = 0;
  };

  bool Stop(absl::Status status) {
    if (status_.ok()) status_ = std::move(status);
    return false;
  }

  bool Push(bool is_object) {
    if (levels_.size() >= kMaxJsonDepth) {
      return Stop(Malformed(fmt::format("it is nested deeper than {}", kMaxJsonDepth)));
    }
    levels_.push_back({is_object, {}, 0});
    return true;
  }

  bool Pop() {
    names_ -= levels_.back().names.size();
    levels_.pop_back();
    return true;
  }

  bool Value(JsonValue&& value) {
    if (levels_.empty()) return Stop(Malformed("it must be one object"));
    if (levels_.size() == 1) return Tell(std::nullopt, std::move(value));
    Level& level = levels_.back();
    if (levels_.size() > 2 || level.is_object) return true;
    return Tell(level.next_index++, std::move(value));
  }

  bool Tell(std::optional<size_t> index, JsonValue&& value) {
    absl::Status status = sink_.OnValue(name_, index, std::move(value));
    return status.ok() || Stop(std::move(status));
  }

  JsonSink& sink_;
  std::vector<Level> levels_;
  size_t names_ = 0;
  std::string name_;
  absl::Status status_;
};

}  // namespace

absl::Status ReadJsonObject(std::string_view text, JsonSink& sink) {
  Handler handler(sink);
  bool whole = false;
  try {
    whole = Json::sax_parse(text, &handler);
  } catch (const Json::exception&) {
    return Malformed("it cannot be read");
  }
  if (!handler.status().ok()) return handler.status();
  return whole ? absl::OkStatus() : Malformed("it cannot be read");
}

}  // namespace emotion::gateway
