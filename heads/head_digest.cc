#include "heads/head_digest.h"

#include <bit>
#include <memory>
#include <string_view>

#include <openssl/evp.h>

#include "fmt/format.h"

namespace emotion::heads {
namespace {

static_assert(std::endian::native == std::endian::little, "floats are hashed as they lie");

class Digest {
 public:
  Digest() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    ok_ = context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1;
  }

  void Add(const void* data, size_t bytes) {
    ok_ = ok_ && EVP_DigestUpdate(context_.get(), data, bytes) == 1;
  }
  // With its length, so that no two sequences of fields look alike.
  void Text(std::string_view text) {
    const uint64_t length = text.size();
    Add(&length, sizeof(length));
    Add(text.data(), text.size());
  }
  void Floats(const std::vector<float>& values) {
    const uint64_t count = values.size();
    Add(&count, sizeof(count));
    Add(values.data(), values.size() * sizeof(float));
  }

  absl::StatusOr<Fingerprint> Finish() {
    Fingerprint fingerprint;
    unsigned int bytes = 0;
    ok_ = ok_ && EVP_DigestFinal_ex(context_.get(), fingerprint.data(), &bytes) == 1;
    if (!ok_ || bytes != fingerprint.size()) return absl::InternalError("SHA-256 is not available");
    return fingerprint;
  }

 private:
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context_;
  bool ok_;
};

void AddLayer(Digest& digest, const LinearLayer& linear) {
  digest.Text(fmt::format("linear {} {}", linear.inputs, linear.outputs));
  digest.Floats(linear.weight);
  digest.Floats(linear.bias);
}

void AddLayer(Digest& digest, const NormLayer& norm) {
  digest.Text(fmt::format("{} {}", norm.kind == NormKind::kBatchNorm ? "batch_norm" : "layer_norm",
                          norm.epsilon));
  digest.Floats(norm.weight);
  digest.Floats(norm.bias);
  digest.Floats(norm.running_mean);
  digest.Floats(norm.running_var);
}

void AddHead(Digest& digest, const HeadCheckpoint& head) {
  const HeadNetwork& network = head.network;
  digest.Text(
      fmt::format("layers {} activation {} norm {} size {}x{}", network.layers.size(),
                  ActivationName(network.activation),
                  network.norm_placement == NormPlacement::kBeforeActivation ? "before" : "after",
                  head.input_size.width, head.input_size.height));
  for (const HeadLayer& layer : network.layers) {
    std::visit([&](const auto& kind) { AddLayer(digest, kind); }, layer.layer);
  }
  digest.Floats({head.calibration.temperature.value_or(1.0F)});
  digest.Floats(head.calibration.bias);
}

}  // namespace

absl::StatusOr<Fingerprint> DigestHeads(const std::array<HeadCheckpoint, kStateCount>& heads) {
  Digest digest;
  digest.Text("emotion heads 1");
  for (State state : kStates) {
    digest.Text(std::string(StateName(state)));
    AddHead(digest, heads[static_cast<size_t>(state)]);
  }
  return digest.Finish();
}

}  // namespace emotion::heads
