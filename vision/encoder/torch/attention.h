// Attention within segments of a batch (windows or frames), softmax in fp32.
//
// Segments of equal length are computed as one batched product. Differentiable. Include only where
// LibTorch is at home.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "vision/encoder/torch/tower.h"

namespace emotion::vision {

// q, k, v [patches, heads, head_dim] -> [patches, heads * head_dim], of the inputs' dtype.
//
// At most about `max_scores` attention scores are held at once (the default: 256 MB in fp32); a
// larger image attends in slices of its queries, so memory grows with its patches, not their
// square. The smallest slice is one query.
at::Tensor AttendSegments(const SegmentPlan& segments, const at::Tensor& q, const at::Tensor& k,
                          const at::Tensor& v, int64_t max_scores = int64_t{1} << 26);

}  // namespace emotion::vision
