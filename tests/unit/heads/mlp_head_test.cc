#include "heads/mlp_head.h"

#include <cmath>
#include <random>
#include <vector>

#include <catch2/catch.hpp>

#include "heads/gemv.h"

namespace emotion::heads {
namespace {

std::vector<float> Random(size_t count, std::mt19937& generator) {
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(generator);
  return values;
}

LinearLayer RandomLinear(int64_t inputs, int64_t outputs, std::mt19937& generator) {
  return {.inputs = inputs,
          .outputs = outputs,
          .weight = Random(static_cast<size_t>(inputs * outputs), generator),
          .bias = Random(static_cast<size_t>(outputs), generator)};
}

HeadNetwork TwoLayers() {
  std::mt19937 generator(7);
  HeadNetwork network;
  network.layers = {{"0", RandomLinear(5, 6, generator)}, {"2", RandomLinear(6, 4, generator)}};
  return network;
}

std::string RefusalOf(const HeadNetwork& network) {
  const auto head = MlpHead::Create(network);
  REQUIRE_FALSE(head.ok());
  return std::string(head.status().message());
}

}  // namespace

TEST_CASE("the fast product equals the slow one for every shape of rows and tails") {
  std::mt19937 generator(1);
  for (size_t inputs : {1, 2, 7, 8, 15, 16, 17, 31, 33, 100, 1280}) {
    for (size_t outputs : {1, 2, 3, 4, 5, 8, 11}) {
      CAPTURE(inputs, outputs);
      const auto weight = Random(inputs * outputs, generator);
      const auto bias = Random(outputs, generator);
      const auto x = Random(inputs, generator);
      std::vector<float> y(outputs + 1, 77.0F);
      Gemv(weight.data(), bias.data(), x.data(), y.data(), outputs, inputs);
      for (size_t row = 0; row < outputs; ++row) {
        double exact = bias[row];
        double size = std::abs(bias[row]);
        for (size_t i = 0; i < inputs; ++i) {
          const double product = static_cast<double>(weight[row * inputs + i]) * x[i];
          exact += product;
          size += std::abs(product);
        }
        CHECK(std::abs(y[row] - exact) <= 1e-6 * size);
      }
      CHECK(y[outputs] == 77.0F);
    }
  }
}

TEST_CASE("a BatchNorm folds into its Linear without moving the answer") {
  std::mt19937 generator(3);
  const LinearLayer first = RandomLinear(5, 6, generator);
  const LinearLayer last = RandomLinear(6, 4, generator);
  NormLayer norm{.kind = NormKind::kBatchNorm,
                 .width = 6,
                 .weight = Random(6, generator),
                 .bias = Random(6, generator),
                 .running_mean = Random(6, generator),
                 .running_var = {0.5F, 1, 2, 0, 1e-3F, 3},
                 .epsilon = 1e-5};
  HeadNetwork network;
  network.layers = {{"0", first}, {"1", norm}, {"3", last}};
  const auto x = Random(5, generator);
  const auto head = MlpHead::Create(network);
  REQUIRE(head.ok());
  const auto logits = head->Forward(x);
  for (size_t level = 0; level < 4; ++level) {
    double expected = last.bias[level];
    for (size_t h = 0; h < 6; ++h) {
      double hidden = first.bias[h];
      for (size_t i = 0; i < 5; ++i) hidden += static_cast<double>(first.weight[h * 5 + i]) * x[i];
      hidden = (hidden - norm.running_mean[h]) / std::sqrt(norm.running_var[h] + norm.epsilon) *
                   norm.weight[h] +
               norm.bias[h];
      expected += last.weight[level * 6 + h] * std::max(hidden, 0.0);
    }
    CHECK(logits[level] == Approx(expected).epsilon(1e-5));
  }
}

TEST_CASE("a network that is none is refused, naming the layer") {
  HeadNetwork network = TwoLayers();
  SECTION("without layers") {
    network.layers.clear();
    CHECK(RefusalOf(network) == "has no layers");
  }
  SECTION("with a weight too few") {
    std::get<LinearLayer>(network.layers[1].layer).weight.pop_back();
    CHECK(RefusalOf(network) == "layer '2' has 23 values of weight; expected 24");
  }
  SECTION("with infinity in a bias") {
    std::get<LinearLayer>(network.layers[0].layer).bias[2] = INFINITY;
    CHECK(RefusalOf(network) == "layer '0' has a bias that is NaN or infinite");
  }
  SECTION("that ends with a norm") {
    network.layers.push_back({"3", NormLayer{.kind = NormKind::kLayerNorm, .width = 4}});
    CHECK(RefusalOf(network) == "layer '3' ends the head with a norm; expected a Linear");
  }
  SECTION("with a norm behind a norm") {
    const NormLayer norm{.kind = NormKind::kLayerNorm, .width = 6};
    network.layers.insert(network.layers.begin() + 1, {{"a", norm}, {"b", norm}});
    CHECK(RefusalOf(network) == "layer 'b' is a norm behind a norm; expected a Linear");
  }
  SECTION("with a negative variance") {
    network.layers.insert(network.layers.begin() + 1,
                          {"bn", NormLayer{.width = 6,
                                           .running_mean = std::vector<float>(6, 0.0F),
                                           .running_var = {1, 1, -1, 1, 1, 1}}});
    CHECK(RefusalOf(network) == "layer 'bn' has a negative running_var");
  }
  SECTION("that is wider than the limit") {
    auto& linear = std::get<LinearLayer>(network.layers[0].layer);
    linear.inputs = kMaxInputDim + 1;
    CHECK(RefusalOf(network) == "layer '0' is 65537 to 6; both must be 1 to 65536");
  }
  SECTION("that leaves float32 when a norm is folded") {
    network.layers.insert(network.layers.begin() + 1,
                          {"bn", NormLayer{.width = 6,
                                           .weight = std::vector<float>(6, 3e38F),
                                           .running_mean = std::vector<float>(6, 0.0F),
                                           .running_var = std::vector<float>(6, 1e-4F)}});
    CHECK(RefusalOf(network).find("leaves the range of float32") != std::string::npos);
  }
  SECTION("with too many Linears") {
    std::mt19937 generator(1);
    network.layers.clear();
    for (int i = 0; i < 17; ++i) {
      network.layers.push_back({std::to_string(i), RandomLinear(4, 4, generator)});
    }
    CHECK(RefusalOf(network) == "layer '16' is one Linear too many; the limit is 16");
  }
}

}  // namespace emotion::heads
