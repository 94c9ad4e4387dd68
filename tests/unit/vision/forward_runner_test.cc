// Batches on a device that records, which here is the CPU behind a fake: a recording is the work
// itself, done again. Faults are injected.
#include "vision/encoder/torch/forward_runner.h"

#include <cmath>
#include <map>

#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>
#include <catch2/catch.hpp>

#include "vision/encoder/random_checkpoint.h"
#include "vision/encoder/random_weights.h"

namespace emotion::vision {
namespace {

using Catch::Matchers::Contains;
using Vectors = ForwardRunner::Vectors;

constexpr Grid kFace{1, 8, 8};

// What a test says to a device and learns of it.
struct Device {
  bool records = true;
  bool fails_to_record = false;
  bool replays_wrongly = false;
  size_t memory_patches = 100'000;  // asking for more host memory runs out of it
  int recorded = 0;
  int replayed = 0;
  int waits = 0;
  int freed = 0;
};

class RepeatedWork final : public Recording {
 public:
  RepeatedWork(Device& device, std::function<void()> work)
      : device_(device), work_(std::move(work)) {}
  void Replay() override {
    ++device_.replayed;
    if (!device_.replays_wrongly) work_();
  }

 private:
  Device& device_;
  const std::function<void()> work_;
};

class FakeAccelerator final : public Accelerator {
 public:
  explicit FakeAccelerator(Device& device) : device_(device) {}

  at::Device device() const override { return at::kCPU; }
  void OnStream(const std::function<void()>& work) override { work(); }

  at::Tensor HostMemory(int64_t rows, int64_t columns) override {
    TORCH_CHECK_WITH(OutOfMemoryError, rows <= static_cast<int64_t>(device_.memory_patches),
                     "CUDA out of memory. Tried to allocate\nadvice");
    return at::empty({rows, columns}, at::dtype(at::kFloat));
  }

  void Wait() override { ++device_.waits; }

  std::unique_ptr<Recording> Record(const std::function<void()>& work) override {
    if (!device_.records) return nullptr;
    ++device_.recorded;
    work();
    TORCH_CHECK(!device_.fails_to_record, "operation not permitted when stream is capturing");
    return std::make_unique<RepeatedWork>(device_, work);
  }

  void FreeCached() override { ++device_.freed; }

 private:
  Device& device_;
};

struct Bench {
  Device device;
  std::vector<std::string> warnings;
  VisionConfig config = SizeConfig(ModelSize::kTiny);
  ForwardRunner runner{config, Tower(config), std::make_unique<FakeAccelerator>(device),
                       [this](std::string_view text) { warnings.emplace_back(text); }};

  static TowerWeights Tower(const VisionConfig& config) {
    std::map<std::string, at::Tensor> tensors;
    for (const TensorSpec& spec : TowerTensors(config)) {
      at::Tensor tensor = at::empty(spec.shape, at::kFloat);
      FillRandomWeights(spec.name, spec.shape, 0, 0,
                        {tensor.data_ptr<float>(), static_cast<size_t>(tensor.numel())});
      tensors[spec.name] = tensor;
    }
    return AssembleTower(config, [&](const std::string& name) { return tensors.at(name); });
  }

  Patches Image(const Grid& grid, int number) const {
    Patches image{grid, std::vector<float>(int64_t{grid.patches()} * config.patch_values())};
    FillRandomWeights("image " + std::to_string(number),
                      {static_cast<int64_t>(image.rows.size()), 1}, 0, 0, image.rows);
    return image;
  }

  absl::StatusOr<Vectors> Run(const std::vector<Patches>& images) {
    std::vector<const Patches*> pointers;
    for (const Patches& image : images) pointers.push_back(&image);
    return runner.Run(pointers);
  }

  std::vector<Patches> Faces(int count, int first = 0) const {
    std::vector<Patches> faces;
    for (int i = 0; i < count; ++i) faces.push_back(Image(kFace, first + i));
    return faces;
  }
};

bool Near(const Vectors& a, const Vectors& b) {
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t j = 0; j < a[i].size(); ++j) {
      if (!(std::abs(a[i][j] - b[i][j]) < 1e-5)) return false;
    }
  }
  return true;
}

}  // namespace

