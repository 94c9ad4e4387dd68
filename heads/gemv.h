// Matrix times vector in float32: where a head spends its time.
#pragma once

#include <cstddef>

namespace emotion::heads {

// y = weight x + bias; weight is [outputs, inputs] row-major, bias has `outputs` values. The sums
// are formed in one fixed order on every thread and every x86 processor: equal inputs give equal
// bits. y overlaps nothing.
void Gemv(const float* weight, const float* bias, const float* x, float* y, size_t outputs,
          size_t inputs);

}  // namespace emotion::heads
