// The LibTorch encoder apart from parity (tests/parity): errors, batches, gradients, slices.
#include <algorithm>
#include <cmath>
#include <map>

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <catch2/catch.hpp>

#include "common/error/error.h"
#include "tests/unit/vision/temporary_directory.h"
#include "vision/encoder/random_checkpoint.h"
#include "vision/encoder/random_weights.h"
#include "vision/encoder/torch/attention.h"
#include "vision/encoder/torch/linear.h"
#include "vision/encoder/torch/torch_encoder.h"

namespace emotion::vision {
namespace {

using Catch::Matchers::Contains;

// A tiny random model, and images for it.
class TinyModel {
 public:
  TinyModel() {
    REQUIRE(
        WriteRandomCheckpoint({.directory = directory_ / "m", .config = config_, .progress = {}})
            .ok());
  }

  std::unique_ptr<VisionEncoder> Encoder(int threads = 1) const {
    auto encoder = CreateTorchEncoder({.directory = path(), .threads = threads});
    REQUIRE(encoder.ok());
    return *std::move(encoder);
  }

  std::string path() const { return directory_ / "m"; }

  Patches Image(const Grid& grid, const char* name) const {
    const int64_t count = int64_t{grid.patches()} * config_.patch_values();
    Patches image{grid, std::vector<float>(count)};
    FillRandomWeights(name, {count, 1}, 0, 0, image.rows);
    return image;
  }

 private:
  TemporaryDirectory directory_;
  VisionConfig config_ = SizeConfig(ModelSize::kTiny);
};

absl::Status Refusal(const TorchEncoderOptions& options) {
  return CreateTorchEncoder(options).status();
}

double Largest(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(double{a[i]} - b[i]));
  }
  return largest;
}

bool Close(const at::Tensor& a, const at::Tensor& b) { return at::allclose(a, b, 1e-4, 1e-4); }

}  // namespace

TEST_CASE("products are what LibTorch's own are, whatever kernel computes them") {
  at::set_num_threads(1);
  // Below and above the size from which oneDNN takes over.
  for (const int64_t rows : {1, 7, 300}) {
    const auto x = at::randn({rows, 96});
    const auto weight = at::randn({50, 96});
    const auto bias = at::randn({50});
    CHECK(Close(Linear(x, weight, bias), at::linear(x, weight, bias)));
    CHECK(Close(Linear(x, weight, {}), at::linear(x, weight)));
    const auto a = at::randn({6, rows, 96});
    const auto b = at::randn({6, 11, 96});
    CHECK(Close(MatmulTransposed(a, b), at::bmm(a, b.transpose(1, 2))));
  }
}

TEST_CASE("attention in slices is attention") {
  const std::vector<Grid> grids = {{1, 8, 8}, {1, 8, 8}, {1, 6, 4}};
  const VisionConfig config = SizeConfig(ModelSize::kTiny);
  const auto plan = PlanBatch(config, grids, at::kCPU);
  REQUIRE(plan.ok());
  const auto q = at::randn({152, 4, 12});
  const auto k = at::randn({152, 4, 12});
  const auto v = at::randn({152, 4, 12});
  const auto whole = AttendSegments(plan->windows, q, k, v);
  REQUIRE(whole.size(0) == 152);
  for (const int64_t scores : {1, 64, 64 * 64, 3 * 64 * 64 + 1}) {
    CHECK(Close(AttendSegments(plan->windows, q, k, v, scores), whole));
  }
}

TEST_CASE("an image's embedding does not depend on who shares its batch, nor on threads") {
  const TinyModel model;
  const auto encoder = model.Encoder();
  const Patches face = model.Image({1, 8, 8}, "face");
  const Patches wide = model.Image({1, 10, 22}, "wide");
  const Patches video = model.Image({2, 4, 6}, "video");
  const std::vector<const Patches*> all = {&wide, &face, &video, &face};
  const auto together = encoder->Encode(all);
  REQUIRE(together.ok());
  REQUIRE(together->size() == 4);
  CHECK(together->at(1) == together->at(3));
  for (size_t i = 0; i < all.size(); ++i) {
    const auto alone = encoder->Encode({&all[i], 1});
    REQUIRE(alone.ok());
    CHECK(alone->at(0).size() == static_cast<size_t>(encoder->info().dim));
    CHECK(Largest(alone->at(0), together->at(i)) < 1e-5);
    const auto threaded = model.Encoder(2)->Encode({&all[i], 1});
    CHECK(Largest(threaded->at(0), alone->at(0)) < 1e-5);
  }
  CHECK(Largest(together->at(0), together->at(1)) > 1e-3);
  CHECK(encoder->Encode({})->empty());
}

