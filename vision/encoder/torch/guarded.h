// What LibTorch throws, as a status: every call into it from this folder's doors goes through here.
#pragma once

#include <exception>
#include <new>
#include <string>
#include <string_view>

#include <c10/util/Exception.h>

#include "absl/status/status.h"
#include "common/error/error.h"
#include "fmt/format.h"

namespace emotion::vision {

inline absl::Status OutOfMemory(std::string_view what) {
  const std::string text = fmt::format("out of memory: {}", what);
  return absl::ResourceExhaustedError(absl::string_view(text.data(), text.size()));
}

// The first line: what follows it is advice for Python, or a stack.
inline std::string FirstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

inline absl::Status StatusOf(std::string_view doing, const c10::Error& error) {
  const std::string message = error.what_without_backtrace();
  // The CPU's allocator and cuBLAS have no type of their own for this.
  const auto says = [&](const char* text) { return message.find(text) != std::string::npos; };
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr || says("not enough memory") ||
      says("can't allocate memory") || says("out of memory") ||
      says("CUBLAS_STATUS_ALLOC_FAILED")) {
    return OutOfMemory(FirstLine(message));
  }
  return Error(Reason::kInternal, fmt::format("{}: LibTorch: {}", doing, message));
}

// Runs `body`, which returns a Status or StatusOr. RESOURCE_EXHAUSTED out of memory, of the host or
// the device; INTERNAL, with `doing` and what was said, for everything else that is thrown.
template <typename Body>
auto Guarded(std::string_view doing, Body body) -> decltype(body()) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return OutOfMemory(doing);
  } catch (const c10::Error& error) {
    return StatusOf(doing, error);
  } catch (const std::exception& error) {
    return Error(Reason::kInternal, fmt::format("{}: {}", doing, error.what()));
  }
}

}  // namespace emotion::vision
