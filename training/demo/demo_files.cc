#include "training/demo/demo_files.h"

#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "heads/head_checkpoint.h"
#include "training/demo/camera.h"
#include "training/demo/face_drawer.h"
#include "vision/encoder/model_directory.h"
#include "vision/encoder/safetensors.h"
#include "vision/encoder/torch/torch_encoder.h"
#include "vision/preprocess/image_preparer.h"
#include "vision/preprocess/version.h"

namespace emotion::training {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kSelfTestImage[] = "selftest.jpg";

absl::Status WriteFile(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary);
  file << bytes;
  file.close();
  if (!file) return absl::InternalError(fmt::format("{}: cannot be written", path.string()));
  return absl::OkStatus();
}

absl::Status MakeFolder(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) {
    return absl::InternalError(fmt::format("{}: {}", path.string(), error.message()));
  }
  return absl::OkStatus();
}

std::string PreprocessorJson() {
  const vision::PreprocessorConfig config;
  return Json{{"image_processor_type", "Qwen2VLImageProcessor"},
              {"patch_size", config.patch_size},
              {"temporal_patch_size", config.temporal_patch_size},
              {"merge_size", config.merge_size},
              {"min_pixels", config.min_pixels},
              {"max_pixels", config.max_pixels},
              {"image_mean", config.mean},
              {"image_std", config.std}}
             .dump(2) +
         "\n";
}

absl::Status WriteWeights(const DemoNetwork& network, const std::filesystem::path& path) {
  const auto named = NamedTowerTensors(network);
  std::vector<vision::TensorSpec> specs = vision::TowerTensors(network.config);
  const std::map<std::string, at::Tensor> by_name(named.begin(), named.end());
  for (vision::TensorSpec& spec : specs) spec.dtype = vision::DType::kBF16;
  auto writer = vision::SafetensorsWriter::Create(path.string(), specs);
  if (!writer.ok()) return writer.status();
  for (const vision::TensorSpec& spec : specs) {
    const at::Tensor stored = by_name.at(spec.name).detach().to(at::kBFloat16).contiguous();
    const std::span bytes(static_cast<const std::byte*>(stored.data_ptr()), stored.nbytes());
    if (absl::Status appended = (*writer)->Append(bytes); !appended.ok()) return appended;
  }
  return (*writer)->Finish();
}

std::vector<float> Values(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.detach().contiguous();
  return {flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel()};
}

heads::HeadLayer Layer(std::string name, const vision::LinearWeights& linear) {
  return {std::move(name), heads::LinearLayer{.inputs = linear.weight.size(1),
                                              .outputs = linear.weight.size(0),
                                              .weight = Values(linear.weight),
                                              .bias = Values(linear.bias)}};
}

heads::HeadCheckpoint Checkpoint(const HeadWeights& head, const HeadFit& fit,
                                 const vision::Fingerprint& fingerprint) {
  heads::HeadCheckpoint checkpoint;
  checkpoint.network.layers = {Layer("net.0", head.hidden), Layer("net.2", head.out)};
  checkpoint.val_f1 = fit.val_f1;
  checkpoint.input_size = {kFaceSide, kFaceSide};
  checkpoint.calibration.method = "temperature";
  checkpoint.calibration.temperature = fit.temperature;
  checkpoint.encoder_fingerprint = fingerprint;
  checkpoint.preprocessing_version = std::to_string(vision::kPreprocessingVersion);
  checkpoint.demo = true;
  checkpoint.licence = kDemoLicence;
  return checkpoint;
}

Json ScoreJson(const LevelScore& score) {
  return {{"accuracy", score.accuracy},
          {"f1_macro", score.f1_macro},
          {"support", score.support},
          {"baselines",
           {{"majority",
             {{"accuracy", score.majority_accuracy}, {"f1_macro", score.majority_f1_macro}}}}}};
}

}  // namespace

void RoundTowerToBf16(DemoNetwork& network) {
  const c10::NoGradGuard guard;
  for (auto& [name, tensor] : NamedTowerTensors(network)) {
    at::Tensor values = tensor;
    values.copy_(values.to(at::kBFloat16));
  }
}

