// Memory for weights and activations: aligned to cache lines, on huge pages where it is large.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

#include <sys/mman.h>

namespace emotion::vision {

class AlignedBuffer {
 public:
  AlignedBuffer() = default;

  // Uninitialised. Throws std::bad_alloc.
  explicit AlignedBuffer(size_t bytes) {
    constexpr size_t kHugePage = size_t{2} << 20;
    const size_t alignment = bytes >= 2 * kHugePage ? kHugePage : 64;
    size_ = (bytes + alignment - 1) / alignment * alignment;
    if (size_ == 0) return;
    memory_.reset(std::aligned_alloc(alignment, size_));
    if (!memory_) throw std::bad_alloc();
    // A matrix of 20 MB is 5,000 small pages, more than the processor remembers.
    if (alignment == kHugePage) madvise(memory_.get(), size_, MADV_HUGEPAGE);
  }

  // Grows to at least `bytes`; what was in it is lost then.
  void Reserve(size_t bytes) {
    if (bytes <= size_) return;
    memory_.reset();  // first: both at once may be too much
    *this = AlignedBuffer(bytes);
  }

  template <class T = void>
  T* as() const {
    return static_cast<T*>(memory_.get());
  }
  size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  std::unique_ptr<void, Free> memory_;
  size_t size_ = 0;
};

}  // namespace emotion::vision
