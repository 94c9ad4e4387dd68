// A sequence as it was photographed, described by every rule, and told by the real model.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "bench/near/rules.h"
#include "bench/near/score.h"
#include "bench/near/sitting.h"
#include "bench/near/truth.h"

namespace emotion::bench {

struct Recording {
  double period_s = 2;
  Told told;
  std::vector<std::vector<std::vector<float>>> described;  // [rule][frame]
  // Every eighth frame, and the same moment photographed once more: other noise, nothing else.
  std::vector<Telling> once;
  std::vector<Telling> again;
};

// Draws the frames, makes JPEGs of them as a client would, decodes them as the service does.
// Errors of Teller::Tell.
absl::StatusOr<Recording> RecordSitting(const Sitting& sitting, std::span<const NearRule> rules,
                                        Teller& teller);

// `photo` in place of a drawn face: it drifts and is relit, nothing else happens. It holds the
// square `crop_side` around (`middle_x`, `middle_y`), in pixels, that a client would send.
struct Photo {
  vision::RgbImage image;
  double middle_x = 0;
  double middle_y = 0;
  double crop_side = 0;
};
absl::StatusOr<Recording> RecordPhoto(const Photo& photo, uint64_t seed,
                                      const SittingOptions& options,
                                      std::span<const NearRule> rules, Teller& teller);

}  // namespace emotion::bench
