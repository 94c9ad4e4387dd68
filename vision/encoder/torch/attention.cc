#include "vision/encoder/torch/attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/softmax.h>

#include "vision/encoder/torch/linear.h"
#include "vision/encoder/torch/torch_features.h"

#if EMOTION_TORCH_ATTENTION
#include <ATen/ops/scaled_dot_product_attention.h>
#endif

namespace emotion::vision {
namespace {

#if EMOTION_TORCH_ATTENTION

// LibTorch 2 has it as one operation, with kernels that never write the scores to memory.
at::Tensor AttendGroup(const SegmentGroup& group, const at::Tensor& q, const at::Tensor& k,
                       const at::Tensor& v, int64_t /*max_scores*/) {
  const auto per_head = [&](const at::Tensor& x) {
    const auto mine = group.patches.defined() ? x.index_select(0, group.patches) : x;
    return mine.reshape({group.count, group.length, x.size(1), x.size(2)}).transpose(1, 2);
  };
  return at::scaled_dot_product_attention(per_head(q), per_head(k), per_head(v))
      .transpose(1, 2)
      .reshape({group.count * group.length, q.size(1) * q.size(2)});
}

#else

// q, k [batch, n, d], v_t [batch, d, n] -> [batch, n, d].
at::Tensor Attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v_t) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(q.size(2)));
  const auto scores = MatmulTransposed(q, k) * scale;
  const auto shares = at::softmax(scores, -1, at::kFloat).to(q.scalar_type());
  return MatmulTransposed(shares, v_t);
}

// The same, in slices of batch and queries where all scores at once would be too many.
at::Tensor AttendInSlices(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v_t,
                          int64_t max_scores) {
  const int64_t batch = q.size(0);
  const int64_t n = q.size(1);
  if (batch * n * n <= max_scores) return Attend(q, k, v_t);
  const int64_t batches = std::clamp<int64_t>(max_scores / (n * n), 1, batch);
  const int64_t queries = std::clamp<int64_t>(max_scores / (batches * n), 1, n);
  std::vector<at::Tensor> parts;
  for (int64_t i = 0; i < batch; i += batches) {
    const int64_t size = std::min(batches, batch - i);
    const auto part_k = k.narrow(0, i, size);
    const auto part_v = v_t.narrow(0, i, size);
    std::vector<at::Tensor> rows;
    for (int64_t j = 0; j < n; j += queries) {
      const auto part_q = q.narrow(0, i, size).narrow(1, j, std::min(queries, n - j));
      rows.push_back(Attend(part_q, part_k, part_v));
    }
    parts.push_back(at::cat(rows, 1));
  }
  return at::cat(parts, 0);
}

// q, k, v [patches, heads, head_dim] -> [patches, heads * head_dim] in the group's order.
at::Tensor AttendGroup(const SegmentGroup& group, const at::Tensor& q, const at::Tensor& k,
                       const at::Tensor& v, int64_t max_scores) {
  const int64_t heads = q.size(1);
  const int64_t dim = q.size(2);
  const auto pick = [&](const at::Tensor& x) {
    const auto mine = group.patches.defined() ? x.index_select(0, group.patches) : x;
    return mine.reshape({group.count, group.length, heads, dim});
  };
  const auto per_head = [&](const at::Tensor& x) {
    return pick(x).permute({0, 2, 1, 3}).reshape({group.count * heads, group.length, dim});
  };
  const auto v_t = pick(v).permute({0, 2, 3, 1}).reshape({group.count * heads, dim, group.length});
  return AttendInSlices(per_head(q), per_head(k), v_t, max_scores)
      .reshape({group.count, heads, group.length, dim})
      .permute({0, 2, 1, 3})
      .reshape({group.count * group.length, heads * dim});
}

#endif

}  // namespace

at::Tensor AttendSegments(const SegmentPlan& segments, const at::Tensor& q, const at::Tensor& k,
                          const at::Tensor& v, int64_t max_scores) {
  std::vector<at::Tensor> outputs;
  for (const SegmentGroup& group : segments.groups) {
    outputs.push_back(AttendGroup(group, q, k, v, max_scores));
  }
  const auto attended = outputs.size() == 1 ? outputs[0] : at::cat(outputs, 0);
  return segments.restore.defined() ? attended.index_select(0, segments.restore) : attended;
}

}  // namespace emotion::vision
