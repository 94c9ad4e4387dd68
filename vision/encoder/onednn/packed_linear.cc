#include "vision/encoder/onednn/packed_linear.h"

#include <algorithm>
#include <new>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "vision/encoder/onednn/linear_desc.h"
#include "vision/encoder/onednn/quantised_weights.h"
#include "vision/encoder/onednn/widen.h"

namespace emotion::vision {
namespace {

using Type = dnnl::memory::data_type;
using Tag = dnnl::memory::format_tag;
using Desc = dnnl::memory::desc;

// A face has 64 patches: the layout that suits them is packed for.
constexpr int64_t kTypicalRows = 64;

bool IsPlain(const Desc& weights, const LinearSpec& spec) {
  const dnnl::memory::dims dims = {spec.in, spec.out};
  const Type type = WeightType(spec.element);
  return weights == Desc(dims, type, Tag::ab) || weights == Desc(dims, type, Tag::ba);
}

// What oneDNN is asked for: sums of bytes are finished by our own kernels, and bf16 is emulated by
// fp32.
LinearSpec KernelOf(const LinearSpec& spec) {
  LinearSpec kernel = spec;
  if (spec.element == Element::kInt8) kernel.epilogue = Epilogue::kNone;
  if (spec.emulate_bf16) kernel.element = kernel.result = Element::kF32;
  return kernel;
}

void PackBias(const float* bias, PackedLinear::Packed& packed) {
  const auto out = static_cast<size_t>(packed.spec.out);
  if (packed.spec.element == Element::kInt8) {
    packed.plain_bias.assign(out, 0.0F);
    if (bias != nullptr) std::copy_n(bias, out, packed.plain_bias.begin());
  } else if (bias != nullptr) {
    packed.bias_memory = AlignedBuffer(out * sizeof(float));
    std::copy_n(bias, out, packed.bias_memory.as<float>());
    packed.bias = dnnl::memory(DescsOf(packed.form, packed.kernel, kTypicalRows).bias, Cpu(),
                               packed.bias_memory.as());
  }
}

// Sets the form and gives the layout of the packed weights.
Desc ChooseForm(bool bias, PackedLinear::Packed& packed) {
  const LinearSpec& spec = packed.kernel;
  packed.form = Form::kMatmul;
  const Desc wanted = MatmulOf(spec, DescsOf(packed.form, spec, kTypicalRows), bias).weights_desc();
  if (!IsPlain(wanted, spec)) return wanted;
  packed.form = Form::kConvolution;
  return ConvolutionOf(spec, DescsOf(packed.form, spec, kTypicalRows), bias).weights_desc();
}

// weight: [out, in] row-major, of `type`.
void PackWeights(const void* weight, Type type, const Desc& layout, PackedLinear::Packed& packed) {
  const LinearSpec& spec = packed.spec;
  packed.weight_memory = AlignedBuffer(layout.get_size());
  packed.weights = dnnl::memory(layout, Cpu(), packed.weight_memory.as());
  const Desc plain = packed.form == Form::kMatmul
                         ? Desc({spec.in, spec.out}, type, Tag::ba)
                         : Desc({spec.out, spec.in, 1, 1}, type, Tag::abcd);
  dnnl::memory source(plain, Cpu(), const_cast<void*>(weight));
  dnnl::stream stream(Cpu());
  dnnl::reorder(source, packed.weights).execute(stream, source, packed.weights);
  stream.wait();
}

void PackBytes(const float* weight, const Desc& layout, PackedLinear::Packed& packed) {
  const LinearSpec& spec = packed.spec;
  QuantisedWeights quantised =
      QuantiseWeights(weight, spec.out, spec.in, spec.block, ByteProductsHere());
  PackWeights(quantised.bytes.as(), Type::s8, layout, packed);
  packed.column_scales = std::move(quantised.scales);
  packed.offsets = std::move(quantised.offsets);
}

// As a bf16 product would see them.
void PackRounded(const float* weight, const Desc& layout, PackedLinear::Packed& packed) {
  const auto count = static_cast<size_t>(packed.spec.in * packed.spec.out);
  std::vector<uint16_t> rounded(count);
  UsableKernels().front()->to_bf16(weight, count, rounded.data());
  std::vector<float> widened(count);
  WidenBf16(rounded, widened.data());
  PackWeights(widened.data(), Type::f32, layout, packed);
}

// oneDNN's names of instruction sets are sets of bits that include each other.
bool HasInstructions(dnnl_cpu_isa_t wanted) {
#if defined(__x86_64__)
  return (static_cast<int>(dnnl_get_effective_cpu_isa()) & wanted) == wanted;
#else
  return false && wanted;
#endif
}

}  // namespace

PackedLinear::PackedLinear() = default;
PackedLinear::PackedLinear(PackedLinear&&) noexcept = default;
PackedLinear& PackedLinear::operator=(PackedLinear&&) noexcept = default;
PackedLinear::~PackedLinear() = default;

absl::StatusOr<PackedLinear> PackedLinear::Pack(const LinearSpec& spec, const float* weight,
                                                const float* bias) {
  try {
    auto packed = std::make_unique<Packed>();
    packed->spec = spec;
    packed->kernel = KernelOf(spec);
    const bool in_kernel = bias != nullptr && spec.element != Element::kInt8;
    const Desc layout = ChooseForm(in_kernel, *packed);
    PackBias(bias, *packed);
    if (spec.element == Element::kInt8) {
      PackBytes(weight, layout, *packed);
    } else if (spec.emulate_bf16) {
      PackRounded(weight, layout, *packed);
    } else {
      PackWeights(weight, Type::f32, layout, *packed);
    }
    PackedLinear linear;
    linear.packed_ = std::move(packed);
    return linear;
  } catch (const dnnl::error& error) {
    return StatusOf(error, spec);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory for the encoder's weights");
  }
}

const LinearSpec& PackedLinear::spec() const { return packed_->spec; }

std::string OneDnnDescription() {
  const dnnl_version_t* version = dnnl_version();
  const char* isa = HasInstructions(dnnl_cpu_isa_avx512_core_amx)    ? "avx512_amx"
                    : HasInstructions(dnnl_cpu_isa_avx512_core_bf16) ? "avx512_bf16"
                    : HasInstructions(dnnl_cpu_isa_avx512_core)      ? "avx512"
                    : HasInstructions(dnnl_cpu_isa_avx2)             ? "avx2"
                                                                     : "baseline";
  return fmt::format("oneDNN {}.{}.{} {}", version->major, version->minor, version->patch, isa);
}

ByteProducts ByteProductsHere() {
#if defined(__x86_64__)
  return HasInstructions(dnnl_cpu_isa_avx512_core_vnni) ? ByteProducts::kExact
                                                        : ByteProducts::kSaturatingPairs;
#else
  return ByteProducts::kExact;
#endif
}

bool HasBf16Products() { return HasInstructions(dnnl_cpu_isa_avx512_core_bf16); }

}  // namespace emotion::vision
