#include "heads/calibration.h"

#include <cmath>

#include <catch2/catch.hpp>

#include "heads/activation.h"
#include "heads/fingerprint.h"
#include "heads/heads_json.h"

namespace emotion::heads {
namespace {

std::string JsonRefusal(const std::string& text) {
  const auto overrides = ParseHeadsJson(text);
  REQUIRE_FALSE(overrides.ok());
  CHECK(overrides.status().code() == absl::StatusCode::kInvalidArgument);
  return std::string(overrides.status().message());
}

}  // namespace

TEST_CASE("softmax of huge logits is finite and sums to one") {
  const LevelArray probabilities = Softmax({3e38, -3e38, 3e38, 0});
  CHECK(probabilities == LevelArray{0.5, 0, 0.5, 0});
  CHECK(ExpectedLevel(probabilities) == 1.0);
}

TEST_CASE("temperature divides and bias adds, in this order") {
  const std::array<float, 4> logits = {2, 4, -6, 0};
  const Calibration calibration{
      .method = "", .temperature = 2.0F, .bias = {0.5F, 0, 0, -1}, .prior = ""};
  CHECK(CalibratedLogits(logits, calibration) == LevelArray{1.5, 2, -3, -1});
  CHECK(CalibratedLogits(logits, {}) == LevelArray{2, 4, -6, 0});
}

TEST_CASE("the most probable level is the lowest of equals") {
  CHECK(MostProbableLevel({0, 1, 1, 0}) == 1);
  CHECK(MostProbableLevel({2, 2, 2, 2}) == 0);
  CHECK(MostProbableLevel({0, 0, 0, 1e-300}) == 3);
}

TEST_CASE("calibrations out of range are refused with the limit") {
  Calibration calibration;
  CHECK(CheckCalibration(calibration).ok());
  for (float temperature : {0.0F, -1.0F, 0.001F, 101.0F, NAN, INFINITY}) {
    calibration.temperature = temperature;
    CHECK_FALSE(CheckCalibration(calibration).ok());
  }
  calibration.temperature = 1.0F;
  calibration.bias = {0, 0, 0};
  CHECK(CheckCalibration(calibration).message() == "calibration.bias must have 4 values; has 3");
  calibration.bias = {0, NAN, 0, 0};
  CHECK_FALSE(CheckCalibration(calibration).ok());
}

TEST_CASE("activations parse back from their names and the spellings of PyTorch") {
  for (int i = 0; i <= static_cast<int>(Activation::kElu); ++i) {
    const auto activation = static_cast<Activation>(i);
    CHECK(ParseActivation(ActivationName(activation)) == activation);
  }
  CHECK(ParseActivation("LeakyReLU") == Activation::kLeakyRelu);
  CHECK(ParseActivation("GELU") == Activation::kGelu);
  CHECK_FALSE(ParseActivation("mish"));
  CHECK_FALSE(ParseActivation(""));
}

TEST_CASE("fingerprints parse back from their digits") {
  Fingerprint fingerprint{};
  fingerprint[0] = 0x0F;
  fingerprint[31] = 0xA0;
  const std::string hex = FormatFingerprint(fingerprint);
  CHECK(hex.size() == 64);
  CHECK(hex.starts_with("0f00"));
  CHECK(ParseFingerprint(hex) == fingerprint);
  CHECK_FALSE(ParseFingerprint(hex.substr(1)));
  CHECK_FALSE(ParseFingerprint(std::string(64, 'g')));
}

TEST_CASE("a state's own members of heads.json win over the common ones") {
  const auto overrides = ParseHeadsJson(
      R"({"Confusion": {"activation": "tanh", "layers": ["a", "b"]},
          "common": {"activation": "gelu", "layer_norm_eps": 1e-6, "input_size": [84, 112]}})");
  REQUIRE(overrides.ok());
  CHECK((*overrides)[0].layout.activation == Activation::kGelu);
  CHECK((*overrides)[2].layout.activation == Activation::kTanh);
  CHECK((*overrides)[2].layout.layers == std::vector<std::string>{"a", "b"});
  CHECK((*overrides)[2].layout.layer_norm_epsilon == 1e-6);
  CHECK((*overrides)[3].input_size == InputSize{84, 112});
  CHECK_FALSE((*overrides)[3].layout.norm_placement);
}

TEST_CASE("a wrong heads.json is refused, naming the member and what was expected") {
  CHECK(JsonRefusal("") == "heads.json: is no JSON object");
  CHECK(JsonRefusal("[1]") == "heads.json: is no JSON object");
  CHECK(JsonRefusal(R"({"boredom": {}})") ==
        "heads.json: has an unknown member 'boredom'; expected \"common\" or a state");
  CHECK(JsonRefusal(R"({"common": 3})") == "heads.json: common is '3'; expected an object");
  CHECK(JsonRefusal(R"({"common": {"activation": "mish"}})") ==
        R"(heads.json: common.activation is '"mish"'; expected a known name, such as "relu")");
  CHECK(JsonRefusal(R"({"common": {"norm": true}})").find("\"before_activation\" or") !=
        std::string::npos);
  CHECK(JsonRefusal(R"({"common": {"batch_norm_eps": 2}})").find("from 0 to 1") !=
        std::string::npos);
  CHECK(JsonRefusal(R"({"common": {"layers": []}})").find("a list of names") != std::string::npos);
  CHECK(JsonRefusal(R"({"common": {"input_size": [28, 2049]}})").find("each 28 to 2048") !=
        std::string::npos);
  CHECK(JsonRefusal(R"({"common": {"input_size": 1e2}})").find("each 28 to 2048") !=
        std::string::npos);
}

}  // namespace emotion::heads