TEST_CASE("each number of faces is recorded at its first encode and replayed from then on") {
  Bench bench;
  Bench plain;
  plain.device.records = false;
  for (const int count : {1, 2, 4, 8, 3}) {
    const int before = bench.device.replayed;
    for (int round = 0; round < 3; ++round) {
      const auto faces = bench.Faces(count, 10 * round);
      CHECK(Near(*bench.Run(faces), *plain.Run(faces)));
    }
    CHECK(bench.device.replayed == before + 3);  // once to check the recording
  }
  CHECK(bench.device.recorded == 5);
  CHECK(bench.runner.recordings() == 5);
  CHECK(bench.warnings.empty());
}

TEST_CASE("what is not a batch of up to eight faces is computed step by step") {
  Bench bench;
  REQUIRE(bench.Run(bench.Faces(1)).ok());
  REQUIRE(bench.device.recorded == 1);
  for (int round = 0; round < 2; ++round) {
    CHECK(bench.Run(bench.Faces(9)).ok());
    CHECK(bench.Run({bench.Image({1, 10, 22}, 1)}).ok());
    CHECK(bench.Run({bench.Image(kFace, 1), bench.Image({1, 4, 6}, 2)}).ok());
  }
  CHECK(bench.device.recorded == 1);
}

TEST_CASE("images of many sizes never push a recording out, nor change what it gives") {
  Bench bench;
  const auto faces = bench.Faces(2);
  const Vectors expected = *bench.Run(faces);
  for (int width = 2; width <= 80; width += 2) {
    REQUIRE(bench.Run({bench.Image({1, 2, width}, width)}).ok());
  }
  CHECK(Near(*bench.Run(faces), expected));
  CHECK(bench.device.recorded == 1);
  CHECK(bench.runner.recordings() == 1);
}

TEST_CASE("a batch waits for its device once") {
  Bench bench;
  for (int round = 0; round < 3; ++round) REQUIRE(bench.Run(bench.Faces(2)).ok());
  const int before = bench.device.waits;
  REQUIRE(bench.Run(bench.Faces(2)).ok());
  CHECK(bench.device.waits == before + 1);
  REQUIRE(bench.Run({bench.Image({1, 4, 6}, 2)}).ok());
  CHECK(bench.device.waits == before + 2);
}

TEST_CASE("a recording that fails is said once, and everything is computed without") {
  Bench bench;
  bench.device.fails_to_record = true;
  const auto faces = bench.Faces(2);
  const Vectors expected = *bench.Run(faces);
  bench.device.fails_to_record = false;
  CHECK(Near(*bench.Run(faces), expected));
  CHECK(bench.Run(bench.Faces(4)).ok());
  CHECK(bench.device.recorded == 1);
  REQUIRE(bench.warnings.size() == 1);
  CHECK_THAT(bench.warnings.front(), Contains("not permitted when stream is capturing"));
}

TEST_CASE("a recording that gives other values is not used") {
  Bench bench;
  bench.device.replays_wrongly = true;
  const auto faces = bench.Faces(2);
  const Vectors expected = *bench.Run(faces);
  CHECK(Near(*bench.Run(faces), expected));
  CHECK(bench.runner.recordings() == 0);
  REQUIRE(bench.warnings.size() == 1);
  CHECK_THAT(bench.warnings.front(), Contains("other values"));
}

TEST_CASE("out of memory is told as such, frees what can be freed, and the next batch works") {
  Bench bench;
  REQUIRE(bench.Run(bench.Faces(2)).ok());
  REQUIRE(bench.runner.recordings() == 1);
  bench.device.memory_patches = 4 * 64;
  const auto status = bench.Run(bench.Faces(8)).status();
  CHECK(status.code() == absl::StatusCode::kResourceExhausted);
  CHECK(status.message() == "out of memory: CUDA out of memory. Tried to allocate");
  CHECK(bench.device.freed == 1);
  CHECK(bench.runner.recordings() == 0);
  CHECK(bench.Run(bench.Faces(4)).ok());
  CHECK(bench.runner.recordings() == 1);
}

TEST_CASE("after patches that do not fit, a batch of those before gives the same") {
  Bench bench;
  const auto faces = bench.Faces(2);
  const Vectors expected = *bench.Run(faces);
  auto bad = bench.Faces(2, 5);
  bad[1].rows.pop_back();
  CHECK(bench.Run(bad).status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(Near(*bench.Run(faces), expected));
}

}  // namespace emotion::vision
