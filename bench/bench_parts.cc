// What one frame costs, part by part, on this machine with the demo model (and, where
// BENCH_MODEL names a folder, with that encoder). `make bench` runs it.
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include <benchmark/benchmark.h>

#include "common/hash/sha256.h"
#include "embedding_service/cache/near_duplicate.h"
#include "heads/head_bank.h"
#include "vision/encoder/factory/create_encoder.h"
#include "vision/preprocess/image_preparer.h"
#include "vision/preprocess/resize_bicubic.h"

namespace emotion {
namespace {

const std::string kSource = EMOTION_SOURCE_DIR;

std::string ReadImage(const std::string& name) {
  std::ifstream in(kSource + "/tests/data/images/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

vision::ImagePreparer Preparer() { return vision::ImagePreparer({.config = {}, .limits = {}}); }

void ContentKey(benchmark::State& state) {
  const std::string image = ReadImage("astronaut_face.jpg");
  for (auto _ : state) benchmark::DoNotOptimize(Sha256().Field(image).Finish());
}
BENCHMARK(ContentKey);

void DecodeResizeAndPatch(benchmark::State& state, const std::string& name) {
  const std::string image = ReadImage(name);
  const vision::ImagePreparer preparer = Preparer();
  for (auto _ : state) {
    auto prepared = preparer.Prepare(std::string_view(image), vision::PrepareOptions());
    if (!prepared.ok()) state.SkipWithError(prepared.status().ToString().c_str());
    benchmark::DoNotOptimize(prepared);
  }
}
BENCHMARK_CAPTURE(DecodeResizeAndPatch, face_112, std::string("astronaut_face.jpg"));
BENCHMARK_CAPTURE(DecodeResizeAndPatch, photo_512, std::string("astronaut.jpg"));

vision::RgbImage FacePixels() {
  const std::string image = ReadImage("astronaut_face.jpg");
  return Preparer().Prepare(std::string_view(image), vision::PrepareOptions()).value().image;
}

void DescribeFace(benchmark::State& state) {
  const vision::RgbImage face = FacePixels();
  for (auto _ : state) benchmark::DoNotOptimize(embedding::Describe(face));
}
BENCHMARK(DescribeFace);

void CompareFaces(benchmark::State& state) {
  const embedding::FaceDescriptor face = embedding::Describe(FacePixels());
  const embedding::FaceDescriptor other;
  for (auto _ : state) benchmark::DoNotOptimize(embedding::Similarity(face, other));
}
BENCHMARK(CompareFaces);

void SealFace(benchmark::State& state) {
  const embedding::FaceDescriptor face = embedding::Describe(FacePixels());
  const embedding::DescriptorSeal seal("a secret");
  for (auto _ : state) benchmark::DoNotOptimize(seal.Seal(face, "lane"));
}
BENCHMARK(SealFace);

void CompareSealedFaces(benchmark::State& state) {
  const embedding::DescriptorSeal seal("a secret");
  const std::string face = seal.Seal(embedding::Describe(FacePixels()), "lane");
  const std::string other = seal.Seal(embedding::FaceDescriptor(), "lane");
  for (auto _ : state) benchmark::DoNotOptimize(seal.Similarity(face, other));
}
BENCHMARK(CompareSealedFaces);

void FourHeads(benchmark::State& state) {
  const auto bank = heads::HeadBank::Load(kSource + "/models/demo/classifiers");
  if (!bank.ok()) {
    state.SkipWithError(bank.status().ToString().c_str());
    return;
  }
  const std::vector<float> embedding(static_cast<size_t>((*bank)->input_dim()), 0.1F);
  for (auto _ : state) benchmark::DoNotOptimize((*bank)->Classify(embedding));
}
BENCHMARK(FourHeads);

// One encode; the argument is its number of faces.
void Encode(benchmark::State& state) {
  const char* named = std::getenv("BENCH_MODEL");
  const std::string directory = named != nullptr ? named : kSource + "/models/demo/encoder";
  auto encoder = vision::CreateEncoder({.directory = directory});
  const std::string image = ReadImage("astronaut_face.jpg");
  const auto prepared = Preparer().Prepare(std::string_view(image), vision::PrepareOptions());
  if (!encoder.ok() || !prepared.ok()) {
    state.SkipWithError("the encoder or the image does not load");
    return;
  }
  const std::vector<const vision::Patches*> batch(static_cast<size_t>(state.range(0)),
                                                  &prepared->patches);
  for (auto _ : state) benchmark::DoNotOptimize((*encoder)->Encode(batch));
}
BENCHMARK(Encode)->Arg(1)->Arg(4)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace emotion

BENCHMARK_MAIN();
