#include <catch2/catch.hpp>

#include "tests/unit/vision/temporary_directory.h"
#include "vision/encoder/model_config.h"
#include "vision/encoder/vision_encoder.h"

namespace emotion::vision {
namespace {

using Catch::Matchers::Contains;

ModelConfig Parsed(std::string_view json) {
  const auto config = ParseModelConfig(json, "config.json");
  INFO(config.status());
  REQUIRE(config.ok());
  return *config;
}

std::string Refusal(std::string_view json) {
  const auto config = ParseModelConfig(json, "config.json");
  if (config.ok()) return {};
  CHECK(config.status().code() == absl::StatusCode::kInvalidArgument);
  CHECK_THAT(std::string(config.status().message()), Contains("config.json"));
  return std::string(config.status().message());
}

// As on the hub, shortened to what matters.
constexpr std::string_view kHub7b = R"({
  "architectures": ["Qwen2_5_VLForConditionalGeneration"], "model_type": "qwen2_5_vl",
  "hidden_size": 3584, "num_hidden_layers": 28,
  "vision_config": {"depth": 32, "hidden_act": "silu", "hidden_size": 1280,
    "intermediate_size": 3420, "num_heads": 16, "in_chans": 3, "out_hidden_size": 3584,
    "patch_size": 14, "spatial_merge_size": 2, "spatial_patch_size": 14, "window_size": 112,
    "fullatt_block_indexes": [7, 15, 23, 31], "tokens_per_second": 2, "temporal_patch_size": 2}})";

}  // namespace

TEST_CASE("the hub's config.json of 7B gives its sizes and its name") {
  const ModelConfig config = Parsed(kHub7b);
  CHECK(config.name == "qwen2.5-vl-7b");
  CHECK_FALSE(config.demo);
  CHECK(config.vision.hidden_size == 1280);
  CHECK(config.vision.head_dim() == 80);
  CHECK(config.vision.patch_values() == 1176);
  CHECK(config.vision.window_groups() == 4);
  CHECK(config.vision.full_attention(31));
  CHECK_FALSE(config.vision.full_attention(30));
}

TEST_CASE("absent keys have transformers' defaults, nested or at the top") {
  CHECK(Parsed("{}").vision == VisionConfig{});
  CHECK(Parsed(R"({"vision_config": {}, "hidden_size": 99})").vision == VisionConfig{});
  CHECK(Parsed(R"({"hidden_size": 64})").vision.hidden_size == 64);
  CHECK(VisionConfig{}.hidden_size == 3584);
}

TEST_CASE("in_channels wins over the hub's in_chans, as in transformers") {
  CHECK(Parsed(R"({"in_chans": 1})").vision.in_channels == 1);
  CHECK(Parsed(R"({"in_channels": 1, "in_chans": 4})").vision.in_channels == 1);
  CHECK(Parsed(R"({"in_chans": 4, "in_channels": 1})").vision.in_channels == 1);
}

TEST_CASE("names follow the released sizes, else the last part of _name_or_path") {
  CHECK(Parsed(R"({"hidden_size": 1280, "out_hidden_size": 2048})").name == "qwen2.5-vl-3b");
  CHECK(Parsed(R"({"hidden_size": 1280, "out_hidden_size": 5120})").name == "qwen2.5-vl-32b");
  CHECK(Parsed(R"({"hidden_size": 1280, "out_hidden_size": 8192})").name == "qwen2.5-vl-72b");
  CHECK(Parsed(R"({"_name_or_path": "/home/me/faces/"})").name == "faces");
  CHECK(Parsed(R"({"out_hidden_size": 7})").name == "qwen2.5-vl-7");
}

TEST_CASE("a demo says so and keeps its own name and licence") {
  const ModelConfig config = Parsed(
      R"({"demo": true, "license": "apache-2.0", "_name_or_path": "demo", "hidden_size": 1280})");
  CHECK(config.demo);
  CHECK(config.name == "demo");
  CHECK(config.licence == "apache-2.0");
  CHECK_FALSE(Parsed(R"({"demo": "true"})").demo);
}

