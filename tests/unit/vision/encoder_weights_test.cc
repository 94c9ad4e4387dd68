#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <numeric>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tests/unit/vision/temporary_directory.h"
#include "vision/encoder/fingerprint.h"
#include "vision/encoder/model_directory.h"
#include "vision/encoder/random_checkpoint.h"
#include "vision/encoder/random_weights.h"
#include "vision/encoder/weights.h"

namespace emotion::vision {
namespace {

using Catch::Matchers::Contains;

VisionConfig SmallConfig() {
  VisionConfig config;
  config.depth = 1;
  config.hidden_size = 8;
  config.intermediate_size = 6;
  config.num_heads = 2;
  config.patch_size = 2;
  config.window_size = 8;
  config.out_hidden_size = 4;
  return config;
}

std::vector<TensorSpec> SmallTensors(std::string_view prefix, DType dtype = DType::kF32) {
  auto specs = TowerTensors(SmallConfig());
  for (TensorSpec& spec : specs) {
    spec.name.insert(0, prefix);
    spec.dtype = dtype;
  }
  return specs;
}

void WriteZeros(const std::string& path, const std::vector<TensorSpec>& specs) {
  auto writer = SafetensorsWriter::Create(path, specs);
  REQUIRE(writer.ok());
  for (const TensorSpec& spec : specs) {
    const std::vector<std::byte> zeros(*TensorBytes(spec.dtype, spec.shape));
    REQUIRE((*writer)->Append(zeros).ok());
  }
  REQUIRE((*writer)->Finish().ok());
}

std::string Refusal(const TemporaryDirectory& directory) {
  const auto checkpoint = Checkpoint::Open(directory.path(), SmallConfig());
  return checkpoint.ok() ? "" : std::string(checkpoint.status().message());
}

// A single-file checkpoint after `change` had its way with the tensors.
std::string RefusalAfter(const std::function<void(std::vector<TensorSpec>&)>& change) {
  const TemporaryDirectory directory;
  auto specs = SmallTensors("visual.");
  change(specs);
  WriteZeros(directory / "model.safetensors", specs);
  return Refusal(directory);
}

TensorSpec& Named(std::vector<TensorSpec>& specs, std::string_view name) {
  return *std::ranges::find(specs, name, &TensorSpec::name);
}

std::string Index(const std::vector<TensorSpec>& specs, const std::string& file) {
  nlohmann::json map;
  for (const TensorSpec& spec : specs) map[spec.name] = file;
  return nlohmann::json{{"weight_map", map}}.dump();
}

RandomCheckpointOptions TinyOptions(const TemporaryDirectory& directory, const char* name) {
  RandomCheckpointOptions options;
  options.directory = directory / name;
  options.config = SizeConfig(ModelSize::kTiny);
  return options;
}

}  // namespace

TEST_CASE("the tower of 7B has 390 tensors and 0.6766 billion parameters") {
  const auto specs = TowerTensors(SizeConfig(ModelSize::k7b));
  CHECK(specs.size() == 390);
  int64_t parameters = 0;
  for (const TensorSpec& spec : specs) parameters += *TensorBytes(spec.dtype, spec.shape) / 4;
  CHECK(parameters == 676550144);
  CHECK(std::ranges::is_sorted(specs, {}, &TensorSpec::name));
}

TEST_CASE("a tower is found under each prefix, beside a language model's tensors") {
  for (const std::string prefix : {"visual.", "model.visual.", ""}) {
    const TemporaryDirectory directory;
    auto specs = SmallTensors(prefix);
    if (!prefix.empty()) specs.push_back({"model.layers.0.mlp", DType::kI64, {3}});
    WriteZeros(directory / "model.safetensors", specs);
    const auto checkpoint = Checkpoint::Open(directory.path(), SmallConfig());
    INFO(prefix << ": " << checkpoint.status());
    REQUIRE(checkpoint.ok());
    CHECK(checkpoint->prefix() == prefix);
    CHECK(checkpoint->tensors().size() == 18);
    CHECK(checkpoint->tensor("merger.ln_q.weight").shape == Shape{8});
  }
}

TEST_CASE("missing, unknown, misshapen and mistyped tensors are named") {
  CHECK(RefusalAfter([](auto&) {}).empty());
  CHECK_THAT(
      RefusalAfter([](auto& specs) {
        std::erase_if(
            specs, [](const TensorSpec& s) { return s.name == "visual.blocks.0.attn.qkv.bias"; });
      }),
      Contains("model.safetensors") && Contains("'visual.blocks.0.attn.qkv.bias' [24] is missing"));
  CHECK_THAT(RefusalAfter([](auto& specs) {
               specs.push_back({"visual.blocks.1.norm1.weight", DType::kF32, {8}});
             }),
             Contains("'visual.blocks.1.norm1.weight': a tower of this config has none"));
  CHECK_THAT(RefusalAfter([](auto& specs) {
               Named(specs, "visual.merger.mlp.0.weight").shape = {32, 31};
             }),
             Contains("'visual.merger.mlp.0.weight': has shape [32, 31]") && Contains("[32, 32]"));
  CHECK_THAT(RefusalAfter([](auto& specs) {
               Named(specs, "visual.merger.ln_q.weight").dtype = DType::kF64;
             }),
             Contains("'visual.merger.ln_q.weight': is stored as F64"));
}

TEST_CASE("a checkpoint without a tower, or with two, is refused") {
  CHECK_THAT(RefusalAfter([](auto& specs) {
               specs = {{"lm_head.weight", DType::kF32, {1}}};
             }),
             Contains("holds no vision tower"));
  CHECK_THAT(RefusalAfter([](auto& specs) {
               specs.push_back({"model.visual.merger.ln_q.weight", DType::kF32, {8}});
             }),
             Contains("two vision towers"));
  const TemporaryDirectory empty;
  const auto none = Checkpoint::Open(empty.path(), SmallConfig());
  CHECK(none.status().code() == absl::StatusCode::kNotFound);
  CHECK_THAT(std::string(none.status().message()), Contains("model.safetensors.index.json"));
}

TEST_CASE("shards are read through their index, and a shard that lies is refused") {
  const TemporaryDirectory directory;
  const auto specs = SmallTensors("visual.");
  WriteZeros(directory / "a.safetensors", specs);
  directory.Write("model.safetensors.index.json", Index(specs, "a.safetensors"));
  CHECK(Refusal(directory).empty());

  SECTION("the shard is not there") {
    std::filesystem::remove(directory / "a.safetensors");
    CHECK_THAT(Refusal(directory), Contains("a.safetensors"));
  }
  SECTION("the shard lacks what the index promises") {
    auto fewer = specs;
    fewer.erase(fewer.begin());
    WriteZeros(directory / "a.safetensors", fewer);
    CHECK_THAT(Refusal(directory), Contains("a.safetensors: tensor 'visual.blocks.0.attn.proj.bias'"
                                            " is missing"));
  }
  SECTION("the index forgets a tensor") {
    auto fewer = specs;
    fewer.erase(fewer.begin());
    directory.Write("model.safetensors.index.json", Index(fewer, "a.safetensors"));
    CHECK_THAT(Refusal(directory), Contains("'visual.blocks.0.attn.proj.bias' [8] is missing"));
  }
  SECTION("two shards hold the same tensor") {
    const std::vector<TensorSpec> first = {specs.front()};
    WriteZeros(directory / "b.safetensors", first);
    auto index = nlohmann::json::parse(Index(specs, "a.safetensors"));
    index["weight_map"][specs.front().name] = "b.safetensors";
    directory.Write("model.safetensors.index.json", index.dump());
    CHECK_THAT(Refusal(directory), Contains("does not say that it is here"));
  }
}

TEST_CASE("names of shards cannot leave the directory") {
  for (const std::string name :
       {"../a.safetensors", "/etc/a.safetensors", "x/a.safetensors", "..", "", ".safetensors",
        "a\\b.safetensors", "a.bin", "a\n.safetensors"}) {
    const TemporaryDirectory directory;
    directory.Write("model.safetensors.index.json", Index(SmallTensors("visual."), name));
    INFO(name);
    CHECK_THAT(Refusal(directory), Contains("must be in a plain '.safetensors' file"));
  }
}

TEST_CASE("an index that is not one is refused") {
  for (const std::string text :
       {"", "[]", "{}", R"({"weight_map": []})", R"({"weight_map": {"a": 1}})",
        R"({"weight_map": {"a": "b.safetensors", "a": "b.safetensors"}})"}) {
    const TemporaryDirectory directory;
    directory.Write("model.safetensors.index.json", text);
    INFO(text);
    CHECK_THAT(Refusal(directory), Contains("model.safetensors.index.json"));
  }
}

TEST_CASE("random weights follow the recipe, whole or in pieces") {
  const Shape shape = {2, 3};
  std::vector<float> whole(6);
  FillRandomWeights("a.weight", shape, 0, 0, whole);
  // Worked out apart from this code, in units of 2^-23; sqrt(3 / fan_in) is 1 here.
  const std::vector<int> expected = {2861049, -2729797, 83312, 7279127, -6156336, 6715494};
  for (size_t i = 0; i < 6; ++i) CHECK(whole[i] * 0x1p23F == static_cast<float>(expected[i]));
  std::vector<float> tail(4);
  FillRandomWeights("a.weight", shape, 0, 2, tail);
  CHECK(std::equal(tail.begin(), tail.end(), whole.begin() + 2));

  std::vector<float> other(6);
  FillRandomWeights("a.weight", shape, 1, 0, other);
  CHECK(other != whole);
  FillRandomWeights("b.weight", shape, 0, 0, other);
  CHECK(other != whole);

  std::vector<float> norm(1000);
  FillRandomWeights("norm1.weight", {1000}, 0, 0, norm);
  CHECK(std::ranges::min(norm) >= 0.9F);
  CHECK(std::ranges::max(norm) <= 1.1F);
  CHECK(std::accumulate(norm.begin(), norm.end(), 0.0) / 1000 == Approx(1.0).margin(0.01));
  FillRandomWeights("x.bias", {1000}, 0, 0, norm);
  CHECK(std::ranges::max(norm) <= 0.02F);
  CHECK(std::ranges::min(norm) >= -0.02F);
}

TEST_CASE("random weights with outliers follow their recipe, whole or in pieces") {
  const Shape shape = {64, 512};
  const std::string name = "blocks.0.mlp.up_proj.weight";
  std::vector<float> whole(64 * 512);
  FillOutlierWeights(name, shape, 3, 0, whole);
  std::vector<float> tail(1000);
  FillOutlierWeights(name, shape, 3, 700, tail);
  CHECK(std::equal(tail.begin(), tail.end(), whole.begin() + 700));
  // Rows of their own size, most values within four deviations, a few far outside.
  size_t outliers = 0;
  double smallest = 1e9;
  double largest = 0;
  for (size_t row = 0; row < 64; ++row) {
    std::vector<float> values(whole.begin() + static_cast<long>(row * 512),
                              whole.begin() + static_cast<long>((row + 1) * 512));
    std::ranges::sort(values, {}, [](float x) { return std::abs(x); });
    const float median = std::abs(values[256]);
    for (const float value : values) outliers += std::abs(value) > 6 * median ? 1 : 0;
    smallest = std::min(smallest, double{median});
    largest = std::max(largest, double{median});
  }
  CHECK(largest > 2 * smallest);
  CHECK(outliers > 20);
  CHECK(outliers < 120);  // 64 are 8 times as large; those of them that were small stay inside
  std::vector<float> norm(1000);
  FillOutlierWeights("blocks.0.norm1.weight", {1000}, 3, 0, norm);
  CHECK(*std::ranges::min_element(norm) > 0);
  CHECK(*std::ranges::max_element(norm) > 3);
}

TEST_CASE(
    "a random checkpoint opens as a model, whole or in shards, and its identity is the same") {
  const TemporaryDirectory directory;
  auto options = TinyOptions(directory, "whole");
  int64_t last = 0;
  int64_t all = 0;
  options.progress = [&](int64_t done, int64_t total) {
    CHECK(done > last);
    last = done;
    all = total;
  };
  REQUIRE(WriteRandomCheckpoint(options).ok());
  CHECK(last == all);

  const auto whole = SummarizeModel(options.directory);
  INFO(whole.status());
  REQUIRE(whole.ok());
  CHECK(whole->config.vision == options.config);
  CHECK(whole->files.size() == 1);
  CHECK(whole->bytes == all);
  CHECK(whole->bytes == 2 * whole->parameters);
  CHECK(whole->dtypes.at("BF16") == 4 * 12 + 6);
  CHECK(whole->prefix == "visual.");

  auto cut = TinyOptions(directory, "cut");
  cut.shard_bytes = 50000;
  REQUIRE(WriteRandomCheckpoint(cut).ok());
  const auto shards = SummarizeModel(cut.directory);
  REQUIRE(shards.ok());
  CHECK(shards->files.size() > 2);
  CHECK(shards->fingerprint == whole->fingerprint);

  CHECK(WriteRandomCheckpoint(cut).code() == absl::StatusCode::kFailedPrecondition);
}

TEST_CASE("another weight, dtype, config or preprocessing is another model") {
  const TemporaryDirectory directory;
  auto options = TinyOptions(directory, "one");
  REQUIRE(WriteRandomCheckpoint(options).ok());
  const auto model = OpenModelDirectory(options.directory);
  REQUIRE(model.ok());
  const Fingerprint identity = ComputeFingerprint(*model, 1);
  CHECK(ComputeFingerprint(*model, 3) == identity);
  CHECK(FingerprintText(identity).size() == 64);

  CHECK(ComputeFingerprint(model->config.vision, "other", model->checkpoint) != identity);
  VisionConfig config = model->config.vision;
  config.window_size = 56;
  CHECK(ComputeFingerprint(config, CanonicalText(model->preprocessing), model->checkpoint) !=
        identity);

  options = TinyOptions(directory, "seed");
  options.seed = 2;
  REQUIRE(WriteRandomCheckpoint(options).ok());
  CHECK(SummarizeModel(options.directory)->fingerprint != identity);
  options = TinyOptions(directory, "dtype");
  options.dtype = DType::kF32;
  REQUIRE(WriteRandomCheckpoint(options).ok());
  CHECK(SummarizeModel(options.directory)->fingerprint != identity);
}

TEST_CASE("one flipped bit of a weight changes the fingerprint") {
  const TemporaryDirectory directory;
  const auto options = TinyOptions(directory, "m");
  REQUIRE(WriteRandomCheckpoint(options).ok());
  const auto before = SummarizeModel(options.directory);
  const std::string path = options.directory + "/model.safetensors";
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(-1, std::ios::end);
  const char last = static_cast<char>(file.get() ^ 1);
  file.seekp(-1, std::ios::end);
  file.put(last);
  file.close();
  CHECK(SummarizeModel(options.directory)->fingerprint != before->fingerprint);
}

TEST_CASE("preprocessing that cuts other patches than the tower takes is refused") {
  const TemporaryDirectory directory;
  const auto options = TinyOptions(directory, "m");
  REQUIRE(WriteRandomCheckpoint(options).ok());
  std::ofstream(options.directory + "/preprocessor_config.json") << R"({"patch_size": 16})";
  const auto model = OpenModelDirectory(options.directory);
  CHECK(model.status().code() == absl::StatusCode::kInvalidArgument);
  CHECK_THAT(std::string(model.status().message()), Contains("patch_size is 16") && Contains("14"));
}

TEST_CASE("sizes have names") {
  CHECK(ParseModelSize("7b") == ModelSize::k7b);
  CHECK(SizeConfig(*ParseModelSize("72b")).out_hidden_size == 8192);
  CHECK(SizeConfig(*ParseModelSize("32b")).intermediate_size == 3456);
  CHECK_FALSE(ParseModelSize("7B"));
}

}  // namespace emotion::vision
