#include "vision/encoder/onednn/packed_linear.h"

#include <algorithm>
#include <cstddef>
#include <new>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "vision/encoder/onednn/linear_desc.h"
#include "vision/encoder/onednn/panels.h"
#include "vision/encoder/onednn/quantised_weights.h"
#include "vision/encoder/onednn/widen.h"

namespace emotion::vision {
namespace {

using Type = dnnl::memory::data_type;
using Tag = dnnl::memory::format_tag;
using Desc = dnnl::memory::desc;

// A face has 64 patches: the layout that suits them is packed for.
constexpr int64_t kTypicalRows = 64;
// A piece of fewer outputs is not worth a call of oneDNN.
constexpr int64_t kFewestOutputs = 64;

// bf16 is emulated by fp32.
LinearSpec KernelOf(const LinearSpec& spec) {
  LinearSpec kernel = spec;
  if (spec.emulate_bf16) kernel.element = kernel.result = Element::kF32;
  return kernel;
}

// Where oneDNN's matmul takes weights as they are (without AVX-512) it copies them anew at every
// call; panels are read as they stand.
bool WantsPanels(const LinearSpec& spec) {
  if (spec.only_onednn) return false;
  if (spec.element == Element::kInt8 && ByteProductsHere() == ByteProducts::kQuads) return true;
  const Desc wanted = MatmulOf(DescsOf(spec, kTypicalRows, spec.out)).weights_desc();
  const dnnl::memory::dims dims = {spec.in, spec.out};
  const Type type = WeightType(spec.element);
  return wanted == Desc(dims, type, Tag::ab) || wanted == Desc(dims, type, Tag::ba);
}

// weight: [out, in] row-major, of `type`, into the layout of oneDNN.
class PiecePacker {
 public:
  explicit PiecePacker(PackedLinear::Packed& packed) : packed_(packed) {}

  void Pack(const void* weight, Type type) {
    const LinearSpec& spec = packed_.kernel;
    const int64_t pieces = std::max(spec.pieces, 1);
    const int64_t share = (spec.out + pieces - 1) / pieces;
    const int64_t step = (share + kFewestOutputs - 1) / kFewestOutputs * kFewestOutputs;
    std::vector<Desc> layouts;
    size_t bytes = 0;
    for (int64_t begin = 0; begin < spec.out; begin += step) {
      const int64_t width = std::min(step, spec.out - begin);
      const LinearDescs descs = DescsOf(spec, kTypicalRows, width);
      layouts.push_back(MatmulOf(descs).weights_desc());
      packed_.pieces.push_back({.begin = begin, .width = width, .weights = {}});
      bytes += Aligned(layouts.back().get_size());
    }
    packed_.weights = AlignedBuffer(bytes);
    auto* to = packed_.weights.as<std::byte>();
    for (size_t i = 0; i < layouts.size(); ++i) {
      Reorder(weight, type, layouts[i], to, packed_.pieces[i]);
      to += Aligned(layouts[i].get_size());
    }
  }

 private:
  static size_t Aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

  void Reorder(const void* weight, Type type, const Desc& layout, std::byte* to,
               PackedLinear::Packed::Piece& piece) {
    const LinearSpec& spec = packed_.kernel;
    const auto row = static_cast<size_t>(spec.in) * dnnl::memory::data_type_size(type);
    const auto* from =
        static_cast<const std::byte*>(weight) + static_cast<size_t>(piece.begin) * row;
    dnnl::memory source({{spec.in, piece.width}, type, Tag::ba}, Cpu(),
                        const_cast<std::byte*>(from));
    piece.weights = dnnl::memory(layout, Cpu(), to);
    dnnl::stream stream(Cpu());
    dnnl::reorder(source, piece.weights).execute(stream, source, piece.weights);
    stream.wait();
  }

  PackedLinear::Packed& packed_;
};

void PackWeights(const void* weight, Type type, PackedLinear::Packed& packed) {
  if (!WantsPanels(packed.kernel)) return PiecePacker(packed).Pack(weight, type);
  const LinearSpec& spec = packed.kernel;
  packed.weights = type == Type::s8
                       ? PackPanels(static_cast<const int8_t*>(weight), spec.out, spec.in)
                       : PackPanels(static_cast<const float*>(weight), spec.out, spec.in);
}

void PackBytes(const float* weight, PackedLinear::Packed& packed) {
  const LinearSpec& spec = packed.spec;
  QuantisedWeights quantised =
      QuantiseWeights(weight, spec.out, spec.in, spec.block, ByteProductsHere());
  packed.column_scales = std::move(quantised.scales);
  packed.offsets = std::move(quantised.offsets);
  PackWeights(quantised.bytes.as(), Type::s8, packed);
}

// As a bf16 product would see them.
void PackRounded(const float* weight, PackedLinear::Packed& packed) {
  const auto count = static_cast<size_t>(packed.spec.in * packed.spec.out);
  std::vector<uint16_t> rounded(count);
  UsableKernels().front()->to_bf16(weight, count, rounded.data());
  std::vector<float> widened(count);
  WidenBf16(rounded, widened.data());
  PackWeights(widened.data(), Type::f32, packed);
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
    packed->bias.assign(static_cast<size_t>(spec.out), 0.0F);
    if (bias != nullptr) std::copy_n(bias, spec.out, packed->bias.begin());
    if (spec.element == Element::kInt8) {
      PackBytes(weight, *packed);
    } else if (spec.emulate_bf16) {
      PackRounded(weight, *packed);
    } else {
      PackWeights(weight, Type::f32, *packed);
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
                                                        : ByteProducts::kQuads;
#else
  return ByteProducts::kExact;
#endif
}

bool HasBf16Products() { return HasInstructions(dnnl_cpu_isa_avx512_core_bf16); }

}  // namespace emotion::vision
