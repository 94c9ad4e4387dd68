// Checkpoints written by PyTorch, with PyTorch's answers (tests/parity/make_head_goldens.py).
#include <cmath>
#include <fstream>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "heads/calibration.h"
#include "heads/head_checkpoint.h"
#include "heads/mlp_head.h"
#include "nlohmann/json.hpp"

namespace emotion::heads {
namespace {

const std::filesystem::path kFolder = std::filesystem::path(EMOTION_TEST_DATA) / "parity" / "heads";

nlohmann::json Goldens() {
  std::ifstream file(kFolder / "goldens.json");
  return nlohmann::json::parse(file);
}

HeadOverrides OverridesOf(const nlohmann::json& golden) {
  if (golden["heads_json"].empty()) return {};
  const auto parsed = ParseHeadsJson(nlohmann::json{{"common", golden["heads_json"]}}.dump());
  REQUIRE(parsed.ok());
  return parsed->front();
}

void CompareForward(const MlpHead& head, const nlohmann::json& golden) {
  for (size_t row = 0; row < golden["inputs"].size(); ++row) {
    const auto input = golden["inputs"][row].get<std::vector<float>>();
    const auto logits = head.Forward(input);
    const LevelArray probabilities = Softmax(CalibratedLogits(logits, {}));
    for (size_t level = 0; level < kLevelCount; ++level) {
      const double expected = golden["logits"][row][level];
      CHECK(std::abs(logits[level] - expected) <= 2e-6 * (1 + std::abs(expected)));
      const double probability = golden["probabilities"][row][level];
      CHECK(probabilities[level] == Approx(probability).margin(2e-6));
    }
  }
}

}  // namespace

TEST_CASE("every layout that PyTorch writes is read and gives PyTorch's logits") {
  const nlohmann::json goldens = Goldens();
  REQUIRE(goldens.size() >= 35);
  for (const auto& golden : goldens) {
    const std::string file = golden["file"];
    CAPTURE(file);
    const auto checkpoint = LoadHeadCheckpoint(kFolder / file, OverridesOf(golden));
    INFO(checkpoint.status().ToString());
    REQUIRE(checkpoint.ok());
    if (golden["val_f1"].is_null()) {
      CHECK_FALSE(checkpoint->val_f1);
    } else {
      CHECK(checkpoint->val_f1 == golden["val_f1"].get<double>());
    }
    const auto head = MlpHead::Create(checkpoint->network);
    REQUIRE(head.ok());
    CompareForward(*head, golden);
  }
}

TEST_CASE("the entries that our own training adds are read") {
  const auto checkpoint = LoadHeadCheckpoint(kFolder / "our_entries.pth");
  REQUIRE(checkpoint.ok());
  CHECK(checkpoint->input_size == InputSize{140, 112});
  CHECK(checkpoint->calibration.method == "vector_scaling");
  CHECK(checkpoint->calibration.temperature == 1.5F);
  CHECK(checkpoint->calibration.bias == std::vector<float>{0.1F, -0.2F, 0.3F, 0.0F});
  CHECK(checkpoint->calibration.prior == "uniform");
  REQUIRE(checkpoint->encoder_fingerprint);
  CHECK(checkpoint->encoder_fingerprint->front() == 0xAB);
  CHECK(checkpoint->preprocessing_version == "1");
  CHECK(checkpoint->crop == R"({"detector":"yunet","margin":0.25,"size":112,"jpeg_quality":null})");
  CHECK(checkpoint->metrics == R"({"accuracy":0.5})");
  CHECK(checkpoint->demo);
  CHECK(checkpoint->licence == "CC0-1.0");
}

TEST_CASE("files that are no head are refused with a line that says what they are") {
  const std::vector<std::pair<std::string, std::string>> expectations = {
      {"calls_system", "'posix system'"},
      {"whole_module", "save model.state_dict(), not the model"},
      {"torchscript", "TorchScript"},
      {"old_format", "save it again with torch >= 1.6"},
      {"three_classes", "3 classes; expected 4"},
      {"nan_weight", "layer '0' has a weight that is NaN"},
      {"widths_that_do_not_fit", "takes 9 values; the layer before it gives 8"},
      {"prelu", "'1.weight' belongs to no Linear"},
      {"convolution", "'0.weight' belongs to no Linear"},
      {"registered_by_kind", "layer 'bn1' is a norm of width 8; the layer before it gives 4"},
      {"norm_after_a_gap", "\"norm\": \"after_activation\""},
      {"huge_expanded", "both must be 1 to 65536"},
      {"a_list", "holds a list; expected a dict"},
      {"no_state_dict", "found 'weights'"},
      {"unknown_activation", "'mish'"},
      {"input_dim_that_lies", "is 13; the layers have 12"},
      {"bomb", "the limit is 200 times"},
  };
  for (const auto& [name, expected] : expectations) {
    CAPTURE(name, expected);
    const auto checkpoint = LoadHeadCheckpoint(kFolder / "refused" / (name + ".pth"));
    REQUIRE_FALSE(checkpoint.ok());
    CHECK(checkpoint.status().code() == absl::StatusCode::kInvalidArgument);
    const std::string message(checkpoint.status().message());
    CAPTURE(message);
    CHECK(message.starts_with(name + ".pth: "));
    CHECK(message.find(expected) != std::string::npos);
  }
}

TEST_CASE("every file that a golden can be cut to is an error and nothing worse") {
  std::ifstream file(kFolder / "batch_norm.pth", std::ios::binary);
  const std::vector<uint8_t> whole{std::istreambuf_iterator<char>(file), {}};
  REQUIRE(ParseHeadCheckpoint(whole).ok());
  for (size_t length = 0; length < whole.size(); length += length < 64 ? 1 : 37) {
    CAPTURE(length);
    CHECK_FALSE(ParseHeadCheckpoint({whole.begin(), whole.begin() + length}).ok());
  }
}

TEST_CASE("a flipped byte anywhere is an error or leaves a sound head") {
  std::ifstream file(kFolder / "layer_norm.pth", std::ios::binary);
  const std::vector<uint8_t> whole{std::istreambuf_iterator<char>(file), {}};
  size_t refused = 0;
  for (size_t at = 0; at < whole.size(); ++at) {
    std::vector<uint8_t> bytes = whole;
    bytes[at] ^= 0x41;
    const auto checkpoint = ParseHeadCheckpoint(bytes);
    if (checkpoint.ok()) {
      CHECK(CheckNetwork(checkpoint->network).ok());
    } else {
      ++refused;
    }
  }
  CHECK(refused > whole.size() / 4);
}

}  // namespace emotion::heads
