// The LibTorch encoder against transformers (make_encoder_goldens.py): every layer, fp32, to
// |a - b| <= 1e-4 max(|b|, rms(b)).
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <numeric>
#include <thread>

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/InferenceMode.h>
#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "tests/parity/golden_file.h"
#include "vision/encoder/onednn/onednn_encoder.h"
#include "vision/encoder/random_weights.h"
#include "vision/encoder/torch/torch_encoder.h"
#include "vision/encoder/torch/tower.h"

namespace emotion::vision {
namespace {

const std::string kDirectory = EMOTION_TEST_DATA "/parity/encoder";
constexpr double kTolerance = 1e-4;

double Rms(Values values) {
  double sum = 0;
  for (const float v : values) sum += double{v} * v;
  return std::sqrt(sum / static_cast<double>(values.size()));
}

// The largest |a - b| / max(|b|, rms); infinite for anything that is not finite.
double WorstError(Values found, Values expected, double rms) {
  REQUIRE(found.size() == expected.size());
  double worst = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    const double error =
        std::abs(double{found[i]} - expected[i]) / std::max(std::abs(double{expected[i]}), rms);
    worst = std::max(worst, std::isfinite(error) ? error : INFINITY);
  }
  return worst;
}

double Cosine(Values a, Values b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0) /
         (Rms(a) * Rms(b) * static_cast<double>(a.size()));
}

Values View(const at::Tensor& tensor) {
  return {tensor.data_ptr<float>(), static_cast<size_t>(tensor.numel())};
}

// Weights by recipe, made on all cores: a whole 7B tower in about a second each.
TowerWeights RecipeTower(const VisionConfig& config) {
  std::map<std::string, at::Tensor> tensors;
  const auto specs = TowerTensors(config);
  for (const TensorSpec& spec : specs) tensors[spec.name] = at::empty(spec.shape, at::kFloat);
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < specs.size(); i = next++) {
      at::Tensor& tensor = tensors[specs[i].name];
      FillRandomWeights(specs[i].name, specs[i].shape, 0, 0,
                        {tensor.data_ptr<float>(), static_cast<size_t>(tensor.numel())});
    }
  };
  {
    std::vector<std::jthread> workers;
    for (unsigned i = 0; i < std::thread::hardware_concurrency(); ++i) workers.emplace_back(work);
  }
  return AssembleTower(config, [&](const std::string& name) { return tensors.at(name); });
}

at::Tensor JoinRows(const std::vector<Patches>& images, const VisionConfig& config) {
  std::vector<float> rows;
  for (const Patches& image : images) {
    rows.insert(rows.end(), image.rows.begin(), image.rows.end());
  }
  const auto patches = static_cast<int64_t>(rows.size()) / config.patch_values();
  return at::from_blob(rows.data(), {patches, config.patch_values()}, at::kFloat).clone();
}

void CheckLayer(const GoldenCase& golden, int layer, const at::Tensor& x, double& worst) {
  const auto flat = x.to(at::kFloat).contiguous();
  std::vector<float> found(View(flat).begin(), View(flat).end());
  const size_t at = static_cast<size_t>(layer) + 1;
  double rms = Rms(golden.layers.at(at));
  if (!golden.picks.empty()) {
    rms = golden.rms.at(at);
    CHECK(Rms(found) == Approx(rms).epsilon(1e-5));
    std::vector<float> picked;
    for (const int64_t pick : golden.picks) picked.push_back(found.at(pick));
    found = std::move(picked);
  }
  INFO(golden.name << ", layer " << layer);
  const double error = WorstError(found, golden.layers[at], rms);
  CHECK(error <= kTolerance);
  worst = std::max(worst, error);
}

