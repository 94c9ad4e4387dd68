#include "vision/encoder/onednn/products.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <new>
#include <set>
#include <unordered_map>
#include <utility>

#include <omp.h>

#include "vision/encoder/onednn/linear_desc.h"
#include "vision/encoder/onednn/widen.h"

namespace emotion::vision {
namespace {

// Numbers of rows, and of threads, that kernels are kept for. Faces need a few; native sizes vary.
constexpr size_t kKeptShapes = 32;

// A product that is ready to run for one number of rows.
struct Kernel {
  Kernel(const auto& description, dnnl::primitive made, const dnnl::memory& weights,
         const dnnl::memory& bias, const dnnl::memory::desc& other_desc, bool multiplies)
      : primitive(std::move(made)),
        x(description.src_desc(), Cpu(), nullptr),
        y(description.dst_desc(), Cpu(), nullptr),
        scratch(description.scratchpad_desc(), Cpu(), nullptr),
        scratch_bytes(description.scratchpad_desc().get_size()) {
    arguments = {{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DST, y}};
    if (bias) arguments.insert({DNNL_ARG_BIAS, bias});
    if (scratch_bytes > 0) arguments.insert({DNNL_ARG_SCRATCHPAD, scratch});
    if (multiplies) {
      other = dnnl::memory(other_desc, Cpu(), nullptr);
      arguments.insert({DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, other});
    }
  }

  dnnl::primitive primitive;
  // The arguments share these handles: setting the pointer here sets it there.
  dnnl::memory x;
  dnnl::memory y;
  dnnl::memory scratch;
  dnnl::memory other;
  size_t scratch_bytes;
  std::unordered_map<int, dnnl::memory> arguments;
};

// A kernel is cut for a number of threads when it is made.
using Shape = std::pair<int64_t, int>;  // rows, threads

}  // namespace

class Products::Impl {
 public:
  void Run(const PackedLinear::Packed& packed, const Shape& shape, const ProductInput& x, void* y,
           const void* other) {
    if (packed.spec.element == Element::kInt8) {
      RunBytes(packed, shape, x, y, other);
    } else if (packed.spec.emulate_bf16) {
      RunEmulated(packed, shape, x.values, y, other);
    } else {
      RunKernel(packed, shape, x.values, y, other);
    }
  }

 private:
  using Key = std::pair<const PackedLinear::Packed*, Shape>;

  void RunKernel(const PackedLinear::Packed& packed, const Shape& shape, const void* x, void* y,
                 const void* other) {
    omp_set_num_threads(shape.second);
    Kernel& kernel = KernelFor(packed, shape);
    scratch_.Reserve(kernel.scratch_bytes);
    kernel.x.set_data_handle(const_cast<void*>(x));
    kernel.y.set_data_handle(y);
    if (kernel.scratch_bytes > 0) kernel.scratch.set_data_handle(scratch_.as());
    if (kernel.other) kernel.other.set_data_handle(const_cast<void*>(other));
    kernel.primitive.execute(stream_, kernel.arguments);
    stream_.wait();
  }

  void RunBytes(const PackedLinear::Packed& packed, const Shape& shape, const ProductInput& x,
                void* y, const void* other) {
    const auto [rows, threads] = shape;
    const int64_t width = packed.spec.out;
    sums_.Reserve(static_cast<size_t>(rows * width) * sizeof(int32_t));
    RunKernel(packed, shape, x.values, sums_.as(), nullptr);
    const auto from = [&](const void* base, int64_t row) {
      const auto bytes = static_cast<int64_t>(BytesOf(packed.spec.result));
      return const_cast<std::byte*>(static_cast<const std::byte*>(base)) + row * width * bytes;
    };
    const int64_t part = (rows + threads - 1) / threads;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t begin = 0; begin < rows; begin += part) {
      vectors_.finish({.sums = sums_.as<int32_t>() + begin * width,
                       .rows = std::min(part, rows - begin),
                       .width = width,
                       .row_scales = x.scales + begin,
                       .column_scales = packed.column_scales.data(),
                       .offsets = packed.offsets.data(),
                       .bias = packed.plain_bias.data(),
                       .epilogue = packed.spec.epilogue,
                       .other = other == nullptr ? nullptr : from(other, begin),
                       .result = packed.spec.result,
                       .y = from(y, begin)});
    }
  }

