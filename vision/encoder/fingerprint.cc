#include "vision/encoder/fingerprint.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <span>
#include <thread>
#include <vector>

#include "common/hash/sha256.h"
#include "fmt/format.h"

namespace emotion::vision {
namespace {

// In the text that is hashed: change it when the text changes.
constexpr std::string_view kVersion = "emotion-model 1";
constexpr std::string_view kPooling = "mean of output tokens, fp32";

Fingerprint Hash(std::span<const std::byte> bytes) {
  return Sha256().Update({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}).Finish();
}

std::vector<Fingerprint> HashAll(const std::vector<std::span<const std::byte>>& pieces,
                                 int threads) {
  std::vector<Fingerprint> digests(pieces.size());
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < pieces.size(); i = next++) digests[i] = Hash(pieces[i]);
  };
  std::vector<std::jthread> helpers;
  for (int i = 1; i < threads; ++i) helpers.emplace_back(work);
  work();
  helpers.clear();  // joins
  return digests;
}

}  // namespace

Fingerprint ComputeFingerprint(const VisionConfig& config, std::string_view canonical_preprocessing,
                               const Checkpoint& checkpoint, int threads) {
  if (threads <= 0) threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  std::vector<std::span<const std::byte>> pieces;
  for (const auto& [name, view] : checkpoint.tensors()) pieces.push_back(view.bytes);
  const auto digests = HashAll(pieces, threads);

  // Lengths before free text keep two different models from making one text.
  std::string text = fmt::format("{}\nconfig {}\n{}preprocessing {}\n{}\npooling {}\n", kVersion,
                                 CanonicalText(config).size(), CanonicalText(config),
                                 canonical_preprocessing.size(), canonical_preprocessing, kPooling);
  size_t i = 0;
  for (const auto& [name, view] : checkpoint.tensors()) {
    text += fmt::format("{} {} {} {}\n", name, DTypeName(view.dtype), ShapeText(view.shape),
                        FingerprintText(digests[i++]));
  }
  return Hash(std::as_bytes(std::span(text)));
}

std::string FingerprintText(const Fingerprint& fingerprint) { return Hex(fingerprint); }

}  // namespace emotion::vision
