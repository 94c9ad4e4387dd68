#include "embedding_service/batching/checked_encoder.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <utility>

#include <fmt/format.h>

#include "common/error/error.h"

namespace emotion::embedding {
namespace {

constexpr float kLargestFp16 = 65504.0F;

// An exception would otherwise end the process from the encoder's thread.
template <typename Call>
auto Guarded(const Call& call) -> decltype(call()) {
  try {
    return call();
  } catch (const std::exception& error) {
    return Error(Reason::kInternal, fmt::format("the encoder threw: {}", error.what()));
  } catch (...) {
    return Error(Reason::kInternal, "the encoder threw something that is no exception");
  }
}

}  // namespace

Vectors CheckedEncode(vision::VisionEncoder& encoder, Images images) {
  Vectors vectors = Guarded([&] { return encoder.Encode(images); });
  if (!vectors.ok()) return vectors;
  const auto dim = static_cast<size_t>(encoder.info().dim);
  const bool complete =
      vectors->size() == images.size() &&
      std::all_of(vectors->begin(), vectors->end(), [&](const auto& v) { return v.size() == dim; });
  if (complete) return vectors;
  return Error(Reason::kInternal, fmt::format("the encoder gave {} vectors for {} images, or not "
                                              "all of {} values",
                                              vectors->size(), images.size(), dim));
}

bool FitsFp16(const std::vector<float>& vector) {
  return std::all_of(vector.begin(), vector.end(),
                     [](float v) { return std::isfinite(v) && std::abs(v) <= kLargestFp16; });
}

absl::StatusOr<std::vector<float>> Fp32Rerun::Encode(const vision::Patches& image) {
  const absl::Status failed =
      Error(Reason::kInternal, "the encoder gave values that are not finite for this image");
  if (!make_) return failed;
  const MutexLock lock(mutex_);
  if (encoder_ == nullptr) {
    auto made = Guarded(make_);
    if (!made.ok()) return absl::InternalError(made.status().message());
    encoder_ = *std::move(made);
  }
  const vision::Patches* const only = &image;
  Vectors vectors = CheckedEncode(*encoder_, {&only, 1});
  if (!vectors.ok()) return absl::InternalError(vectors.status().message());
  if (!FitsFp16(vectors->front())) return failed;
  return std::move(vectors->front());
}

}  // namespace emotion::embedding