  // What a product of bf16 does, but for the order of its sums: exact products, fp32 sums and
  // epilogue, one rounding at the end.
  void RunEmulated(const PackedLinear::Packed& packed, const Shape& shape, const void* x, void* y,
                   const void* other) {
    const auto inputs = static_cast<size_t>(shape.first * packed.spec.in);
    const auto outputs = static_cast<size_t>(shape.first * packed.spec.out);
    const bool rounds = packed.spec.result == Element::kBf16;
    const void* wide_other =
        rounds && other != nullptr ? Widen(other, outputs, wide_other_) : other;
    if (rounds) Widen(y, outputs, wide_y_);
    RunKernel(packed, shape, Widen(x, inputs, wide_x_), rounds ? wide_y_.as() : y, wide_other);
    if (rounds) vectors_.to_bf16(wide_y_.as<float>(), outputs, static_cast<uint16_t*>(y));
  }

  static const void* Widen(const void* stored, size_t count, AlignedBuffer& buffer) {
    buffer.Reserve(count * sizeof(float));
    WidenBf16({static_cast<const uint16_t*>(stored), count}, buffer.as<float>());
    return buffer.as();
  }

  Kernel& KernelFor(const PackedLinear::Packed& packed, const Shape& shape) {
    const auto found = kernels_.find(Key{&packed, shape});
    if (found != kernels_.end()) return found->second;
    if (!shapes_.contains(shape) && shapes_.size() >= kKeptShapes) {
      kernels_.clear();
      shapes_.clear();
    }
    shapes_.insert(shape);
    const LinearSpec& spec = packed.kernel;
    LinearDescs descs = DescsOf(packed.form, spec, shape.first);
    descs.weights = packed.weights.get_desc();
    const bool bias = static_cast<bool>(packed.bias);
    const bool multiplies = spec.epilogue == Epilogue::kMultiply;
    const auto add = [&](const auto& description, dnnl::primitive primitive) -> Kernel& {
      return kernels_
          .try_emplace(Key{&packed, shape}, description, std::move(primitive), packed.weights,
                       packed.bias, descs.other, multiplies)
          .first->second;
    };
    if (packed.form == Form::kMatmul) {
      const auto description = MatmulOf(spec, descs, bias);
      return add(description, dnnl::matmul(description));
    }
    const auto description = ConvolutionOf(spec, descs, bias);
    return add(description, dnnl::convolution_forward(description));
  }

  dnnl::stream stream_{Cpu()};
  const Kernels& vectors_ = *UsableKernels().front();
  AlignedBuffer scratch_;     // oneDNN's
  AlignedBuffer sums_;        // of bytes
  AlignedBuffer wide_x_;      // of what is emulated
  AlignedBuffer wide_other_;  //
  AlignedBuffer wide_y_;      //
  std::set<Shape> shapes_;
  std::map<Key, Kernel> kernels_;
};

Products::Products() : impl_(std::make_unique<Impl>()) {}
Products::~Products() = default;

absl::Status Products::Run(const PackedLinear& linear, int64_t rows, int threads,
                           const ProductInput& x, void* y, const void* other) {
  const PackedLinear::Packed& packed = linear.packed();
  try {
    impl_->Run(packed, {rows, threads}, x, y, other);
    return absl::OkStatus();
  } catch (const dnnl::error& error) {
    return StatusOf(error, packed.spec);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory for a product's scratchpad");
  }
}

}  // namespace emotion::vision
