#include "heads/head_checkpoint.h"

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include <catch2/catch.hpp>

#include "heads/mlp_head.h"
#include "nlohmann/json.hpp"
#include "tests/unit/heads/temp_folder.h"

namespace emotion::heads {
namespace {

std::vector<float> Ramp(size_t count, float step) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) {
    values[i] = std::sin(static_cast<float>(i) * step) * 0.5F;
  }
  return values;
}

// Every kind of layer and every entry that we write.
HeadCheckpoint Full() {
  HeadCheckpoint checkpoint;
  checkpoint.network.activation = Activation::kGelu;
  checkpoint.network.layers = {
      {"net.0", NormLayer{.kind = NormKind::kLayerNorm,
                          .width = 7,
                          .weight = Ramp(7, 0.3F),
                          .bias = Ramp(7, 0.7F)}},
      {"net.1", LinearLayer{7, 5, Ramp(35, 0.9F), Ramp(5, 0.2F)}},
      {"net.2", NormLayer{.kind = NormKind::kBatchNorm,
                          .width = 5,
                          .weight = Ramp(5, 1.1F),
                          .bias = Ramp(5, 0.4F),
                          .running_mean = Ramp(5, 0.6F),
                          .running_var = {0.5F, 1, 2, 0.25F, 3}}},
      {"net.5", LinearLayer{5, 4, Ramp(20, 0.35F), {}}},
  };
  checkpoint.val_f1 = 0.4375;
  checkpoint.input_size = {140, 112};
  checkpoint.calibration = {.method = "vector_scaling",
                            .temperature = 1.25F,
                            .bias = {0.5F, -0.5F, 0, 1},
                            .prior = "train"};
  checkpoint.encoder_fingerprint = Fingerprint{0xDE, 0xAD};
  checkpoint.preprocessing_version = "1";
  checkpoint.crop = R"({"detector":"yunet","margin":0.25,"size":112,"jpeg_quality":null})";
  checkpoint.metrics = R"({"clip":{"f1_macro":0.5,"support":[1,2,3,4],"best":true}})";
  checkpoint.demo = true;
  checkpoint.licence = "CC0-1.0";
  return checkpoint;
}

std::string BytesOf(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<float> ForwardOf(const HeadCheckpoint& checkpoint, const std::vector<float>& input) {
  const auto head = MlpHead::Create(checkpoint.network);
  REQUIRE(head.ok());
  const auto logits = head->Forward(input);
  return {logits.begin(), logits.end()};
}

// For tests/parity/check_written_head.py, which reads the file with PyTorch.
void KeepForPython(const HeadCheckpoint& checkpoint) {
  const char* folder = std::getenv("HEADS_WRITE_DIR");
  if (folder == nullptr) return;
  REQUIRE(SaveHeadCheckpoint(std::filesystem::path(folder) / "written.pth", checkpoint).ok());
  const std::vector<float> input = Ramp(7, 1.7F);
  const nlohmann::json expected = {{"input", input}, {"logits", ForwardOf(checkpoint, input)}};
  std::ofstream(std::filesystem::path(folder) / "written.json") << expected;
}

}  // namespace

TEST_CASE("what is saved is loaded, entry by entry and bit by bit") {
  const TempFolder folder;
  const auto path = folder.path() / "mlp_Boredom_best.pth";
  const HeadCheckpoint saved = Full();
  REQUIRE(SaveHeadCheckpoint(path, saved).ok());
  const auto loaded = LoadHeadCheckpoint(path);
  INFO(loaded.status().ToString());
  REQUIRE(loaded.ok());
  CHECK(loaded->val_f1 == saved.val_f1);
  CHECK(loaded->input_size == saved.input_size);
  CHECK(loaded->calibration.method == saved.calibration.method);
  CHECK(loaded->calibration.temperature == saved.calibration.temperature);
  CHECK(loaded->calibration.bias == saved.calibration.bias);
  CHECK(loaded->calibration.prior == saved.calibration.prior);
  CHECK(loaded->encoder_fingerprint == saved.encoder_fingerprint);
  CHECK(loaded->preprocessing_version == saved.preprocessing_version);
  CHECK(loaded->crop == saved.crop);
  CHECK(loaded->metrics == saved.metrics);
  CHECK(loaded->demo == saved.demo);
  CHECK(loaded->licence == saved.licence);
  CHECK(loaded->network.activation == saved.network.activation);
  REQUIRE(loaded->network.layers.size() == saved.network.layers.size());
  const std::vector<float> input = Ramp(7, 1.7F);
  CHECK(ForwardOf(*loaded, input) == ForwardOf(saved, input));
  KeepForPython(saved);
}

TEST_CASE("the same head gives the same file, and a save replaces the old one as a whole") {
  const TempFolder folder;
  const auto path = folder.path() / "head.pth";
  std::ofstream(path) << "something older";
  REQUIRE(SaveHeadCheckpoint(path, Full()).ok());
  const std::string first = BytesOf(path);
  REQUIRE(SaveHeadCheckpoint(path, Full()).ok());
  CHECK(BytesOf(path) == first);
  const auto files = std::filesystem::directory_iterator(folder.path());
  CHECK(std::distance(begin(files), end(files)) == 1);
}

TEST_CASE("records of a saved head start at multiples of 64 bytes") {
  const TempFolder folder;
  const auto path = folder.path() / "head.pth";
  const HeadCheckpoint saved = Full();
  REQUIRE(SaveHeadCheckpoint(path, saved).ok());
  const auto& weight = std::get<LinearLayer>(saved.network.layers[1].layer).weight;
  const size_t at = BytesOf(path).find(
      std::string(reinterpret_cast<const char*>(weight.data()), weight.size() * sizeof(float)));
  REQUIRE(at != std::string::npos);
  CHECK(at % 64 == 0);
}

TEST_CASE("a head that could not be read back is not written") {
  const TempFolder folder;
  const auto path = folder.path() / "head.pth";
  HeadCheckpoint checkpoint = Full();
  SECTION("norms behind activations") {
    checkpoint.network.norm_placement = NormPlacement::kAfterActivation;
  }
  SECTION("another epsilon") {
    std::get<NormLayer>(checkpoint.network.layers[2].layer).epsilon = 1e-3;
  }
  SECTION("NaN") { std::get<LinearLayer>(checkpoint.network.layers[1].layer).weight[3] = NAN; }
  SECTION("two layers of one name") { checkpoint.network.layers[3].name = "net.1"; }
  SECTION("a gap before a norm") { checkpoint.network.layers[2].name = "net.4"; }
  SECTION("a temperature of zero") { checkpoint.calibration.temperature = 0.0F; }
  SECTION("a crop that is no JSON") { checkpoint.crop = "{"; }
  CHECK(SaveHeadCheckpoint(path, checkpoint).code() == absl::StatusCode::kInvalidArgument);
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("a folder that is not there is an error of the file system") {
  const TempFolder folder;
  const auto status = SaveHeadCheckpoint(folder.path() / "no" / "head.pth", Full());
  CHECK(status.code() == absl::StatusCode::kUnavailable);
  CHECK(std::string(status.message()).find("No such file") != std::string::npos);
}

}  // namespace emotion::heads
