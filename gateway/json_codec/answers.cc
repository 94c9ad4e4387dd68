#include "gateway/json_codec/answers.h"

#include <array>
#include <optional>
#include <vector>

#include "common/affect/affect.h"
#include "fmt/format.h"
#include "gateway/json_codec/json_text.h"

namespace emotion::gateway {
namespace {

constexpr int kProbabilityDecimals = 6;
constexpr int kTimeDecimals = 3;

// Writes one object or array level; keeps track of commas.
class Level {
 public:
  Level(std::string& out, char open, char close) : out_(out), close_(close) { out_ += open; }
  ~Level() { out_ += close_; }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;

  std::string& Member(std::string_view name) {
    Element();
    AppendJsonString(out_, name);
    out_ += ':';
    return out_;
  }
  std::string& Element() {
    if (!first_) out_ += ',';
    first_ = false;
    return out_;
  }
  void Text(std::string_view name, std::string_view value) {
    AppendJsonString(Member(name), value);
  }
  void Number(std::string_view name, double value, int decimals) {
    AppendJsonNumber(Member(name), value, decimals);
  }
  void Integer(std::string_view name, uint64_t value) { Member(name) += std::to_string(value); }
  void Bool(std::string_view name, bool value) { Member(name) += value ? "true" : "false"; }