void CheckCase(const GoldenCase& golden, const VisionConfig& config, const TowerWeights& weights) {
  const c10::InferenceMode inference;
  at::set_num_threads(static_cast<int>(std::thread::hardware_concurrency()));
  double worst = 0;
  int layers = 0;
  auto plan = PlanBatch(config, golden.grids, at::kCPU);
  REQUIRE(plan.ok());
  const auto tokens =
      ForwardTower(config, weights, *plan, JoinRows(MakeInput(golden, config), config),
                   [&](int layer, const at::Tensor& x) {
                     CheckLayer(golden, layer, x, worst);
                     ++layers;
                   });
  REQUIRE(layers == config.depth + 1);
  if (!golden.tokens.empty()) {
    CHECK(WorstError(View(tokens), golden.tokens, Rms(golden.tokens)) <= kTolerance);
  }
  const auto pooled = PoolTokens(*plan, tokens);
  const double error = WorstError(View(pooled), golden.pooled, Rms(golden.pooled));
  CHECK(error <= kTolerance);
  std::printf("%-26s worst layer %.1e, pooled %.1e\n", golden.name.c_str(), worst, error);
}

std::vector<float> EncodeWith(VisionEncoder& encoder, const std::vector<Patches>& images) {
  std::vector<const Patches*> pointers;
  for (const Patches& image : images) pointers.push_back(&image);
  const auto embeddings = encoder.Encode(pointers);
  REQUIRE(embeddings.ok());
  std::vector<float> all;
  for (const auto& embedding : *embeddings) {
    all.insert(all.end(), embedding.begin(), embedding.end());
  }
  return all;
}

std::vector<float> EncodeAll(const GoldenCase& golden, const std::string& directory,
                             absl::StatusOr<std::unique_ptr<VisionEncoder>> encoder) {
  REQUIRE(encoder.ok());
  const auto model = ReadModelConfig(directory);
  REQUIRE(model.ok());
  return EncodeWith(**encoder, MakeInput(golden, model->vision));
}

}  // namespace

TEST_CASE("small towers equal transformers at every layer") {
  const GoldenFile goldens(kDirectory);
  int checked = 0;
  for (const GoldenCase& golden : goldens.cases()) {
    if (!golden.picks.empty()) continue;
    if (golden.checkpoint.empty()) {
      CheckCase(golden, golden.config, RecipeTower(golden.config));
    } else {
      const std::string directory = kDirectory + "/" + golden.checkpoint;
      const auto model = ReadModelConfig(directory);
      REQUIRE(model.ok());
      const auto checkpoint = Checkpoint::Open(directory, model->vision);
      REQUIRE(checkpoint.ok());
      CheckCase(golden, model->vision, LoadTower(model->vision, *checkpoint, at::kFloat, at::kCPU));
    }
    ++checked;
  }
  CHECK(checked == 8);
}

TEST_CASE("checkpoints saved by transformers in every layout encode to its embeddings") {
  const GoldenFile goldens(kDirectory);
  std::map<std::string, std::string> prefixes;
  for (const GoldenCase& golden : goldens.cases()) {
    if (golden.checkpoint.empty()) continue;
    const std::string directory = kDirectory + "/" + golden.checkpoint;
    INFO(golden.name);
    const auto torch = EncodeAll(golden, directory, CreateTorchEncoder({.directory = directory}));
    CHECK(WorstError(torch, golden.pooled, Rms(golden.pooled)) <= kTolerance);
    const auto onednn = EncodeAll(golden, directory, CreateOneDnnEncoder({.directory = directory}));
    CHECK(WorstError(onednn, golden.pooled, Rms(golden.pooled)) <= kTolerance);
    std::printf("%-26s oneDNN, pooled %.1e\n", golden.name.c_str(),
                WorstError(onednn, golden.pooled, Rms(golden.pooled)));
    const auto checkpoint = Checkpoint::Open(directory, ReadModelConfig(directory)->vision);
    prefixes[golden.checkpoint] = checkpoint->prefix();
  }
  CHECK(prefixes == std::map<std::string, std::string>{{"hub_layout", "visual."},
                                                       {"sharded_bf16", "visual."},
                                                       {"new_layout_f16", "model.visual."},
                                                       {"bare_tower", ""}});
}

