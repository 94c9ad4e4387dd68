#include "common/rpc/newest_wins.h"

#include <functional>
#include <iterator>
#include <utility>

namespace emotion {

std::optional<Lane> LaneOf(std::string_view session_key, uint32_t face, uint64_t sequence) {
  if (session_key.empty() || sequence == 0) return std::nullopt;
  return Lane{.session = std::string(session_key), .face = face};
}

size_t NewestWins::Hash::operator()(const Lane& lane) const {
  constexpr size_t kGoldenRatio = 0x9E3779B97F4A7C15U;
  return std::hash<std::string>()(lane.session) ^ (lane.face * kGoldenRatio);
}

NewestWins::Arrival NewestWins::Arrive(const Lane& lane, uint64_t sequence, uint64_t ticket,
                                       bool sent_again, TimePoint now) {
  Forget(now);
  const auto [found, unknown] = lanes_.try_emplace(lane);
  State& state = found->second;
  if (!unknown) {
    const bool newer = sequence > state.newest || (sent_again && sequence == state.newest);
    if (!newer) return {.superseded = true};
    if (state.waiting == 0) idle_.erase(state.idle);
  }
  state.newest = sequence;
  return {.predecessor = std::exchange(state.waiting, ticket)};
}

void NewestWins::Leave(const Lane& lane, uint64_t ticket, TimePoint now) {
  const auto found = lanes_.find(lane);
  if (found == lanes_.end() || found->second.waiting != ticket) return;
  State& state = found->second;
  state.waiting = 0;
  state.left = now;
  state.idle = idle_.insert(idle_.end(), &found->first);
  Forget(now);
}

void NewestWins::Forget(TimePoint now) {
  while (!idle_.empty()) {
    const auto longest = lanes_.find(*idle_.front());
    const bool late = longest->second.left + rules_.remember_for <= now;
    if (!late && idle_.size() <= rules_.idle_lanes) return;
    idle_.pop_front();
    lanes_.erase(longest);
  }
}

}  // namespace emotion
