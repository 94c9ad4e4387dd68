#include "heads/head_bank.h"

#include <fstream>
#include <thread>

#include <catch2/catch.hpp>

#include "heads/head_checkpoint.h"
#include "tests/unit/heads/temp_folder.h"

namespace emotion::heads {
namespace {

constexpr int64_t kDim = 6;

// A head whose logits are a known function of the embedding: level k gets embedding[(k + shift) %
// 4].
HeadCheckpoint Picker(size_t shift) {
  LinearLayer linear{.inputs = kDim, .outputs = 4, .weight = {}, .bias = {}};
  linear.weight.assign(4 * kDim, 0.0F);
  for (size_t level = 0; level < 4; ++level) {
    linear.weight[level * kDim + (level + shift) % 4] = 1.0F;
  }
  HeadCheckpoint checkpoint;
  checkpoint.network.layers.push_back({"0", linear});
  checkpoint.val_f1 = 0.25 + static_cast<double>(shift) / 8;
  return checkpoint;
}

std::filesystem::path FileOf(const TempFolder& folder, State state) {
  return folder.path() / ("mlp_" + std::string(StateName(state)) + "_best.pth");
}

// Four pickers, each with its own shift.
struct Models {
  TempFolder folder;
  std::array<HeadCheckpoint, kStateCount> heads = {Picker(0), Picker(1), Picker(2), Picker(3)};