absl::Status WriteEncoder(const DemoNetwork& network, const std::filesystem::path& models) {
  const std::filesystem::path folder = models / "encoder";
  if (absl::Status made = MakeFolder(folder); !made.ok()) return made;
  const vision::ModelConfig config{
      .vision = network.config, .name = kDemoName, .demo = true, .licence = kDemoLicence};
  absl::Status status = WriteFile(folder / "config.json", vision::FormatModelConfig(config));
  status.Update(WriteFile(folder / "preprocessor_config.json", PreprocessorJson()));
  status.Update(WriteWeights(network, folder / "model.safetensors"));
  return status;
}

std::array<HeadFit, kStateCount> FitHeads(const DemoNetwork& network, uint64_t seed, size_t faces) {
  const vision::Patchifier patchifier{vision::PreprocessorConfig{}};
  const FaceBatch batch = DrawSplit(seed, Split::kValidation, 0, faces, patchifier);
  const auto logits = PredictLogits(network, batch);
  std::array<HeadFit, kStateCount> fits;
  for (size_t state = 0; state < kStateCount; ++state) {
    std::vector<int> truth;
    for (const Levels& levels : batch.levels) truth.push_back(levels[state]);
    fits[state].val_f1 = ScoreLevels(truth, MostProbable(logits[state])).f1_macro;
    fits[state].temperature = FitTemperature(logits[state], truth);
  }
  return fits;
}

absl::Status WriteHeads(const DemoNetwork& network, const std::array<HeadFit, kStateCount>& fits,
                        const std::filesystem::path& models) {
  if (absl::Status made = MakeFolder(models / "classifiers"); !made.ok()) return made;
  const auto model = vision::OpenModelDirectory((models / "encoder").string());
  if (!model.ok()) return model.status();
  const vision::Fingerprint fingerprint = vision::ComputeFingerprint(*model);
  for (size_t state = 0; state < kStateCount; ++state) {
    const auto path =
        models / "classifiers" / fmt::format("mlp_{}_best.pth", StateName(kStates[state]));
    absl::Status saved =
        heads::SaveHeadCheckpoint(path, Checkpoint(network.heads[state], fits[state], fingerprint));
    if (!saved.ok()) return saved;
  }
  return absl::OkStatus();
}

absl::Status WriteSelfTest(uint64_t seed, const std::filesystem::path& models) {
  const std::filesystem::path folder = models / "encoder";
  const SampledFace face = SampleFace(FaceSeed(seed, Split::kSelfTest, 0));
  const std::string jpeg = EncodeJpeg(DrawFace(face.parameters), 90);
  const vision::ImagePreparer preparer({});
  const auto prepared = preparer.Prepare(jpeg, {});
  if (!prepared.ok()) return prepared.status();
  auto encoder = vision::CreateTorchEncoder({.directory = folder.string()});
  if (!encoder.ok()) return encoder.status();
  const vision::Patches* const image = &prepared->patches;
  const auto embeddings = (*encoder)->Encode({&image, 1});
  if (!embeddings.ok()) return embeddings.status();
  const Json json = {{"image", kSelfTestImage},
                     {"width", kFaceSide},
                     {"height", kFaceSide},
                     {"precision", "fp32"},
                     {"embedding", embeddings->front()}};
  absl::Status status = WriteFile(folder / kSelfTestImage, jpeg);
  status.Update(WriteFile(folder / "selftest.json", json.dump() + "\n"));
  return status;
}

absl::Status WriteEvaluation(const DemoEvaluation& evaluation, const TrainOptions& training,
                             const std::filesystem::path& models) {
  Json states;
  for (size_t state = 0; state < kStateCount; ++state) {
    states[std::string(StateName(kStates[state]))]["frame"] = ScoreJson(evaluation.states[state]);
  }
  const Json json = {
      {"demo", true},
      {"note",
       "Drawn faces and an invented rule: these numbers say how well the network learnt the rule, "
       "and nothing about any person."},
      {"training",
       {{"seed", training.seed}, {"steps", training.steps}, {"faces_per_step", training.batch}}},
      {"test", {{"seed", evaluation.seed}, {"faces", evaluation.faces}}},
      {"states", states}};
  return WriteFile(models / "evaluation.json", json.dump(2) + "\n");
}

}  // namespace emotion::training