TEST_CASE("patches that do not fit the model are refused, and the encoder goes on") {
  const TinyModel model;
  const auto encoder = model.Encoder();
  const Patches good = model.Image({1, 4, 4}, "good");
  const auto code = [&](Patches image) {
    const Patches* images[] = {&good, &image};
    return encoder->Encode(images).status().code();
  };
  auto bad = good;
  bad.rows.pop_back();
  CHECK(code(bad) == absl::StatusCode::kInvalidArgument);
  CHECK(code({{1, 4, 4}, {}}) == absl::StatusCode::kInvalidArgument);
  CHECK(code({{1, 3, 4}, good.rows}) == absl::StatusCode::kInvalidArgument);
  CHECK(code({{-1, 4, 4}, good.rows}) == absl::StatusCode::kInvalidArgument);
  CHECK(code({{0, 0, 0}, {}}) == absl::StatusCode::kInvalidArgument);
  CHECK(code(good) == absl::StatusCode::kOk);
}

TEST_CASE("what this LibTorch cannot compute is refused before the weights are read") {
  const TinyModel model;
  for (const Precision precision : {Precision::kInt8, Precision::kMixedInt8}) {
    const auto status = Refusal({.directory = model.path(), .precision = precision});
    CHECK(ReasonOf(status) == Reason::kFieldInvalid);
    CHECK_THAT(std::string(status.message()), Contains("precision"));
  }
  for (const char* device : {"", "tpu", "cuda:x", "meta", "cpu:7x"}) {
    const auto status = Refusal({.directory = model.path(), .device = device});
    INFO(device);
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    CHECK_THAT(std::string(status.message()), Contains("device"));
  }
  CHECK(Refusal({.directory = model.path() + "/none"}).code() == absl::StatusCode::kNotFound);
}

TEST_CASE("a GPU that is not there is refused by its name, without CUDA as with it") {
  const TinyModel model;
  const auto status = Refusal({.directory = model.path(), .device = "cuda:99"});
  CHECK(ReasonOf(status) == Reason::kFieldInvalid);
  CHECK_THAT(std::string(status.message()), Contains("device") && Contains("cuda:99"));
  CHECK(ReasonOf(HalfPrecisionOf("cuda:99").status()) == Reason::kFieldInvalid);
  CHECK(HalfPrecisionOf("tpu").status().code() == absl::StatusCode::kInvalidArgument);
}

TEST_CASE("loading tells its progress, which ends at 1") {
  const TinyModel model;
  std::vector<double> shares;
  REQUIRE(CreateTorchEncoder({.directory = model.path(),
                              .progress = [&](double share) { shares.push_back(share); }})
              .ok());
  CHECK(shares.size() > 10);
  CHECK(std::is_sorted(shares.begin(), shares.end()));
  CHECK(shares.back() == 1);
}

TEST_CASE("the encoder says what it is") {
  const TinyModel model;
  const auto encoder = model.Encoder();
  CHECK(encoder->info().dim == 64);
  CHECK(encoder->info().patch_values == 1176);
  CHECK(encoder->info().precision == Precision::kFp32);
  CHECK_THAT(encoder->info().device, Contains("cpu: LibTorch"));
  CHECK(encoder->info().fingerprint != Fingerprint{});
}

TEST_CASE("gradients reach every weight, and are the slopes of the loss") {
  at::set_num_threads(1);
  VisionConfig config = SizeConfig(ModelSize::kTiny);
  config.depth = 2;
  std::map<std::string, at::Tensor> tensors;
  for (const TensorSpec& spec : TowerTensors(config)) {
    at::Tensor tensor = at::empty(spec.shape, at::kFloat);
    FillRandomWeights(spec.name, spec.shape, 0, 0,
                      {tensor.data_ptr<float>(), static_cast<size_t>(tensor.numel())});
    tensors[spec.name] = tensor.requires_grad_(true);
  }
  const TowerWeights tower =
      AssembleTower(config, [&](const std::string& name) { return tensors.at(name); });
  const std::vector<Grid> grids = {{1, 8, 8}, {1, 6, 10}};
  const auto plan = PlanBatch(config, grids, at::kCPU);
  REQUIRE(plan.ok());
  const auto rows = at::randn({124, config.patch_values()});
  const auto direction = at::randn({2, config.out_hidden_size});
  const auto loss = [&] {
    return (PoolTokens(*plan, ForwardTower(config, tower, *plan, rows)) * direction).sum();
  };
  loss().backward();
  for (auto& [name, tensor] : tensors) {
    INFO(name);
    REQUIRE(tensor.grad().defined());
    // A bias of k moves all scores of a query alike, which softmax does not see: but q's and v's
    // do.
    const double size = tensor.grad().norm().item<double>();
    CHECK(std::isfinite(size));
    CHECK(size > 0);
    // Along the gradient itself the slope is its length.
    const auto step = (tensor.grad() * (1e-3 / size)).detach();
    const auto kept = tensor.detach().clone();
    tensor.data().copy_(kept + step);
    const double above = loss().item<double>();
    tensor.data().copy_(kept - step);
    const double below = loss().item<double>();
    tensor.data().copy_(kept);
    CHECK((above - below) / 2e-3 == Approx(size).epsilon(0.05).margin(0.02));
  }
}

}  // namespace emotion::vision
