// The oneDNN encoder against LibTorch's.
#include <algorithm>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "common/error/error.h"
#include "tests/unit/vision/plain_numbers.h"
#include "tests/unit/vision/tiny_model.h"
#include "vision/encoder/factory/create_encoder.h"
#include "vision/encoder/onednn/onednn_encoder.h"
#include "vision/encoder/torch/torch_encoder.h"

namespace emotion::vision {
namespace {

using Catch::Matchers::Contains;

std::unique_ptr<VisionEncoder> Reference(const TinyModel& model,
                                         Precision precision = Precision::kFp32) {
  auto encoder =
      CreateTorchEncoder({.directory = model.path(), .precision = precision, .threads = 1});
  REQUIRE(encoder.ok());
  return *std::move(encoder);
}

}  // namespace

TEST_CASE("the encoder gives what LibTorch's gives, for windows, ragged windows and batches") {
  const TinyModel model;
  const auto encoder = model.Encoder();
  const auto reference = Reference(model);
  CHECK(encoder->info().fingerprint == reference->info().fingerprint);
  CHECK(encoder->info().dim == reference->info().dim);
  CHECK_THAT(encoder->info().device, Contains("oneDNN"));
  const Patches face = model.Image({1, 8, 8}, "face");
  const Patches wide = model.Image({1, 10, 22}, "wide");
  const Patches video = model.Image({2, 4, 6}, "video");
  const std::vector<std::vector<const Patches*>> batches = {
      {&face}, {&wide}, {&video}, {&wide, &face, &video, &face}, {&face, &face}};
  for (const auto& batch : batches) {
    const auto found = encoder->Encode(batch);
    const auto expected = reference->Encode(batch);
    REQUIRE(found.ok());
    REQUIRE(found->size() == batch.size());
    for (size_t i = 0; i < batch.size(); ++i) {
      CHECK(Largest(found->at(i), expected->at(i)) < 2e-5);
    }
  }
  CHECK(encoder->Encode({})->empty());
}

TEST_CASE("bf16 by emulation is as near to fp32 as LibTorch's bf16, and near to it") {
  const TinyModel model;
  const Patches face = model.Image({1, 8, 8}, "face");
  const Patches wide = model.Image({1, 10, 22}, "wide");
  const Patches* const images[] = {&face, &wide};
  const auto fp32 = Reference(model)->Encode(images);
  const auto torch = Reference(model, Precision::kBf16)->Encode(images);
  const auto emulated = model.Encoder(1, Precision::kBf16, /*emulate_bf16=*/true)->Encode(images);
  for (size_t i = 0; i < 2; ++i) {
    const double ours = CosineOf(emulated->at(i), fp32->at(i));
    const double theirs = CosineOf(torch->at(i), fp32->at(i));
    CHECK(ours > 0.9999);
    CHECK(ours < 1.0);                     // it was computed in bf16
    CHECK(1 - ours < 1.2 * (1 - theirs));  // our residual stream is fp32, theirs bf16
    CHECK(CosineOf(emulated->at(i), torch->at(i)) > 0.9998);
  }
}

TEST_CASE("neither company in the batch nor threads change an embedding by more than roundings") {
  const TinyModel model;
  const auto encoder = model.Encoder();
  const Patches face = model.Image({1, 8, 8}, "face");
  const Patches wide = model.Image({1, 10, 22}, "wide");
  const Patches* const both[] = {&wide, &face};
  const Patches* const alone[] = {&face};
  const auto together = encoder->Encode(both);
  CHECK(Largest(together->at(1), encoder->Encode(alone)->at(0)) < 1e-5);
  CHECK(Largest(together->at(1), model.Encoder(2)->Encode(both)->at(1)) < 1e-5);
  CHECK(encoder->Encode(alone)->at(0) == encoder->Encode(alone)->at(0));
}

TEST_CASE("what does not fit the model, the CPU or the disk is refused by name") {
  const TinyModel model;
  const auto encoder = model.Encoder();
  const Patches good = model.Image({1, 4, 4}, "good");
  Patches bad = good;
  bad.rows.pop_back();
  const Patches* const images[] = {&good, &bad};
  const auto refused = encoder->Encode(images);
  CHECK(refused.status().code() == absl::StatusCode::kInvalidArgument);
  CHECK_THAT(std::string(refused.status().message()), Contains("images/1"));
  const Patches odd{{1, 3, 4}, good.rows};
  const Patches* const odd_images[] = {&odd};
  CHECK(encoder->Encode(odd_images).status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(encoder->Encode({&images[0], 1}).ok());

  CHECK(CreateOneDnnEncoder({.directory = model.path(), .precision = Precision::kFp16})
            .status()
            .code() == absl::StatusCode::kInvalidArgument);
  CHECK(CreateOneDnnEncoder({.directory = model.path() + "/nowhere"}).status().code() ==
        absl::StatusCode::kNotFound);
  const auto bf16 = CreateOneDnnEncoder({.directory = model.path(), .precision = Precision::kBf16});
  CHECK(bf16.ok() == OneDnnComputesBf16());
}

TEST_CASE("a device chooses the implementation, and LibTorch's comes from its module") {
  const TinyModel model;
  const Patches face = model.Image({1, 8, 8}, "face");
  const Patches* const images[] = {&face};
  const auto cpu = CreateEncoder({.directory = model.path()});
  const auto torch = CreateEncoder({.directory = model.path(), .device = "torch-cpu"});
  REQUIRE(cpu.ok());
  INFO(torch.status().ToString());
  REQUIRE(torch.ok());
  CHECK_THAT((*cpu)->info().device, Contains("oneDNN"));
  CHECK_THAT((*torch)->info().device, Contains("LibTorch"));
  CHECK(Largest((*cpu)->Encode(images)->at(0), (*torch)->Encode(images)->at(0)) < 2e-5);
  CHECK(CreateEncoder({.directory = model.path(), .device = "abacus"}).status().code() ==
        absl::StatusCode::kInvalidArgument);
}

TEST_CASE("loading tells its progress, which ends at 1") {
  const TinyModel model;
  std::vector<double> shares;
  const auto encoder = CreateOneDnnEncoder(
      {.directory = model.path(), .progress = [&](double share) { shares.push_back(share); }});
  REQUIRE(encoder.ok());
  CHECK(std::is_sorted(shares.begin(), shares.end()));
  CHECK(shares.back() == 1.0);
}

}  // namespace emotion::vision
