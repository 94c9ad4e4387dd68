// The training itself, on a network of a few thousand weights.
#include "training/demo/trainer.h"

#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/ops/equal.h>
#include <catch2/catch.hpp>

#include "training/demo/train_demo.h"

namespace emotion::training {
namespace {

vision::VisionConfig TinyConfig() {
  return {.depth = 1,
          .hidden_size = 32,
          .intermediate_size = 48,
          .num_heads = 2,
          .out_hidden_size = 24,
          .fullatt_block_indexes = {0}};
}

TrainOptions FewSteps() {
  return {.seed = 5, .steps = 20, .batch = 16, .shards = 2, .learning_rate = 3e-3};
}

const vision::Patchifier& Patchify() {
  static const vision::Patchifier patchifier{vision::PreprocessorConfig{}};
  return patchifier;
}

double LossOn(const DemoNetwork& network, const FaceBatch& batch) {
  return Loss(Forward(network, batch), batch, FewSteps().aid_weight).item<double>();
}

DemoNetwork Trained(const TrainOptions& options, std::vector<TrainProgress>* reports = nullptr) {
  DemoNetwork network = MakeDemoNetwork(TinyConfig(), options.seed);
  Train(network, options, Patchify(), [&](const TrainProgress& progress) {
    if (reports != nullptr) reports->push_back(progress);
  });
  return network;
}

TEST_CASE("twenty steps lower the loss on faces that were not trained on") {
  const FaceBatch unseen = DrawSplit(5, Split::kValidation, 0, 64, Patchify());
  const double before = LossOn(MakeDemoNetwork(TinyConfig(), 5), unseen);
  std::vector<TrainProgress> reports;
  const double after = LossOn(Trained(FewSteps(), &reports), unseen);
  INFO("before " << before << ", after " << after);
  CHECK(after < 0.97 * before);
  REQUIRE(reports.size() == 1);
  CHECK(reports[0].step == 20);
  CHECK(reports[0].done == 1);
  CHECK_FALSE(reports[0].hurried);
}

TEST_CASE("the same seed trains the same weights, and another seed others") {
  TrainOptions options = FewSteps();
  options.steps = 3;
  const DemoNetwork one = Trained(options), again = Trained(options);
  const auto weights = Parameters(one), same = Parameters(again);
  for (size_t i = 0; i < weights.size(); ++i) CHECK(at::equal(weights[i], same[i]));
  options.seed = 6;
  CHECK_FALSE(at::equal(weights[0], Parameters(Trained(options))[0]));
}

TEST_CASE("every weight is trained") {
  TrainOptions options = FewSteps();
  options.steps = 2;
  const auto before = Parameters(MakeDemoNetwork(TinyConfig(), options.seed));
  const auto after = Parameters(Trained(options));
  for (size_t i = 0; i < before.size(); ++i) {
    INFO("parameter " << i);
    CHECK_FALSE(at::equal(before[i], after[i]));
  }
}

TEST_CASE("a machine that is too slow ends in time and says so") {
  TrainOptions options = FewSteps();
  options.steps = 1'000'000;
  options.time_limit = std::chrono::seconds(1);
  std::vector<TrainProgress> reports;
  Trained(options, &reports);
  CHECK(reports.back().hurried);
  CHECK(reports.back().step < 1'000'000);
}

TEST_CASE("named tensors are those that a checkpoint of this config has to have") {
  const auto named = NamedTowerTensors(MakeDemoNetwork(TinyConfig(), 1));
  const auto expected = vision::TowerTensors(TinyConfig());
  REQUIRE(named.size() == expected.size());
  for (size_t i = 0; i < named.size(); ++i) {
    CHECK(named[i].first == expected[i].name);
    int64_t values = 1;
    for (int64_t side : expected[i].shape) values *= side;
    CHECK(named[i].second.numel() == values);
  }
}

TEST_CASE("arguments of the program are taken in both spellings, and wrong ones are named") {
  const std::vector<std::string> good = {"--seed=7", "--output", "x",
                                         "--steps",  "9",        "--minutes=0"};
  const auto request = ParseTrainDemoArguments(good);
  REQUIRE(request.ok());
  CHECK(request->training.seed == 7);
  CHECK(request->output == "x");
  CHECK(request->training.steps == 9);
  CHECK(request->training.time_limit.count() == 0);

  for (const std::string bad :
       {"--seed=x", "--steps=0", "--steps=-1", "--minutes=1e3", "--colour=1", "--seed", "faces"}) {
    const auto refused = ParseTrainDemoArguments(std::vector<std::string>{bad});
    INFO(bad);
    REQUIRE_FALSE(refused.ok());
    const std::string name = bad.substr(0, bad.find('='));
    CHECK(std::string(refused.status().message()).find(name) != std::string::npos);
  }
}

}  // namespace
}  // namespace emotion::training
