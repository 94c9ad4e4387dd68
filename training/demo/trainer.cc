#include "training/demo/trainer.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <numbers>
#include <optional>
#include <thread>
#include <vector>

#include <ATen/Parallel.h>
#include <malloc.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/optim/adamw.h>

namespace emotion::training {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kReportSteps = 50;
constexpr double kWarmUp = 0.05;    // of the run
constexpr double kLastRate = 0.01;  // of the full rate
constexpr double kMaxGradient = 1;  // norm over all parameters

struct ShardResult {
  double loss = 0;
  std::vector<at::Tensor> gradients;  // one per parameter
  std::exception_ptr error;
};

ShardResult RunShard(const DemoNetwork& network, const std::vector<at::Tensor>& parameters,
                     const TrainOptions& options, uint64_t first_face,
                     const vision::Patchifier& patchifier) {
  at::set_num_threads(1);
  ShardResult result;
  try {
    const FaceBatch batch = DrawSplit(options.seed, Split::kTrain, first_face,
                                      options.batch / options.shards, patchifier);
    const at::Tensor loss = Loss(Forward(network, batch), batch, options.aid_weight);
    result.loss = loss.item<double>();
    result.gradients = torch::autograd::grad({loss}, parameters);
  } catch (...) {
    result.error = std::current_exception();
  }
  return result;
}

// Leaves the mean gradient of the shards in the parameters; returns the mean loss.
double ComputeGradients(const DemoNetwork& network, std::vector<at::Tensor>& parameters,
                        const TrainOptions& options, int step,
                        const vision::Patchifier& patchifier) {
  std::vector<ShardResult> results(options.shards);
  {
    std::vector<std::jthread> threads;
    for (size_t shard = 0; shard < options.shards; ++shard) {
      const uint64_t first =
          static_cast<uint64_t>(step) * options.batch + shard * (options.batch / options.shards);
      threads.emplace_back([&, shard, first] {
        results[shard] = RunShard(network, parameters, options, first, patchifier);
      });
    }
  }
  double loss = 0;
  for (const ShardResult& result : results) {
    if (result.error) std::rethrow_exception(result.error);
    loss += result.loss / static_cast<double>(options.shards);
  }
  for (size_t i = 0; i < parameters.size(); ++i) {
    at::Tensor sum = results[0].gradients[i];
    for (size_t shard = 1; shard < options.shards; ++shard) {
      sum = sum + results[shard].gradients[i];
    }
    parameters[i].mutable_grad() = sum / static_cast<double>(options.shards);
  }
  return loss;
}

void ClipGradients(std::vector<at::Tensor>& parameters) {
  double squares = 0;
  for (const at::Tensor& parameter : parameters) {
    const double norm = parameter.grad().norm().item<double>();
    squares += norm * norm;
  }
  const double norm = std::sqrt(squares);
  if (norm <= kMaxGradient) return;
  for (at::Tensor& parameter : parameters) parameter.mutable_grad().mul_(kMaxGradient / norm);
}

torch::optim::AdamW MakeOptimizer(const std::vector<at::Tensor>& parameters,
                                  const TrainOptions& options) {
  std::vector<at::Tensor> matrices, vectors;
  for (const at::Tensor& parameter : parameters) {
    (parameter.dim() > 1 ? matrices : vectors).push_back(parameter);
  }
  const auto group = [](std::vector<at::Tensor> members, double decay) {
    auto settings = std::make_unique<torch::optim::AdamWOptions>();
    settings->weight_decay(decay).betas({0.9, 0.98});
    return torch::optim::OptimizerParamGroup(std::move(members), std::move(settings));
  };
  return torch::optim::AdamW({group(matrices, options.weight_decay), group(vectors, 0)});
}

double RateAt(double done, const TrainOptions& options) {
  if (done < kWarmUp) return options.learning_rate * (done + 1e-3) / kWarmUp;
  const double fall = (done - kWarmUp) / (1 - kWarmUp);
  const double cosine = 0.5 + 0.5 * std::cos(std::numbers::pi * fall);
  return options.learning_rate * (kLastRate + (1 - kLastRate) * cosine);
}

// How far the run is after `step` steps: by steps, or by time where that is further.
TrainProgress Place(const TrainOptions& options, int step, Clock::time_point start) {
  TrainProgress place{.step = step, .done = static_cast<double>(step) / options.steps};
  if (options.time_limit.count() > 0) {
    const double by_time =
        (Clock::now() - start) / std::chrono::duration<double>(options.time_limit);
    place.hurried = by_time > place.done;
    place.done = std::max(place.done, by_time);
  }
  return place;
}

}  // namespace

void Train(DemoNetwork& network, const TrainOptions& options, const vision::Patchifier& patchifier,
           const std::function<void(const TrainProgress&)>& progress) {
  // Tensors of a step come and go in megabytes: keep their pages instead of asking for them anew.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  std::vector<at::Tensor> parameters = Parameters(network);
  torch::optim::AdamW optimizer = MakeOptimizer(parameters, options);
  const Clock::time_point start = Clock::now();
  double losses = 0;
  int steps_since_report = 0;
  for (TrainProgress place; place.done < 1;) {
    for (auto& group : optimizer.param_groups()) {
      group.options().set_lr(RateAt(place.done, options));
    }
    losses += ComputeGradients(network, parameters, options, place.step, patchifier);
    ClipGradients(parameters);
    optimizer.step();
    ++steps_since_report;
    place = Place(options, place.step + 1, start);
    if (place.step % kReportSteps == 0 || place.done >= 1) {
      place.loss = losses / steps_since_report;
      progress(place);
      losses = steps_since_report = 0;
    }
  }
}

}  // namespace emotion::training