TEST_CASE("the CPU's bf16 and int8 stay close to transformers in single precision") {
  const GoldenFile goldens(kDirectory);
  for (const GoldenCase& golden : goldens.cases()) {
    if (golden.checkpoint.empty()) continue;
    const std::string directory = kDirectory + "/" + golden.checkpoint;
    for (const auto& [precision, least] :
         std::vector<std::pair<Precision, double>>{{Precision::kBf16, 0.9999},
                                                   {Precision::kInt8, 0.999},
                                                   {Precision::kMixedInt8, 0.999}}) {
      const auto found =
          EncodeAll(golden, directory,
                    CreateOneDnnEncoder(
                        {.directory = directory, .precision = precision, .emulate_bf16 = true}));
      const double cosine = Cosine(found, golden.pooled);
      INFO(golden.name << ", " << PrecisionName(precision));
      std::printf("%-26s oneDNN %s: cosine %.6f\n", golden.name.c_str(),
                  std::string(PrecisionName(precision)).c_str(), cosine);
      CHECK(cosine > least);
      CHECK(cosine < 1.0);
    }
  }
}

TEST_CASE("half precision stays close to single precision") {
  const GoldenFile goldens(kDirectory);
  const GoldenCase& golden = goldens.Find("images of different sizes");
  const std::string directory = kDirectory + "/hub_layout";
  const auto half =
      EncodeAll(golden, directory,
                CreateTorchEncoder({.directory = directory, .precision = Precision::kBf16}));
  const double cosine = Cosine(half, golden.pooled);
  std::printf("bf16 against fp32: cosine %.6f\n", cosine);
  CHECK(cosine > 0.999);
  CHECK(cosine < 1.0);  // it was computed in bf16
}

// Not by itself: `EMOTION_TEST_DEVICE=cuda parity_encoder [device]`, see scripts/test_gpu.sh.
TEST_CASE("the device that is named gives transformers' embeddings, step by step and replayed",
          "[.device]") {
  const char* const named = std::getenv("EMOTION_TEST_DEVICE");
  const std::string device = named != nullptr ? named : "cpu";
  const GoldenFile goldens(kDirectory);
  for (const GoldenCase& golden : goldens.cases()) {
    if (golden.checkpoint.empty()) continue;
    const std::string directory = kDirectory + "/" + golden.checkpoint;
    for (const Precision precision : {Precision::kFp32, *HalfPrecisionOf(device)}) {
      std::vector<std::string> warnings;
      auto encoder = CreateTorchEncoder({.directory = directory,
                                         .precision = precision,
                                         .device = device,
                                         .warn = [&](auto text) { warnings.emplace_back(text); }});
      REQUIRE(encoder.ok());
      const auto images = MakeInput(golden, ReadModelConfig(directory)->vision);
      for (int round = 0; round < 3; ++round) {
        const auto found = EncodeWith(**encoder, images);
        const double error = WorstError(found, golden.pooled, Rms(golden.pooled));
        INFO(golden.name << " in " << PrecisionName(precision) << ", round " << round);
        if (precision == Precision::kFp32) {
          CHECK(error <= kTolerance);
        } else {
          CHECK(Cosine(found, golden.pooled) > 0.999);
        }
        std::printf("%-26s %s, %s: pooled %.1e, cosine %.6f\n", golden.name.c_str(),
                    (*encoder)->info().device.c_str(),
                    std::string(PrecisionName(precision)).c_str(), error,
                    Cosine(found, golden.pooled));
      }
      CHECK(warnings.empty());  // recordings were made, or there are none on this device
    }
  }
}

TEST_CASE("the full-size towers of 7B and 3B equal transformers", "[7b]") {
  const GoldenFile goldens(kDirectory);
  const GoldenCase& large = goldens.Find("7b");
  TowerWeights tower = RecipeTower(large.config);
  CheckCase(large, large.config, tower);

  // Of 3B only the last matrix differs.
  const GoldenCase& small = goldens.Find("3b");
  CHECK(small.config.out_hidden_size == 2048);
  tower.merger_out = {tower.merger_out.weight.narrow(0, 0, 2048).contiguous(),
                      tower.merger_out.bias.narrow(0, 0, 2048).contiguous()};
  CheckCase(small, small.config, tower);
}

}  // namespace emotion::vision
