#include "common/rpc/replica_choice.h"

#include <algorithm>
#include <vector>

namespace emotion {
namespace {

// FNV-1a, then a finaliser that spreads its weak low bits (splitmix64).
uint64_t Mix(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9U;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBU;
  return value ^ (value >> 31);
}

uint64_t Hash(std::string_view text) {
  uint64_t hash = 0xCBF29CE484222325U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  return Mix(hash);
}

bool HasRoom(const Candidate& candidate) { return candidate.outstanding < candidate.window; }

size_t Home(std::span<const Candidate> candidates, std::string_view session_key) {
  const uint64_t key = Hash(session_key);
  const auto home = std::max_element(candidates.begin(), candidates.end(),
                                     [key](const Candidate& a, const Candidate& b) {
                                       return Mix(a.address_hash ^ key) < Mix(b.address_hash ^ key);
                                     });
  return static_cast<size_t>(home - candidates.begin());
}

// 1.25 times the mean with this frame counted, rounded up.
size_t HomeLimit(std::span<const Candidate> candidates) {
  size_t total = 1;
  for (const Candidate& candidate : candidates) total += candidate.outstanding;
  const size_t quarter_count = 4 * candidates.size();
  return std::max(kAlwaysAtHome, (5 * total + quarter_count - 1) / quarter_count);
}

}  // namespace

uint64_t HashAddress(std::string_view address) { return Hash(address); }

std::optional<size_t> ChooseReplica(std::span<const Candidate> candidates,
                                    std::string_view session_key, uint64_t random) {
  std::vector<size_t> open;
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (HasRoom(candidates[i])) open.push_back(i);
  }
  if (open.empty()) return std::nullopt;
  if (!session_key.empty()) {
    const size_t home = Home(candidates, session_key);
    const Candidate& candidate = candidates[home];
    if (HasRoom(candidate) && candidate.outstanding < HomeLimit(candidates)) return home;
  }
  if (open.size() == 1) return open[0];
  // Two different ones: who has most unanswered, such as one that answers no more, gets none.
  const size_t one = (random & 0xFFFFFFFFU) % open.size();
  const size_t step = 1 + (random >> 32) % (open.size() - 1);
  const size_t first = open[one];
  const size_t second = open[(one + step) % open.size()];
  return candidates[second].outstanding < candidates[first].outstanding ? second : first;
}

}  // namespace emotion
