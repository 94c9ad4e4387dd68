#include "vision/encoder/onednn/products.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <map>
#include <new>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include <omp.h>

#include "vision/encoder/onednn/linear_desc.h"
#include "vision/encoder/onednn/panels.h"
#include "vision/encoder/onednn/product_part.h"
#include "vision/encoder/onednn/widen.h"

namespace emotion::vision {
namespace {

// Numbers of rows that kernels are kept for. Faces need a few; native sizes vary.
constexpr size_t kKeptShapes = 32;

using Piece = PackedLinear::Packed::Piece;

// A piece of a product that is ready to run for one number of rows; for one thread at a time.
struct Kernel {
  Kernel(const PackedLinear::Packed& packed, const Piece& piece, int64_t rows)
      : sums_bytes(static_cast<size_t>(rows * piece.width) * sizeof(float)) {
    LinearDescs descs = DescsOf(packed.kernel, rows, piece.width);
    descs.weights = piece.weights.get_desc();
    const auto description = MatmulOf(descs);
    primitive = dnnl::matmul(description);
    x = dnnl::memory(description.src_desc(), Cpu(), nullptr);
    sums = dnnl::memory(description.dst_desc(), Cpu(), nullptr);
    scratch = dnnl::memory(description.scratchpad_desc(), Cpu(), nullptr);
    scratch_bytes = description.scratchpad_desc().get_size();
    arguments = {{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, piece.weights}, {DNNL_ARG_DST, sums}};
    if (scratch_bytes > 0) arguments.insert({DNNL_ARG_SCRATCHPAD, scratch});
  }

  dnnl::primitive primitive;
  // The arguments share these handles: setting the pointer here sets it there.
  dnnl::memory x;
  dnnl::memory sums;
  dnnl::memory scratch;
  size_t sums_bytes = 0;
  size_t scratch_bytes = 0;
  std::unordered_map<int, dnnl::memory> arguments;
};

// What a member of the team has for itself.
struct Member {
  dnnl::stream stream{Cpu()};
  AlignedBuffer scratch;  // oneDNN's
  AlignedBuffer sums;     // of a piece, until it is finished
};

}  // namespace

class Products::Impl {
 public:
  // May throw dnnl::error and std::bad_alloc.
  void Run(const PackedLinear::Packed& packed, int64_t rows, Team& team, const ProductInput& x,
           void* y, const void* other) {
    if (packed.spec.emulate_bf16) {
      RunEmulated(packed, rows, team, x.values, y, other);
    } else {
      RunKernel(packed, rows, team, x, y, other);
    }
  }

 private:
  using Key = std::pair<const PackedLinear::Packed*, int64_t>;  // and rows

  // y and other: [rows, out] of packed.kernel.result. This and the next.
  void RunKernel(const PackedLinear::Packed& packed, int64_t rows, Team& team,
                 const ProductInput& x, void* y, const void* other) {
    if (packed.pieces.empty()) {
      MultiplyPanels(packed, rows, team, x, y, other);
    } else {
      RunPieces(packed, rows, team, x, y, other);
    }
  }

  void RunPieces(const PackedLinear::Packed& packed, int64_t rows, Team& team,
                 const ProductInput& x, void* y, const void* other) {
    std::vector<Kernel>& kernels = KernelsFor(packed, rows);
    Prepare(kernels, team);
    std::atomic<bool> failed = false;
    std::optional<dnnl::error> failure;  // the first; read when all are done
    team.ForEach(static_cast<int64_t>(kernels.size()), [&](int64_t i, int index) {
      const auto at = static_cast<size_t>(i);
      Member& member = members_[static_cast<size_t>(index)];
      try {
        Execute(kernels[at], member, x.values);
        const Piece& piece = packed.pieces[at];
        FinishPart(packed, {.rows = rows, .column = piece.begin, .width = piece.width},
                   member.sums.as(), piece.width, x, y, other);
      } catch (const dnnl::error& error) {
        if (!failed.exchange(true)) failure = error;
      }
    });
    if (failure) throw *failure;
  }

