// Looks up names again and again: a headless Service's name stands for all its pods.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace emotion {

struct ResolvedAddress {
  std::string address;  // "10.0.0.1:50051", "[::1]:50051"
  std::string host;     // the name it was found by: what its certificate names

  bool operator==(const ResolvedAddress&) const = default;
};

// All addresses of "host:port", sorted, without repetition; empty when the name cannot be looked up
// or `target` is no host:port. Blocks, for seconds when DNS is in trouble.
std::vector<ResolvedAddress> LookUp(const std::string& target);

// Looks all targets up on a thread of its own, every `period` (jittered by 20 %), and at once after
// Kick (at most once in 500 ms).
class Resolver {
 public:
  using LookUpFunction = std::function<std::vector<ResolvedAddress>(const std::string& target)>;
  // Addresses of all targets. A target that cannot be looked up keeps the addresses it had.
  using Found = std::function<void(std::vector<ResolvedAddress>)>;

  Resolver(std::vector<std::string> targets, std::chrono::milliseconds period, Found found,
           LookUpFunction look_up = LookUp);
  // `found` is not called any more afterwards. Does not wait for a lookup that hangs.
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  void Kick();

 private:
  struct State;
  static void Run(const std::shared_ptr<State>& state);

  std::shared_ptr<State> state_;
};

}  // namespace emotion