  HeadCheckpoint& of(State state) { return heads[static_cast<size_t>(state)]; }
  absl::StatusOr<std::unique_ptr<HeadBank>> Load() {
    for (State state : kStates) {
      REQUIRE(SaveHeadCheckpoint(FileOf(folder, state), of(state)).ok());
    }
    return HeadBank::Load(folder.path());
  }
};

std::string MessageOf(const absl::StatusOr<std::unique_ptr<HeadBank>>& bank) {
  REQUIRE_FALSE(bank.ok());
  return std::string(bank.status().message());
}

const std::vector<float> kEmbedding = {0.5F, 3.0F, -1.0F, 1.0F, 9.0F, 9.0F};

}  // namespace

TEST_CASE("each state is judged by its own head") {
  Models models;
  const auto bank = models.Load();
  REQUIRE(bank.ok());
  CHECK((*bank)->input_dim() == kDim);
  const auto predictions = (*bank)->Classify(kEmbedding);
  CHECK(predictions[0].level == 1);
  CHECK(predictions[1].level == 0);
  CHECK(predictions[2].level == 3);
  CHECK(predictions[3].level == 2);
}

TEST_CASE("probabilities sum to one and confidence is the level's own") {
  Models models;
  const auto bank = models.Load();
  REQUIRE(bank.ok());
  for (const HeadPrediction& prediction : (*bank)->Classify(kEmbedding)) {
    float sum = 0;
    double expected = 0;
    for (size_t level = 0; level < kLevelCount; ++level) {
      sum += prediction.probabilities[level];
      expected += static_cast<double>(level) * prediction.probabilities[level];
    }
    CHECK(sum == Approx(1.0F).margin(1e-6));
    CHECK(prediction.confidence == prediction.probabilities[static_cast<size_t>(prediction.level)]);
    CHECK(prediction.expected_level == Approx(expected).margin(1e-6));
  }
}

TEST_CASE("of equally probable levels the lowest wins") {
  Models models;
  const auto bank = models.Load();
  REQUIRE(bank.ok());
  const std::vector<float> even(kDim, 0.75F);
  for (const HeadPrediction& prediction : (*bank)->Classify(even)) {
    CHECK(prediction.level == 0);
    CHECK(prediction.confidence == 0.25F);
    CHECK(prediction.expected_level == 1.5F);
  }
}

TEST_CASE("a calibration moves probabilities and may move the level") {
  Models models;
  models.of(State::kBoredom).calibration = {
      .method = "vector_scaling", .temperature = 2.0F, .bias = {2.0F, 0, 0, 0}, .prior = "train"};
  const auto bank = models.Load();
  REQUIRE(bank.ok());
  const HeadPrediction boredom = (*bank)->Classify(kEmbedding)[0];
  CHECK(boredom.level == 0);  // 0.5 / 2 + 2 beats 3 / 2
  CHECK((*bank)->infos()[0].temperature == 2.0F);
  CHECK((*bank)->infos()[0].calibration_method == "vector_scaling");
  CHECK((*bank)->infos()[0].calibration_bias.size() == 4);
  CHECK((*bank)->infos()[1].calibration_bias.empty());
}

TEST_CASE("infos tell what the checkpoints say") {
  Models models;
  for (HeadCheckpoint& head : models.heads) {
    head.encoder_fingerprint = Fingerprint{1, 2, 3};
    head.input_size = {140, 168};
    head.crop = R"({"detector":"yunet"})";
    head.licence = "CC0-1.0";
  }
  models.of(State::kConfusion).demo = true;
  const auto bank = models.Load();
  REQUIRE(bank.ok());
  const HeadInfo& info = (*bank)->infos()[2];
  CHECK(info.state == State::kConfusion);
  CHECK(info.file == "mlp_Confusion_best.pth");
  CHECK(info.val_f1 == 0.5);
  CHECK(info.input_width == 140);
  CHECK(info.input_height == 168);
  CHECK(info.encoder_fingerprint == Fingerprint{1, 2, 3});
  CHECK(info.crop == R"({"detector":"yunet"})");
  CHECK(info.licence == "CC0-1.0");
  CHECK(info.demo);
  CHECK_FALSE((*bank)->infos()[0].demo);
  CHECK((*bank)->demo());
}

TEST_CASE("the digest follows what moves a prediction and nothing else") {
  Models models;
  const auto first = models.Load();
  models.of(State::kBoredom).val_f1 = 0.9;
  models.of(State::kBoredom).licence = "other";
  const auto renamed = models.Load();
  models.of(State::kFrustration).calibration.temperature = 1.25F;
  const auto calibrated = models.Load();
  std::get<LinearLayer>(models.of(State::kEngagement).network.layers[0].layer).weight[5] = 1e-6F;
  const auto retrained = models.Load();
  REQUIRE((first.ok() && renamed.ok() && calibrated.ok() && retrained.ok()));
  CHECK((*first)->digest() == (*renamed)->digest());
  CHECK((*first)->digest() != (*calibrated)->digest());
  CHECK((*calibrated)->digest() != (*retrained)->digest());
}

TEST_CASE("a missing head is NOT_FOUND and named") {
  Models models;
  REQUIRE(models.Load().ok());
  std::filesystem::remove(FileOf(models.folder, State::kConfusion));
  const auto bank = HeadBank::Load(models.folder.path());
  CHECK(MessageOf(bank) == "mlp_Confusion_best.pth: does not exist");
  CHECK(bank.status().code() == absl::StatusCode::kNotFound);
}

TEST_CASE("an empty file, garbage and a folder in place of a head are named") {
  Models models;
  REQUIRE(models.Load().ok());
  const auto path = FileOf(models.folder, State::kEngagement);
  std::ofstream(path, std::ios::trunc);
  CHECK(MessageOf(HeadBank::Load(models.folder.path())) == "mlp_Engagement_best.pth: is empty");
  std::ofstream(path) << "<html>404 Not Found</html>";
  CHECK(MessageOf(HeadBank::Load(models.folder.path())).find("is not a .pth file") !=
        std::string::npos);
  std::ofstream(path) << "PK\x03\x04 and then nothing that makes sense";
  CHECK(MessageOf(HeadBank::Load(models.folder.path())).find("truncated or damaged") !=
        std::string::npos);
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  CHECK(MessageOf(HeadBank::Load(models.folder.path())) ==
        "mlp_Engagement_best.pth: is not a file");
}

TEST_CASE("siblings that disagree are refused, naming both") {
  Models models;
  SECTION("in input_dim") {
    auto& linear = std::get<LinearLayer>(models.of(State::kConfusion).network.layers[0].layer);
    linear.inputs = kDim + 1;
    linear.weight.assign(4 * (kDim + 1), 0.0F);
    CHECK(MessageOf(models.Load()) ==
          "mlp_Confusion_best.pth: input_dim is 7; mlp_Boredom_best.pth has 6");
  }
  SECTION("in input_size") {
    models.of(State::kFrustration).input_size = {140, 140};
    CHECK(MessageOf(models.Load()) ==
          "mlp_Frustration_best.pth: input_size is 140x140; mlp_Boredom_best.pth has 112x112");
  }
  SECTION("in the encoder") {
    models.of(State::kEngagement).encoder_fingerprint = Fingerprint{7};
    CHECK(MessageOf(models.Load()).find("encoder_fingerprint is 0700") != std::string::npos);
  }
}

TEST_CASE("heads.json overrides what a checkpoint says") {
  Models models;
  for (HeadCheckpoint& head : models.heads) head.input_size = {140, 140};
  std::ofstream(models.folder.path() / "heads.json") << R"({"common": {"input_size": 84}})";
  const auto bank = models.Load();
  REQUIRE(bank.ok());
  CHECK((*bank)->infos()[0].input_width == 84);
  std::ofstream(models.folder.path() / "heads.json") << R"({"Boredom": {"activations": "relu"}})";
  CHECK(MessageOf(HeadBank::Load(models.folder.path())) ==
        "heads.json: Boredom has an unknown member 'activations'");
}

TEST_CASE("many threads get the same bits") {
  Models models;
  const auto bank = models.Load();
  REQUIRE(bank.ok());
  const auto expected = (*bank)->Classify(kEmbedding);
  std::array<bool, 4> same{};
  {
    std::vector<std::jthread> threads;
    for (bool& mine : same) {
      threads.emplace_back([&] {
        mine = true;
        for (int i = 0; i < 200; ++i) {
          const auto got = (*bank)->Classify(kEmbedding);
          for (size_t s = 0; s < kStateCount; ++s) {
            mine = mine && got[s].probabilities == expected[s].probabilities;
          }
        }
      });
    }
  }
  CHECK(same == std::array{true, true, true, true});
}

}  // namespace emotion::heads
