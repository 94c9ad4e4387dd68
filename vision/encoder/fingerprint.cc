#include "vision/encoder/fingerprint.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "common/hash/sha256.h"
#include "common/sync/usable_cores.h"
#include "fmt/format.h"

namespace emotion::vision {
namespace {

// In the text that is hashed: change it when the text changes.
constexpr std::string_view kVersion = "emotion-model 1";
constexpr std::string_view kPooling = "mean of output tokens, fp32";

Fingerprint Hash(std::span<const std::byte> bytes) {
  return Sha256().Update({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}).Finish();
}

}  // namespace

Fingerprint DigestOf(const TensorView& tensor) { return Hash(tensor.bytes); }

Fingerprint ComputeFingerprint(const VisionConfig& config, std::string_view canonical_preprocessing,
                               const Checkpoint& checkpoint, const TensorDigests& digests) {
  // Lengths before free text keep two different models from making one text.
  std::string text = fmt::format("{}\nconfig {}\n{}preprocessing {}\n{}\npooling {}\n", kVersion,
                                 CanonicalText(config).size(), CanonicalText(config),
                                 canonical_preprocessing.size(), canonical_preprocessing, kPooling);
  for (const auto& [name, view] : checkpoint.tensors()) {
    text += fmt::format("{} {} {} {}\n", name, DTypeName(view.dtype), ShapeText(view.shape),
                        FingerprintText(digests.at(name)));
  }
  return Hash(std::as_bytes(std::span(text)));
}

Fingerprint ComputeFingerprint(const VisionConfig& config, std::string_view canonical_preprocessing,
                               const Checkpoint& checkpoint, int threads) {
  if (threads <= 0) threads = UsableCores();
  TensorDigests digests;
  std::vector<std::pair<const TensorView*, Fingerprint*>> pieces;
  for (const auto& [name, view] : checkpoint.tensors()) {
    pieces.emplace_back(&view, &digests[name]);
  }
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < pieces.size(); i = next++)
      *pieces[i].second = DigestOf(*pieces[i].first);
  };
  {
    std::vector<std::jthread> helpers;
    for (int i = 1; i < threads; ++i) helpers.emplace_back(work);
    work();
  }
  return ComputeFingerprint(config, canonical_preprocessing, checkpoint, digests);
}

std::string FingerprintText(const Fingerprint& fingerprint) { return Hex(fingerprint); }

}  // namespace emotion::vision
