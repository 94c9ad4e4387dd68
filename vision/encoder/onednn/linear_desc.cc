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

// Sums of bytes are finished elsewhere.
Type ResultType(const LinearSpec& spec) {
  return spec.element == Element::kInt8 ? Type::s32 : WeightType(spec.result);
}

void AppendEltwise(dnnl::post_ops& ops, dnnl::algorithm algorithm, float alpha) {
#if DNNL_VERSION_MAJOR >= 3
  ops.append_eltwise(algorithm, alpha, 0.0F);
#else
  ops.append_eltwise(1.0F, algorithm, alpha, 0.0F);
#endif
}

dnnl::primitive_attr AttributesOf(const LinearSpec& spec, const LinearDescs& descs) {
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
  const Type element = InputType(spec.element);
  const dnnl::memory::desc result({rows, width}, ResultType(spec), {spec.out, 1});
  return {.x = {{rows, spec.in}, element, Tag::ab},
          .weights = {{spec.in, width}, WeightType(spec.element), Tag::any},
          .bias = {{1, width}, Type::f32, Tag::ab},
          .y = result,
          .other = result};
}

dnnl::matmul::primitive_desc MatmulOf(const LinearSpec& spec, const LinearDescs& d, bool bias) {
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

absl::Status StatusOf(const dnnl::error& error, const LinearSpec& spec) {
  const std::string what =
      fmt::format("oneDNN, product of {} by {} values: {}", spec.in, spec.out, error.what());
  if (error.status == dnnl_out_of_memory) return absl::ResourceExhaustedError(what);
  if (error.status == dnnl_unimplemented) return absl::InvalidArgumentError(what);
  return Error(Reason::kInternal, what);
}

}  // namespace emotion::vision