TEST_CASE("a size that no tower has is refused by name") {
  CHECK_THAT(Refusal(R"({"depth": 0})"), Contains("depth must be an integer of 1 to 1024; is 0"));
  CHECK_THAT(Refusal(R"({"depth": -1})"), Contains("is -1"));
  CHECK_THAT(Refusal(R"({"depth": 32.0})"), Contains("is 32.0"));
  CHECK_THAT(Refusal(R"({"depth": "32"})"), Contains("depth"));
  CHECK_THAT(Refusal(R"({"depth": null})"), Contains("is null"));
  CHECK_THAT(Refusal(R"({"hidden_size": 18446744073709551615})"), Contains("hidden_size"));
  CHECK_THAT(Refusal(R"({"hidden_size": 9223372036854775808})"), Contains("hidden_size"));
  CHECK_THAT(Refusal(R"({"hidden_size": 1e3})"), Contains("hidden_size"));
  CHECK_THAT(Refusal(R"({"in_chans": 99})"), Contains("in_chans"));
  CHECK_THAT(Refusal(R"({"hidden_size": 66, "num_heads": 16})"), Contains("4 x num_heads"));
  CHECK_THAT(Refusal(R"({"hidden_size": 32, "num_heads": 16})"), Contains("4 x num_heads"));
  CHECK_THAT(Refusal(R"({"window_size": 27})"), Contains("window_size must be at least 28"));
  CHECK_THAT(Refusal(R"({"fullatt_block_indexes": 7})"), Contains("fullatt_block_indexes"));
  CHECK_THAT(Refusal(R"({"fullatt_block_indexes": [-1]})"), Contains("fullatt_block_indexes"));
  CHECK_THAT(Refusal(R"({"fullatt_block_indexes": ["a"]})"), Contains("fullatt_block_indexes"));
}

TEST_CASE("another kind of model is refused by its own name") {
  CHECK_THAT(Refusal(R"({"model_type": "qwen2_vl"})"), Contains("model_type is 'qwen2_vl'"));
  CHECK_THAT(Refusal(R"({"vision_config": {"model_type": "clip"}})"), Contains("'clip'"));
  CHECK_THAT(Refusal(R"({"hidden_act": "gelu"})"), Contains("hidden_act"));
  CHECK_THAT(Refusal(R"({"vision_config": []})"), Contains("vision_config must be an object"));
}

TEST_CASE("text that is not a small JSON object is refused") {
  CHECK_THAT(Refusal(""), Contains("not JSON"));
  CHECK_THAT(Refusal("[]"), Contains("array, not an object"));
  CHECK_THAT(Refusal(R"({"depth": 1, "depth": 2})"), Contains("'depth' is there twice"));
  CHECK_THAT(Refusal(R"({"a": {"b": 1, "b": 2}})"), Contains("'b' is there twice"));
  CHECK_THAT(Refusal(std::string(100000, '[')), Contains("nests 100000 deep"));
  CHECK_THAT(Refusal(std::string((1 << 20) + 1, ' ')), Contains("at most 1048576"));
  CHECK_THAT(Refusal("{\"\xff\": 1}"), Contains("not JSON"));
}

TEST_CASE("a config that was formatted parses back to itself") {
  ModelConfig config = Parsed(kHub7b);
  config.demo = true;
  config.name = "demo";
  config.licence = "cc0-1.0";
  config.vision.depth = 9;
  const ModelConfig back = Parsed(FormatModelConfig(config));
  CHECK(back.vision == config.vision);
  CHECK(back.name == "demo");
  CHECK(back.demo);
  CHECK(back.licence == "cc0-1.0");
}

TEST_CASE("a directory without config.json is not found, and named") {
  const TemporaryDirectory directory;
  const auto config = ReadModelConfig(directory.path());
  CHECK(config.status().code() == absl::StatusCode::kNotFound);
  CHECK_THAT(std::string(config.status().message()), Contains(directory / "config.json"));
}

TEST_CASE("every size is part of a config's canonical text") {
  const std::string text = CanonicalText(VisionConfig{});
  VisionConfig other;
  other.window_size = 113;
  CHECK(CanonicalText(other) != text);
  other = {};
  other.fullatt_block_indexes = {7, 15, 23};
  CHECK(CanonicalText(other) != text);
}

TEST_CASE("precisions have names that parse back") {
  for (const Precision p : {Precision::kFp32, Precision::kBf16, Precision::kFp16, Precision::kInt8,
                            Precision::kMixedInt8}) {
    CHECK(ParsePrecision(PrecisionName(p)) == p);
  }
  CHECK_FALSE(ParsePrecision("FP32"));
  CHECK_FALSE(ParsePrecision(""));
}

}  // namespace emotion::vision
