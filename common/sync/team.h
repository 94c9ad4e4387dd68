// A thread and its helpers, who share out short pieces of work many thousand times a second.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

namespace emotion {

// Pieces are handed out one by one, so a member whose core is busy with something else takes fewer.
// Nobody waits for a member that holds no piece: that is what a barrier of all threads would do,
// two hundred times in one pass of an encoder. For the same reason members end their slices between
// pieces (long_slice.h), not where the scheduler would. Who has nothing to do looks for some 100
// us, as long as the last piece of a round takes, and then sleeps, so that a busy neighbour finds a
// free core.
//
// Handing a piece out costs about a tenth of a microsecond, a round some more, a helper that sleeps
// tens: a round of one piece stays with the caller. ForEach is for one thread at a time, which
// takes long slices from then on as the helpers do; the destructor joins them.
class Team {
 public:
  // `size` members in all, the calling thread among them. REQUIRES: size >= 1.
  explicit Team(int size);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int size() const { return static_cast<int>(helpers_.size()) + 1; }

  // Calls work(item, member) once for every item of [0, items), in about this order, and returns
  // when all calls did. member: in [0, size()), no two calls at a time have the same. The calls
  // must not throw. Allocates nothing. REQUIRES: items < 2^31.
  template <class Work>
  void ForEach(int64_t items, const Work& work) {
    Run(items, &work, [](const void* called, int64_t item, int member) {
      (*static_cast<const Work*>(called))(item, member);
    });
  }

 private:
  static constexpr size_t kLine = 64;
  using Call = void (*)(const void* work, int64_t item, int member);

  void Run(int64_t items, const void* work, Call call);
  void Help(int member);
  void Take(int member);
  void AwaitRound(uint32_t seen);
  void AwaitAll();

  // Of the round at hand; written between rounds, read by those who hold an item of it.
  const void* work_ = nullptr;
  Call call_ = nullptr;
  uint32_t items_ = 0;

  // On lines of their own: one who looks at a word takes its line away from those who write beside
  // it.

  // The round's number in the upper half, the items that nobody has taken in the lower: one who
  // looked during an earlier round can take nothing of a later one.
  alignas(kLine) std::atomic<uint64_t> ticket_ = 0;
  alignas(kLine) std::atomic<uint32_t> round_ = 0;  // counts rounds, and is what helpers sleep on
  alignas(kLine) std::atomic<uint32_t> done_ = 0;   // items of the round
  alignas(kLine) std::atomic<bool> stopping_ = false;
  std::vector<std::jthread> helpers_;  // last: they use all of the above
};

}  // namespace emotion
