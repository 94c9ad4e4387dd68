#include "heads/head_digest.h"

#include <bit>
#include <string_view>

#include "common/hash/sha256.h"
#include "fmt/format.h"

namespace emotion::heads {
namespace {

static_assert(std::endian::native == std::endian::little, "floats are hashed as they lie");

void AddFloats(Sha256& digest, const std::vector<float>& values) {
  digest.Field(static_cast<uint64_t>(values.size()));
  digest.Update({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)});
}

void AddLayer(Sha256& digest, const LinearLayer& linear) {
  digest.Field(fmt::format("linear {} {}", linear.inputs, linear.outputs));
  AddFloats(digest, linear.weight);
  AddFloats(digest, linear.bias);
}

void AddLayer(Sha256& digest, const NormLayer& norm) {
  digest.Field(fmt::format("{} {}", norm.kind == NormKind::kBatchNorm ? "batch_norm" : "layer_norm",
                           norm.epsilon));
  AddFloats(digest, norm.weight);
  AddFloats(digest, norm.bias);
  AddFloats(digest, norm.running_mean);
  AddFloats(digest, norm.running_var);
}

void AddHead(Sha256& digest, const HeadCheckpoint& head) {
  const HeadNetwork& network = head.network;
  digest.Field(
      fmt::format("layers {} activation {} norm {} size {}x{}", network.layers.size(),
                  ActivationName(network.activation),
                  network.norm_placement == NormPlacement::kBeforeActivation ? "before" : "after",
                  head.input_size.width, head.input_size.height));
  for (const HeadLayer& layer : network.layers) {
    std::visit([&](const auto& kind) { AddLayer(digest, kind); }, layer.layer);
  }
  AddFloats(digest, {head.calibration.temperature.value_or(1.0F)});
  AddFloats(digest, head.calibration.bias);
}

}  // namespace

Fingerprint DigestHeads(const std::array<HeadCheckpoint, kStateCount>& heads) {
  Sha256 digest;
  digest.Field(std::string_view("emotion heads 1"));
  for (State state : kStates) {
    digest.Field(StateName(state));
    AddHead(digest, heads[static_cast<size_t>(state)]);
  }
  return digest.Finish();
}

}  // namespace emotion::heads
