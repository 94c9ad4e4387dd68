#include "vision/encoder/onednn/packed_linear.h"

#include <cstring>
#include <new>
#include <utility>

#include "fmt/format.h"
#include "vision/encoder/onednn/linear_desc.h"

namespace emotion::vision {
namespace {

using Type = dnnl::memory::data_type;
using Tag = dnnl::memory::format_tag;
using Desc = dnnl::memory::desc;

// A face has 64 patches: the layout that suits them is packed for.
constexpr int64_t kTypicalRows = 64;

bool IsPlain(const Desc& weights, const LinearSpec& spec) {
  const dnnl::memory::dims dims = {spec.in, spec.out};
  const Type type = spec.element == Element::kF32 ? Type::f32 : Type::bf16;
  return weights == Desc(dims, type, Tag::ab) || weights == Desc(dims, type, Tag::ba);
}

void PackBias(const float* bias, PackedLinear::Packed& packed) {
  if (bias == nullptr) return;
  const size_t bytes = static_cast<size_t>(packed.spec.out) * sizeof(float);
  packed.bias_memory = AlignedBuffer(bytes);
  std::memcpy(packed.bias_memory.as(), bias, bytes);
}

// Sets the form and gives the layout of the packed weights.
Desc ChooseForm(PackedLinear::Packed& packed) {
  const LinearSpec& spec = packed.spec;
  const bool bias = packed.bias_memory.size() > 0;
  packed.form = Form::kMatmul;
  const Desc wanted = MatmulOf(spec, DescsOf(packed.form, spec, kTypicalRows), bias).weights_desc();
  if (!IsPlain(wanted, spec)) return wanted;
  packed.form = Form::kConvolution;
  return ConvolutionOf(spec, DescsOf(packed.form, spec, kTypicalRows), bias).weights_desc();
}

void PackWeights(const float* weight, const Desc& layout, PackedLinear::Packed& packed) {
  const LinearSpec& spec = packed.spec;
  packed.weight_memory = AlignedBuffer(layout.get_size());
  packed.weights = dnnl::memory(layout, Cpu(), packed.weight_memory.as());
  const Desc plain = packed.form == Form::kMatmul
                         ? Desc({spec.in, spec.out}, Type::f32, Tag::ba)
                         : Desc({spec.out, spec.in, 1, 1}, Type::f32, Tag::abcd);
  dnnl::memory source(plain, Cpu(), const_cast<float*>(weight));
  dnnl::stream stream(Cpu());
  dnnl::reorder(source, packed.weights).execute(stream, source, packed.weights);
  stream.wait();
  if (packed.bias_memory.size() > 0) {
    packed.bias =
        dnnl::memory(DescsOf(packed.form, spec, kTypicalRows).bias, Cpu(), packed.bias_memory.as());
  }
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
    PackBias(bias, *packed);
    PackWeights(weight, ChooseForm(*packed), *packed);
    PackedLinear linear;
    linear.packed_ = std::move(packed);
    return linear;
  } catch (const dnnl::error& error) {
    return StatusOf(error, spec);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory for the encoder's weights");
  }
}

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
