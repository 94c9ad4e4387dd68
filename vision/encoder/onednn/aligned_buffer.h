// Memory for weights and activations: aligned to cache lines, on huge pages where it is large.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#include <sys/mman.h>

namespace emotion::vision {

class AlignedBuffer {
 public:
  AlignedBuffer() = default;

  // Uninitialised; from 1 MiB on straight from the kernel and back to it. Throws std::bad_alloc.
  explicit AlignedBuffer(size_t bytes) {
    constexpr size_t kLarge = size_t{1} << 20;
    size_ = (bytes + 63) / 64 * 64;
    if (size_ >= kLarge) {
      Map();
    } else if (size_ > 0) {
      memory_ = {std::aligned_alloc(64, size_), Free{0}};
      if (!memory_) throw std::bad_alloc();
    }
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
    size_t mapped;  // 0: from the heap
    void operator()(void* memory) const {
      if (mapped > 0) {
        munmap(memory, mapped);
      } else {
        std::free(memory);
      }
    }
  };

  // On huge pages but for its end: a matrix of 20 MB is 5,000 small pages, more than the processor
  // remembers.
  void Map() {
    constexpr size_t kHugePage = size_t{2} << 20;
    const size_t mapped = size_ + kHugePage;
    void* const memory =
        mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    auto* const begin = static_cast<std::byte*>(memory);
    const size_t skip = -reinterpret_cast<uintptr_t>(begin) % kHugePage;
    const size_t used = (size_ + kPage - 1) / kPage * kPage;
    if (skip > 0) munmap(begin, skip);
    if (skip + used < mapped) munmap(begin + skip + used, mapped - skip - used);
    memory_ = {begin + skip, Free{used}};
    madvise(begin + skip, used, MADV_HUGEPAGE);
  }

  static constexpr size_t kPage = 4096;
  std::unique_ptr<void, Free> memory_;
  size_t size_ = 0;
};

}  // namespace emotion::vision