 private:
  std::string& out_;
  char close_;
  bool first_ = true;
};

std::string StateText(v1::AffectiveState state) {
  const int index = static_cast<int>(state) - 1;
  if (index < 0 || index >= static_cast<int>(kStateCount)) return "";
  return std::string(StateName(kStates[static_cast<size_t>(index)]));
}

std::string_view WarningName(v1::QualityWarning warning) {
  switch (warning) {
    case v1::QUALITY_WARNING_TOO_DARK:
      return "too_dark";
    case v1::QUALITY_WARNING_TOO_BRIGHT:
      return "too_bright";
    case v1::QUALITY_WARNING_BLURRED:
      return "blurred";
    case v1::QUALITY_WARNING_TOO_SMALL:
      return "too_small";
    case v1::QUALITY_WARNING_NOT_SQUARE:
      return "not_square";
    case v1::QUALITY_WARNING_NO_FACE:
      return "no_face";
    case v1::QUALITY_WARNING_MULTIPLE_FACES:
      return "multiple_faces";
    default:
      return "";
  }
}

std::string_view PrecisionName(v1::Precision precision) {
  switch (precision) {
    case v1::PRECISION_F32:
      return "fp32";
    case v1::PRECISION_BF16:
      return "bf16";
    case v1::PRECISION_F16:
      return "fp16";
    case v1::PRECISION_INT8:
      return "int8";
    case v1::PRECISION_MIXED_INT8:
      return "mixed_int8";
    default:
      return "";
  }
}

std::string Hex(std::string_view bytes) {
  std::string hex;
  for (const char byte : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return hex;
}

void WriteState(std::string& out, const v1::StatePrediction& prediction, std::string_view name) {
  Level object(out, '{', '}');
  object.Text("category", name);
  object.Integer("level", prediction.level());
  object.Number("confidence", prediction.confidence(), kProbabilityDecimals);
  {
    object.Member("probabilities");
    Level array(out, '[', ']');
    for (const float probability : prediction.probabilities()) {
      AppendJsonNumber(array.Element(), probability, kProbabilityDecimals);
    }
  }
  object.Number("expected_level", prediction.expected_level(), kProbabilityDecimals);
}

void WritePredictions(std::string& out, const v1::PredictResult& result) {
  Level object(out, '{', '}');
  for (const v1::StatePrediction& prediction : result.predictions()) {
    const std::string name = StateText(prediction.state());
    if (name.empty()) continue;  // a state that a later release of the classifier knows
    WriteState(object.Member(name), prediction, name);
  }
}

void WriteQuality(std::string& out, const v1::PredictResult& result) {
  Level object(out, '{', '}');
  object.Bool("usable", result.quality_usable());
  object.Member("warnings");
  Level array(out, '[', ']');
  for (const int warning : result.quality_warnings()) {
    const std::string_view name = WarningName(static_cast<v1::QualityWarning>(warning));
    if (!name.empty()) AppendJsonString(array.Element(), name);
  }
}

void WriteFace(std::string& out, const v1::FaceBox& face) {
  Level object(out, '{', '}');
  object.Number("x", face.x(), 1);
  object.Number("y", face.y(), 1);
  object.Number("width", face.width(), 1);
  object.Number("height", face.height(), 1);
  object.Integer("faces_found", face.faces_found());
}

void WriteHead(std::string& out, const v1::Head& head) {
  Level object(out, '{', '}');
  object.Text("state", StateText(head.state()));
  object.Text("file", head.file());
  if (head.has_val_f1()) {
    object.Number("val_f1", head.val_f1(), kProbabilityDecimals);
  } else {
    object.Member("val_f1") += "null";
  }
  object.Integer("input_dim", head.input_dim());
  object.Integer("input_width", head.input_width());
  object.Integer("input_height", head.input_height());
  object.Text("encoder_fingerprint", Hex(head.encoder_fingerprint()));
  object.Bool("verified", head.verified());
  if (head.has_beats_baseline()) object.Bool("beats_baseline", head.beats_baseline());
  object.Member("calibration");
  Level calibration(out, '{', '}');
  calibration.Text("method", head.calibration_method());
  if (head.has_temperature()) {
    calibration.Number("temperature", head.temperature(), kProbabilityDecimals);
  }
  calibration.Text("prior", head.calibration_prior());
  calibration.Member("bias");
  Level bias(out, '[', ']');
  for (const float value : head.calibration_bias()) {
    AppendJsonNumber(bias.Element(), value, kProbabilityDecimals);
  }
}

void WriteEncoder(std::string& out, const v1::GetEmbeddingModelResponse& encoder) {
  Level object(out, '{', '}');
  object.Text("name", encoder.name());
  object.Text("fingerprint", Hex(encoder.fingerprint()));
  object.Integer("dim", encoder.dim());
  object.Text("precision", PrecisionName(encoder.precision()));
  object.Text("pooling", encoder.pooling() == v1::POOLING_MEAN_TOKENS ? "mean_tokens" : "");
  object.Integer("preprocessing_version", encoder.preprocessing_version());
  object.Text("device", encoder.device());
  object.Text("licence", encoder.licence());
  object.Text("near_rule", encoder.near_rule());
  object.Integer("batch_size", encoder.batch_size());
}

void WriteLimits(std::string& out, const CardLimits& limits) {
  Level object(out, '{', '}');
  object.Integer("max_image_bytes", limits.max_image_bytes);
  object.Integer("max_batch_images", limits.max_batch_images);
  object.Integer("max_body_bytes", limits.max_body_bytes);
  object.Integer("request_timeout_ms", limits.request_timeout.count());
}

void WriteNames(std::string& out, const std::vector<std::string>& names) {
  Level array(out, '[', ']');
  for (const std::string& name : names) AppendJsonString(array.Element(), name);
}

}  // namespace

std::string_view CacheOutcomeName(v1::CacheOutcome outcome) {
  switch (outcome) {
    case v1::CACHE_OUTCOME_EXACT:
      return "exact";
    case v1::CACHE_OUTCOME_NEAR:
      return "near";
    case v1::CACHE_OUTCOME_COALESCED:
      return "coalesced";
    default:
      return "miss";
  }
}

std::string PredictionJson(const v1::PredictResult& result, Milliseconds processing_time,
                           std::string_view request_id) {
  const std::string_view cache = CacheOutcomeName(result.cache());
  std::string out;
  out.reserve(1200);
  {
    Level object(out, '{', '}');
    WritePredictions(object.Member("predictions"), result);
    object.Number("processing_time_ms", processing_time.count(), kTimeDecimals);
    // Another frame's work answered: an identical one in flight has not been cached yet.
    object.Bool("cached", cache == "exact" || cache == "near");
    object.Text("cache", cache);
    if (result.has_similarity()) {
      object.Number("similarity", result.similarity(), kProbabilityDecimals);
    }
    WriteQuality(object.Member("quality"), result);
    if (result.has_face()) WriteFace(object.Member("face"), result.face());
    object.Integer("next_frame_after_ms", result.next_frame_after_ms());
    object.Text("model", result.model());
    object.Bool("demo", result.demo());
    object.Text("request_id", request_id);
  }
  return out;
}

std::string ServerTiming(const v1::StageTimes& times) {
  const std::array<std::pair<std::string_view, uint32_t>, 5> stages = {
      {{"decode", times.decode_us()},
       {"cache", times.cache_us()},
       {"queue", times.queue_us()},
       {"encode", times.encode_us()},
       {"classify", times.classify_us()}}};
  std::string out;
  for (const auto& [name, micros] : stages) {
    if (!out.empty()) out += ", ";
    out += fmt::format("{};dur={:.3f}", name, micros / 1000.0);
  }
  return out;
}

std::string ModelCardJson(const v1::GetModelResponse& model, const CardLimits& limits) {
  std::vector<std::string> states;
  for (const State state : kStates) states.emplace_back(StateName(state));
  std::vector<std::string> levels;
  for (size_t level = 0; level < kLevelCount; ++level) levels.emplace_back(LevelName(level));
  if (model.level_names_size() > 0) {
    levels.assign(model.level_names().begin(), model.level_names().end());
  }
  std::string out;
  {
    Level object(out, '{', '}');
    object.Text("model", model.model());
    object.Bool("demo", model.demo());
    WriteEncoder(object.Member("encoder"), model.encoder());
    {
      object.Member("heads");
      Level array(out, '[', ']');
      for (const v1::Head& head : model.heads()) WriteHead(array.Element(), head);
    }
    WriteNames(object.Member("states"), states);
    WriteNames(object.Member("level_names"), levels);
    WriteLimits(object.Member("limits"), limits);
    object.Text("heads_licence", model.heads_licence());
    object.Text("intended_use", model.intended_use());
    object.Text("server_version", model.server_version());
  }
  return out;
}

}  // namespace emotion::gateway
