// The whole system in one process over an encoder of any speed, on ports that are free: what
// `emotion serve` is, but for the model. Without near matching: a session's frames resemble each
// other, and it is the encoder that is to be loaded.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "bench/stack/timed_encoder.h"
#include "common/observe/metrics.h"

namespace emotion::bench {

struct StackOptions {
  EncodeTime time;
  size_t batch = 8;
  bool fifo = false;  // the rival (fifo_service.h) in place of the embedding service
  uint16_t port = 0;  // of the gateway; 0: any free one
  size_t queue_limit = 256;
  std::string redis;  // host or socket of a shared cache, which is then the only one; empty: none
  std::chrono::milliseconds request_timeout{10'000};
};

class Stack {
 public:
  // Borrows `metrics`. Returns when it serves.
  static absl::StatusOr<std::unique_ptr<Stack>> Start(const StackOptions& options,
                                                      Metrics& metrics);
  ~Stack();  // stops at once
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  int gateway_port() const;
  int classifier_port() const;

  // "frames 0, flights 0, connections 0": what is held now. Zero frames of the rival, which does
  // not know.
  std::string Held() const;

  // In the order of `emotion serve`: gateway, classifier, embedding; accepted work is answered.
  void Stop(std::chrono::steady_clock::time_point deadline);

 private:
  class Impl;
  explicit Stack(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace emotion::bench
