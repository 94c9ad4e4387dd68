#include "vision/encoder/onednn/linear_desc.h"

#include "common/error/error.h"
#include "fmt/format.h"

namespace emotion::vision {
namespace {

using Type = dnnl::memory::data_type;
using Tag = dnnl::memory::format_tag;

Type InputType(Element element) {
  return element == Element::kInt8 ? Type::u8 : WeightType(element);
}

}  // namespace

dnnl::engine& Cpu() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

Type WeightType(Element element) {
  switch (element) {
    case Element::kBf16:
      return Type::bf16;
    case Element::kInt8:
      return Type::s8;
    case Element::kF32:
      break;
  }
  return Type::f32;
}

LinearDescs DescsOf(const LinearSpec& spec, int64_t rows, int64_t width) {
  const Type sums = spec.element == Element::kInt8 ? Type::s32 : Type::f32;
  return {.x = {{rows, spec.in}, InputType(spec.element), Tag::ab},
          .weights = {{spec.in, width}, WeightType(spec.element), Tag::any},
          .sums = {{rows, width}, sums, Tag::ab}};
}

dnnl::matmul::primitive_desc MatmulOf(const LinearDescs& d) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
#if DNNL_VERSION_MAJOR >= 3
  return {Cpu(), d.x, d.weights, d.sums, attributes};
#else
  return {dnnl::matmul::desc(d.x, d.weights, d.sums), attributes, Cpu()};
#endif
}

absl::Status StatusOf(const dnnl::error& error, const LinearSpec& spec) {
  const std::string what =
      fmt::format("oneDNN, product of {} by {} values: {}", spec.in, spec.out, error.what());
  if (error.status == dnnl_out_of_memory) return absl::ResourceExhaustedError(what);
  if (error.status == dnnl_unimplemented) return absl::InvalidArgumentError(what);
  return Error(Reason::kInternal, what);
}

}  // namespace emotion::vision
