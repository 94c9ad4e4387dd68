// The LibTorch encoder from its module, a shared object beside the programs.
//
// LibTorch is 180 MB and 287 libraries, most of which no service wants near its sockets; and a CUDA
// LibTorch brings a protobuf of its own. So nothing links it: the module is loaded when a device
// asks for it, with its symbols kept to itself, and stays until the process ends.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "vision/encoder/torch/torch_encoder.h"

namespace emotion::vision {

// As CreateTorchEncoder. FAILED_PRECONDITION when there is no module at
// PREFIX/lib/emotion-api/libemotion_torch.so (PREFIX: the folder above the program's), or when it
// is of another build. Safe from any thread.
absl::StatusOr<std::unique_ptr<VisionEncoder>> CreateTorchEncoderFromModule(
    const TorchEncoderOptions& options);

// As HalfPrecisionOf; FAILED_PRECONDITION as above.
absl::StatusOr<Precision> HalfPrecisionFromModule(const std::string& device);

}  // namespace emotion::vision
