#include "vision/encoder/onednn/packed_linear.h"

#include <cstring>
#include <map>
#include <unordered_map>
#include <utility>

#include <oneapi/dnnl/dnnl.hpp>

#include "common/error/error.h"
#include "fmt/format.h"

namespace emotion::vision {
namespace {

using Type = dnnl::memory::data_type;
using Tag = dnnl::memory::format_tag;
using Desc = dnnl::memory::desc;

// A face has 64 patches: the layout that suits them is packed for.
constexpr int64_t kTypicalRows = 64;
// Numbers of rows that kernels are kept for. Batches of faces need four; native sizes vary.
constexpr size_t kKeptKernels = 32;

// A product has two forms in oneDNN. Where matmul wants weights in a packed layout it is the form
// to take; where it takes them as they are (without AVX-512) it copies them anew at every call, and
// a convolution of 1 x 1, whose kernels all read packed weights, is faster.
enum class Form { kMatmul, kConvolution };

dnnl::engine& Cpu() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

Type TypeOf(Element element) { return element == Element::kF32 ? Type::f32 : Type::bf16; }

struct Descs {
  Desc x;
  Desc weights;
  Desc bias;
  Desc y;
  Desc other;
};

Descs DescsOf(Form form, const LinearSpec& spec, int64_t rows) {
  const Type element = TypeOf(spec.element);
  const Type result = TypeOf(spec.result);
  if (form == Form::kMatmul) {
    return {.x = {{rows, spec.in}, element, Tag::ab},
            .weights = {{spec.in, spec.out}, element, Tag::any},
            .bias = {{1, spec.out}, Type::f32, Tag::ab},
            .y = {{rows, spec.out}, result, Tag::ab},
            .other = {{rows, spec.out}, element, Tag::ab}};
  }
  // One image, `in` channels, a column of `rows` pixels: channels innermost are rows of values.
  return {.x = {{1, spec.in, rows, 1}, element, Tag::nhwc},
          .weights = {{spec.out, spec.in, 1, 1}, element, Tag::any},
          .bias = {{spec.out}, Type::f32, Tag::a},
          .y = {{1, spec.out, rows, 1}, result, Tag::nhwc},
          .other = {{1, spec.out, rows, 1}, element, Tag::nhwc}};
}

void AppendEltwise(dnnl::post_ops& ops, dnnl::algorithm algorithm, float alpha) {
#if DNNL_VERSION_MAJOR >= 3
  ops.append_eltwise(algorithm, alpha, 0.0F);
#else
  ops.append_eltwise(1.0F, algorithm, alpha, 0.0F);
#endif
}

dnnl::primitive_attr AttributesOf(const LinearSpec& spec, const Descs& descs) {
  dnnl::post_ops ops;
  switch (spec.epilogue) {
    case Epilogue::kNone:
      break;
    case Epilogue::kSilu:
      AppendEltwise(ops, dnnl::algorithm::eltwise_swish, 1.0F);
      break;
    case Epilogue::kGelu:
      AppendEltwise(ops, dnnl::algorithm::eltwise_gelu_erf, 0.0F);
      break;
    case Epilogue::kMultiply:
      ops.append_binary(dnnl::algorithm::binary_mul, descs.other);
      break;
    case Epilogue::kAdd:
      ops.append_sum(1.0F);
      break;
  }
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(ops);
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

dnnl::matmul::primitive_desc MatmulOf(const LinearSpec& spec, const Descs& d, bool bias) {
  const dnnl::primitive_attr attributes = AttributesOf(spec, d);
#if DNNL_VERSION_MAJOR >= 3
  return bias ? dnnl::matmul::primitive_desc(Cpu(), d.x, d.weights, d.bias, d.y, attributes)
              : dnnl::matmul::primitive_desc(Cpu(), d.x, d.weights, d.y, attributes);
#else
  return {bias ? dnnl::matmul::desc(d.x, d.weights, d.bias, d.y)
               : dnnl::matmul::desc(d.x, d.weights, d.y),
          attributes, Cpu()};
#endif
}

dnnl::convolution_forward::primitive_desc ConvolutionOf(const LinearSpec& spec, const Descs& d,
                                                        bool bias) {
  using Convolution = dnnl::convolution_forward;
  const dnnl::primitive_attr attributes = AttributesOf(spec, d);
  constexpr auto kKind = dnnl::prop_kind::forward_inference;
  constexpr auto kDirect = dnnl::algorithm::convolution_direct;
  const dnnl::memory::dims one = {1, 1};
  const dnnl::memory::dims none = {0, 0};
#if DNNL_VERSION_MAJOR >= 3
  return bias ? Convolution::primitive_desc(Cpu(), kKind, kDirect, d.x, d.weights, d.bias, d.y, one,
                                            none, none, attributes)
              : Convolution::primitive_desc(Cpu(), kKind, kDirect, d.x, d.weights, d.y, one, none,
                                            none, attributes);
#else
  return {bias ? Convolution::desc(kKind, kDirect, d.x, d.weights, d.bias, d.y, one, none, none)
               : Convolution::desc(kKind, kDirect, d.x, d.weights, d.y, one, none, none),
          attributes, Cpu()};
#endif
}

// A product that is ready to run for one number of rows.
struct Kernel {
  Kernel(const auto& description, dnnl::primitive made, const dnnl::memory& weights,
         const dnnl::memory& bias, const Desc& other_desc, bool multiplies)
      : primitive(std::move(made)),
        x(description.src_desc(), Cpu(), nullptr),
        y(description.dst_desc(), Cpu(), nullptr),
        scratch(description.scratchpad_desc(), Cpu(), nullptr),
        scratch_bytes(description.scratchpad_desc().get_size()),
        name(description.impl_info_str()) {
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
  std::string name;
  std::unordered_map<int, dnnl::memory> arguments;
};

// oneDNN's names of instruction sets are sets of bits that include each other.
bool HasInstructions(dnnl_cpu_isa_t wanted) {
#if defined(__x86_64__)
  return (static_cast<int>(dnnl_get_effective_cpu_isa()) & wanted) == wanted;
#else
  return false && wanted;
#endif
}

absl::Status StatusOf(const dnnl::error& error, const LinearSpec& spec) {
  const std::string what =
      fmt::format("oneDNN, product of {} by {} values: {}", spec.in, spec.out, error.what());
  if (error.status == dnnl_out_of_memory) return absl::ResourceExhaustedError(what);
  if (error.status == dnnl_unimplemented) return absl::InvalidArgumentError(what);
  return Error(Reason::kInternal, what);
}

}  // namespace

class PackedLinear::Impl {
 public:
  Impl(const LinearSpec& spec, const float* weight, const float* bias) : spec_(spec) {
    if (bias != nullptr) PackBias(bias);
    const Desc packed = ChooseForm();
    PackWeights(weight, packed);
  }

  void Run(int64_t rows, const void* x, void* y, const void* other, AlignedBuffer& scratch) {
    Kernel& kernel = KernelFor(rows);
    scratch.Reserve(kernel.scratch_bytes);
    kernel.x.set_data_handle(const_cast<void*>(x));
    kernel.y.set_data_handle(y);
    if (kernel.scratch_bytes > 0) kernel.scratch.set_data_handle(scratch.as());
    if (kernel.other) kernel.other.set_data_handle(const_cast<void*>(other));
    kernel.primitive.execute(stream_, kernel.arguments);
    stream_.wait();
  }

  int64_t packed_bytes() const { return static_cast<int64_t>(weight_memory_.size()); }
  std::string name() { return KernelFor(kTypicalRows).name; }
  const LinearSpec& spec() const { return spec_; }

 private:
  void PackBias(const float* bias) {
    bias_memory_ = AlignedBuffer(static_cast<size_t>(spec_.out) * sizeof(float));
    std::memcpy(bias_memory_.as(), bias, static_cast<size_t>(spec_.out) * sizeof(float));
  }

  bool has_bias() const { return bias_memory_.size() > 0; }

  // Sets form_ and gives the layout of the packed weights.
  Desc ChooseForm() {
    const Descs matmul = DescsOf(Form::kMatmul, spec_, kTypicalRows);
    const Desc wanted = MatmulOf(spec_, matmul, has_bias()).weights_desc();
    const dnnl::memory::dims dims = {spec_.in, spec_.out};
    const Type type = TypeOf(spec_.element);
    if (wanted != Desc(dims, type, Tag::ab) && wanted != Desc(dims, type, Tag::ba)) {
      form_ = Form::kMatmul;
      return wanted;
    }
    form_ = Form::kConvolution;
    const Descs descs = DescsOf(form_, spec_, kTypicalRows);
    return ConvolutionOf(spec_, descs, has_bias()).weights_desc();
  }

  void PackWeights(const float* weight, const Desc& packed) {
    weight_memory_ = AlignedBuffer(packed.get_size());
    weights_ = dnnl::memory(packed, Cpu(), weight_memory_.as());
    const Desc plain = form_ == Form::kMatmul
                           ? Desc({spec_.in, spec_.out}, Type::f32, Tag::ba)
                           : Desc({spec_.out, spec_.in, 1, 1}, Type::f32, Tag::abcd);
    dnnl::memory source(plain, Cpu(), const_cast<float*>(weight));
    dnnl::reorder(source, weights_).execute(stream_, source, weights_);
    stream_.wait();
    if (has_bias()) {
      const Descs descs = DescsOf(form_, spec_, kTypicalRows);
      bias_ = dnnl::memory(descs.bias, Cpu(), bias_memory_.as());
    }
  }

  Kernel& KernelFor(int64_t rows) {
    const auto found = kernels_.find(rows);
    if (found != kernels_.end()) return found->second;
    if (kernels_.size() >= kKeptKernels) kernels_.clear();
    Descs descs = DescsOf(form_, spec_, rows);
    descs.weights = weights_.get_desc();
    const bool multiplies = spec_.epilogue == Epilogue::kMultiply;
    if (form_ == Form::kMatmul) {
      const auto description = MatmulOf(spec_, descs, has_bias());
      return kernels_
          .try_emplace(rows, description, dnnl::matmul(description), weights_, bias_, descs.other,
                       multiplies)
          .first->second;
    }
    const auto description = ConvolutionOf(spec_, descs, has_bias());
    return kernels_
        .try_emplace(rows, description, dnnl::convolution_forward(description), weights_, bias_,
                     descs.other, multiplies)
        .first->second;
  }

  const LinearSpec spec_;
  Form form_ = Form::kMatmul;
  dnnl::stream stream_{Cpu()};
  AlignedBuffer weight_memory_;
  AlignedBuffer bias_memory_;
  dnnl::memory weights_;
  dnnl::memory bias_;
  std::map<int64_t, Kernel> kernels_;  // by rows
};

PackedLinear::PackedLinear() = default;
PackedLinear::PackedLinear(PackedLinear&&) noexcept = default;
PackedLinear& PackedLinear::operator=(PackedLinear&&) noexcept = default;
PackedLinear::~PackedLinear() = default;

absl::StatusOr<PackedLinear> PackedLinear::Pack(const LinearSpec& spec, const float* weight,
                                                const float* bias) {
  try {
    PackedLinear linear;
    linear.impl_ = std::make_unique<Impl>(spec, weight, bias);
    return linear;
  } catch (const dnnl::error& error) {
    return StatusOf(error, spec);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory for the encoder's weights");
  }
}

absl::Status PackedLinear::Run(int64_t rows, const void* x, void* y, const void* other,
                               AlignedBuffer& scratch) {
  try {
    impl_->Run(rows, x, y, other, scratch);
    return absl::OkStatus();
  } catch (const dnnl::error& error) {
    return StatusOf(error, impl_->spec());
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory for a product's scratchpad");
  }
}

int64_t PackedLinear::packed_bytes() const { return impl_->packed_bytes(); }
std::string PackedLinear::kernel() const { return impl_->name(); }

std::string OneDnnDescription() {
  const dnnl_version_t* version = dnnl_version();
  const char* isa = HasInstructions(dnnl_cpu_isa_avx512_core_amx)    ? "avx512_amx"
                    : HasInstructions(dnnl_cpu_isa_avx512_core_bf16) ? "avx512_bf16"
                    : HasInstructions(dnnl_cpu_isa_avx512_core)      ? "avx512"
                    : HasInstructions(dnnl_cpu_isa_avx2)             ? "avx2"
                                                                     : "baseline";
  return fmt::format("oneDNN {}.{}.{} {}", version->major, version->minor, version->patch, isa);
}

bool HasBf16Products() { return HasInstructions(dnnl_cpu_isa_avx512_core_bf16); }

}  // namespace emotion::vision
