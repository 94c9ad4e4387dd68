#include "vision/encoder/onednn/peak.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include <omp.h>
#include <oneapi/dnnl/dnnl.hpp>

#include "fmt/format.h"
#include "vision/encoder/onednn/aligned_buffer.h"

namespace emotion::vision {
namespace {

using std::chrono::duration;
using std::chrono::steady_clock;

constexpr int kRuns = 9;

template <class Work>
double FastestSeconds(const Work& work) {
  work();  // warms caches and clock
  double fastest = 1e9;
  for (int i = 0; i < kRuns; ++i) {
    const auto begin = steady_clock::now();
    work();
    fastest = std::min(fastest, duration<double>(steady_clock::now() - begin).count());
  }
  return fastest;
}

dnnl::memory Zeros(const dnnl::memory::desc& desc, const dnnl::engine& engine) {
  dnnl::memory memory(desc, engine);
  std::memset(memory.get_data_handle(), 0, desc.get_size());
  return memory;
}

struct Types {
  dnnl::memory::data_type x;
  dnnl::memory::data_type weights;
  dnnl::memory::data_type y;
};

Types TypesOf(Element element) {
  using Type = dnnl::memory::data_type;
  switch (element) {
    case Element::kBf16:
      return {Type::bf16, Type::bf16, Type::bf16};
    case Element::kInt8:
      return {Type::u8, Type::s8, Type::s32};
    case Element::kF32:
      break;
  }
  return {Type::f32, Type::f32, Type::f32};
}

}  // namespace

absl::StatusOr<double> MatmulPeakGflops(Element element, int threads) {
  using Tag = dnnl::memory::format_tag;
  constexpr int64_t kSide = 2048;
  const Types types = TypesOf(element);
  try {
    omp_set_num_threads(threads);
    const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
    dnnl::stream stream(engine);
    const dnnl::memory::desc plain({kSide, kSide}, types.x, Tag::ab);
    const dnnl::memory::desc any({kSide, kSide}, types.weights, Tag::any);
    const dnnl::memory::desc result({kSide, kSide}, types.y, Tag::ab);
#if DNNL_VERSION_MAJOR >= 3
    const dnnl::matmul::primitive_desc description(engine, plain, any, result);
#else
    const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(plain, any, result), engine);
#endif
    const dnnl::matmul product(description);
    const auto x = Zeros(plain, engine);
    const auto w = Zeros(description.weights_desc(), engine);
    const auto y = Zeros(result, engine);
    const double seconds = FastestSeconds([&] {
      product.execute(stream, {{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DST, y}});
      stream.wait();
    });
    return 2.0 * kSide * kSide * kSide / seconds / 1e9;
  } catch (const dnnl::error& error) {
    return absl::InvalidArgumentError(fmt::format("oneDNN: {}", error.what()));
  }
}

double RegisterPeakGflops(int threads) {
  const Kernels& kernels = *UsableKernels().front();
  constexpr int64_t kRounds = 4'000'000;
  double operations = 0;
  const double seconds = FastestSeconds([&] {
    operations = 0;
#pragma omp parallel num_threads(threads) reduction(+ : operations)
    operations += kernels.multiply_adds(kRounds);
  });
  return operations / seconds / 1e9;
}

}  // namespace emotion::vision