  // Whatever must not be allocated by a piece.
  void Prepare(const std::vector<Kernel>& kernels, const Team& team) {
    while (members_.size() < static_cast<size_t>(team.size())) members_.emplace_back();
    size_t scratch = 0;
    size_t sums = 0;
    for (const Kernel& kernel : kernels) {
      scratch = std::max(scratch, kernel.scratch_bytes);
      sums = std::max(sums, kernel.sums_bytes);
    }
    for (Member& member : members_) {
      member.scratch.Reserve(scratch);
      member.sums.Reserve(sums);
    }
  }

  static void Execute(Kernel& kernel, Member& member, const void* x) {
    omp_set_num_threads(1);  // of this thread: the team is all there is
    kernel.x.set_data_handle(const_cast<void*>(x));
    kernel.sums.set_data_handle(member.sums.as());
    if (kernel.scratch_bytes > 0) kernel.scratch.set_data_handle(member.scratch.as());
    kernel.primitive.execute(member.stream, kernel.arguments);
    member.stream.wait();
  }

  // What a product of bf16 does, but for the order of its sums: exact products, fp32 sums and
  // epilogue, one rounding at the end.
  void RunEmulated(const PackedLinear::Packed& packed, int64_t rows, Team& team, const void* x,
                   void* y, const void* other) {
    const auto inputs = static_cast<size_t>(rows * packed.spec.in);
    const auto outputs = static_cast<size_t>(rows * packed.spec.out);
    const bool rounds = packed.spec.result == Element::kBf16;
    const void* wide_other =
        rounds && other != nullptr ? Widen(other, outputs, wide_other_) : other;
    if (rounds) Widen(y, outputs, wide_y_);
    const void* const wide_x = Widen(x, inputs, wide_x_);
    RunKernel(packed, rows, team, {wide_x}, rounds ? wide_y_.as() : y, wide_other);
    if (rounds) vectors_.to_bf16(wide_y_.as<float>(), outputs, static_cast<uint16_t*>(y));
  }

  static const void* Widen(const void* stored, size_t count, AlignedBuffer& buffer) {
    buffer.Reserve(count * sizeof(float));
    WidenBf16({static_cast<const uint16_t*>(stored), count}, buffer.as<float>());
    return buffer.as();
  }

  std::vector<Kernel>& KernelsFor(const PackedLinear::Packed& packed, int64_t rows) {
    const auto found = kernels_.find(Key{&packed, rows});
    if (found != kernels_.end()) return found->second;
    if (!shapes_.contains(rows) && shapes_.size() >= kKeptShapes) {
      kernels_.clear();
      shapes_.clear();
    }
    shapes_.insert(rows);
    std::vector<Kernel> made;
    made.reserve(packed.pieces.size());
    for (const Piece& piece : packed.pieces) made.emplace_back(packed, piece, rows);
    return kernels_.try_emplace(Key{&packed, rows}, std::move(made)).first->second;
  }

  const Kernels& vectors_ = *UsableKernels().front();
  std::vector<Member> members_;
  AlignedBuffer wide_x_;      // of what is emulated
  AlignedBuffer wide_other_;  //
  AlignedBuffer wide_y_;      //
  std::set<int64_t> shapes_;
  std::map<Key, std::vector<Kernel>> kernels_;
};

Products::Products() : impl_(std::make_unique<Impl>()) {}
Products::~Products() = default;

absl::Status Products::Run(const PackedLinear& linear, int64_t rows, Team& team,
                           const ProductInput& x, void* y, const void* other) {
  const PackedLinear::Packed& packed = linear.packed();
  try {
    impl_->Run(packed, rows, team, x, y, other);
    return absl::OkStatus();
  } catch (const dnnl::error& error) {
    return StatusOf(error, packed.spec);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory for a product's scratchpad");
  }
}

}  // namespace emotion::vision
