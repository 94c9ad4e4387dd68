// The product's honest check of its demo: the files in models/demo, read by the real encoder and
// the real heads, on faces whose seeds no training saw.
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <catch2/catch.hpp>

#include "embedding_service/selftest.h"
#include "heads/head_bank.h"
#include "training/demo/demo_check.h"
#include "vision/encoder/model_config.h"
#include "vision/encoder/torch/torch_encoder.h"
#include "vision/preprocess/image_preparer.h"

namespace emotion::training {
namespace {

const std::filesystem::path kDemo = std::filesystem::path(EMOTION_SOURCE_DIR) / "models" / "demo";

TEST_CASE("each head names unseen drawn faces with a macro-F1 of 0.8 at least") {
  const auto evaluation = EvaluateDemo(kDemo, /*seed=*/20260917, /*faces=*/400);
  REQUIRE(evaluation.ok());
  for (size_t state = 0; state < kStateCount; ++state) {
    const LevelScore& score = evaluation->states[state];
    INFO(StateName(kStates[state])
         << ": macro-F1 " << score.f1_macro << ", accuracy " << score.accuracy
         << ", always the commonest level " << score.majority_f1_macro);
    CHECK(score.f1_macro >= 0.8);
    CHECK(score.majority_f1_macro < 0.2);
  }
}

TEST_CASE("the demo says that it is one, in encoder and heads, under our licence") {
  const auto config = vision::ReadModelConfig((kDemo / "encoder").string());
  REQUIRE(config.ok());
  CHECK(config->demo);
  CHECK(config->licence == "Apache-2.0");
  CHECK(config->name.find("demo") != std::string::npos);
  const auto bank = heads::HeadBank::Load(kDemo / "classifiers");
  REQUIRE(bank.ok());
  CHECK((*bank)->demo());
  for (const heads::HeadInfo& info : (*bank)->infos()) {
    CHECK(info.demo);
    CHECK(info.licence == "Apache-2.0");
    CHECK(info.val_f1.value_or(0) >= 0.8);
  }
}

TEST_CASE("heads and encoder of the demo belong together") {
  const auto encoder = vision::CreateTorchEncoder({.directory = (kDemo / "encoder").string()});
  const auto bank = heads::HeadBank::Load(kDemo / "classifiers");
  REQUIRE(encoder.ok());
  REQUIRE(bank.ok());
  CHECK((*bank)->input_dim() == (*encoder)->info().dim);
  for (const heads::HeadInfo& info : (*bank)->infos()) {
    CHECK(info.encoder_fingerprint == (*encoder)->info().fingerprint);
  }
}

TEST_CASE("the stored picture and vector pass the service's self-test, in fp32 and in bf16") {
  for (vision::Precision precision : {vision::Precision::kFp32, vision::Precision::kBf16}) {
    const auto encoder = vision::CreateTorchEncoder(
        {.directory = (kDemo / "encoder").string(), .precision = precision});
    REQUIRE(encoder.ok());
    const auto report = embedding::RunSelfTest(**encoder, vision::ImagePreparer({}), {112, 112}, 2,
                                               kDemo / "encoder");
    INFO(vision::PrecisionName(precision) << ": " << report.status());
    REQUIRE(report.ok());
    CHECK(report->cosine.value_or(0) > 0.999);
  }
}

TEST_CASE("a photograph, which the demo never saw the like of, gets finite answers") {
  std::ifstream file(std::filesystem::path(EMOTION_TEST_DATA) / "images" / "astronaut.jpg",
                     std::ios::binary);
  const std::string photograph(std::istreambuf_iterator<char>(file), {});
  const auto prepared = vision::ImagePreparer({}).Prepare(photograph, {});
  REQUIRE(prepared.ok());
  const auto encoder = vision::CreateTorchEncoder({.directory = (kDemo / "encoder").string()});
  const auto bank = heads::HeadBank::Load(kDemo / "classifiers");
  REQUIRE(encoder.ok());
  REQUIRE(bank.ok());
  const vision::Patches* const image = &prepared->patches;
  const auto embeddings = (*encoder)->Encode({&image, 1});
  REQUIRE(embeddings.ok());
  for (const heads::HeadPrediction& prediction : (*bank)->Classify(embeddings->front())) {
    double sum = 0;
    for (float probability : prediction.probabilities) sum += probability;
    CHECK(sum == Approx(1).margin(1e-5));
    CHECK(prediction.confidence <= 1);
    CHECK(prediction.level >= 0);
    CHECK(prediction.level <= 3);
  }
}

TEST_CASE("the demo stays a few megabytes") {
  uintmax_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(kDemo)) {
    if (entry.is_regular_file()) bytes += entry.file_size();
  }
  CHECK(bytes > 100'000);
  CHECK(bytes < 5'000'000);
}

}  // namespace
}  // namespace emotion::training
