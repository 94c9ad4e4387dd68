// Reads a pickle as torch.save writes it (protocols 2 to 5), without ever running anything.
//
// A pickle is a program for a small stack machine that may call any function of the reader's
// Python. This machine knows the opcodes that data needs and a fixed list of callables
// (pickle_calls.h), each of which only shapes data. Whatever else a file names (code, whole
// modules, TorchScript) is an error that says so.
#pragma once

#include <cstddef>
#include <string_view>

#include "absl/status/statusor.h"
#include "heads/pth/pickle_value.h"

namespace emotion::heads::pth {

// Bounds of what one pickle may build; a real checkpoint stays far below them.
struct PickleLimits {
  size_t objects = 1 << 19;
  size_t stack = 1 << 19;
  size_t marks = 1000;           // nesting of what is under construction
  size_t text_bytes = 32 << 20;  // all strings together, copies included
};

// INVALID_ARGUMENT with the byte at which reading stopped and why.
absl::StatusOr<PickleDocument> ReadPickle(std::string_view bytes, const PickleLimits& limits = {});

}  // namespace emotion::heads::pth
