// What is behind frame_pool.h; included by frame_pool.cc only.
#pragma once

#include <deque>
#include <map>
#include <random>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "absl/status/status.h"
#include "common/rpc/backoff.h"
#include "common/rpc/bidi_session.h"
#include "common/rpc/frame_pool.h"
#include "common/rpc/local_stream.h"
#include "common/rpc/newest_wins.h"
#include "common/rpc/resolver.h"
#include "common/rpc/timer_thread.h"
#include "common/sync/mutex.h"

namespace emotion {

// Everything that calls out (sessions, callbacks, judge) is collected while the lock is held and
// done after it is released.
using Effects = std::vector<std::function<void()>>;

template <class Hop>
class FramePool<Hop>::Impl : public std::enable_shared_from_this<Impl> {
 public:
  using Clock = std::chrono::steady_clock;
  using Request = typename Hop::StreamRequest;
  using Response = typename Hop::StreamResponse;
  using Result = typename Hop::Result;
  using Session = ClientSession<Request, Response>;

  Impl(Options options, LocalStreamMaker<Hop> local);

  void Start();
  uint64_t Submit(v1::Frame frame, Callback done) EXCLUDES_LOCK(mutex_);
  void Cancel(uint64_t id) EXCLUDES_LOCK(mutex_);
  PoolState State() const EXCLUDES_LOCK(mutex_);
  std::vector<std::shared_ptr<grpc::Channel>> Channels() const EXCLUDES_LOCK(mutex_);
  void Rejudge() EXCLUDES_LOCK(mutex_);
  void Close() EXCLUDES_LOCK(mutex_);

 private:
  struct Replica;

  enum class Phase {
    kOpening,  // waits for Welcome
    kReady,
    kMismatch,  // its model does not fit
    kDraining,  // takes no more frames, answers what it has
    kOver,
  };

  // One stream to one replica. Its members are guarded by the pool's lock.
  struct Stream final : ClientSessionHandler<Request, Response>,
                        std::enable_shared_from_this<Stream> {
    Stream(std::shared_ptr<Impl> owner, std::shared_ptr<Replica> to)
        : pool(std::move(owner)), replica(std::move(to)) {}

    void OnOpen(std::shared_ptr<Session> opened) override {
      pool->StreamOpened(*this, std::move(opened));
    }
    void OnMessage(Response&& response) override {
      pool->StreamSaid(this->shared_from_this(), std::move(response));
    }
    void OnClosed(const grpc::Status& status) override {
      pool->StreamClosed(this->shared_from_this(), status);
    }

    const std::shared_ptr<Impl> pool;
    const std::shared_ptr<Replica> replica;
    std::shared_ptr<Session> session;
    Phase phase = Phase::kOpening;
    std::unordered_set<uint64_t> outstanding;  // sent and not answered, given up ones too
    v1::Welcome welcome;
    v1::Load load;
    uint32_t window = 0;
  };

  struct Replica {
    std::string address;
    uint64_t address_hash = 0;
    std::shared_ptr<grpc::Channel> channel;
    std::shared_ptr<typename Hop::Service::Stub> stub;
    std::shared_ptr<Stream> stream;  // null between attempts
    Backoff backoff{std::chrono::milliseconds(100), std::chrono::milliseconds(2000)};
    bool present = true;   // still among the resolved addresses
    bool retired = false;  // in process and draining: never called again
    int failures = 0;      // results in a row that blame the replica
    Clock::time_point ejected_until{};
  };

  struct Ticket {
    v1::Frame frame;
    Callback done;
    Clock::time_point deadline;
    uint64_t timer = 0;
    std::shared_ptr<Stream> stream;  // null: waits for a replica
    std::optional<Lane> lane;        // of a live frame
    uint64_t turn = 0;               // in line_; 0: not there
    int crashes = 0;
    bool cancelled = false;
  };

  // frame_pool.cc: frames.
  void Dispatch(uint64_t id, bool may_wait, Effects& effects) REQUIRES_LOCK(mutex_);
  void Assign(uint64_t id, Ticket& ticket, const std::shared_ptr<Stream>& stream, Effects& effects)
      REQUIRES_LOCK(mutex_);
  void DispatchWaiting(Effects& effects) REQUIRES_LOCK(mutex_);
  void WaitOver(uint64_t id) EXCLUDES_LOCK(mutex_);
  void Expire(uint64_t id) EXCLUDES_LOCK(mutex_);
  void Answer(uint64_t id, Result result, Effects& effects) REQUIRES_LOCK(mutex_);
  void Fail(uint64_t id, const absl::Status& status, Effects& effects) REQUIRES_LOCK(mutex_);
  void Withdraw(uint64_t id, const Ticket& ticket, Effects& effects) REQUIRES_LOCK(mutex_);
  void CountOutcome(Replica& replica, bool failed) REQUIRES_LOCK(mutex_);
  void BlameForSilence(Stream& stream, uint64_t id) EXCLUDES_LOCK(mutex_);
  void TakeResult(const std::shared_ptr<Stream>& stream, Result result, Effects& effects)
      REQUIRES_LOCK(mutex_);
  void Resend(uint64_t id, bool crashed, Effects& effects) REQUIRES_LOCK(mutex_);
  absl::Status NoReplica() const REQUIRES_LOCK(mutex_);
  std::vector<std::shared_ptr<Stream>> Usable() const REQUIRES_LOCK(mutex_);
  std::shared_ptr<Stream> Choose(const std::vector<std::shared_ptr<Stream>>& streams,
                                 const Ticket& ticket) REQUIRES_LOCK(mutex_);
  absl::Status WindowsFull() const REQUIRES_LOCK(mutex_);

  // frame_pool_lanes.cc: live frames.
  bool EnterLane(uint64_t id, bool sent_again, Effects& answers) REQUIRES_LOCK(mutex_);
  void Supersede(uint64_t id, Effects& answers) REQUIRES_LOCK(mutex_);
  void LineUp(uint64_t id, Effects& effects) REQUIRES_LOCK(mutex_);
  void ServeLine(Effects& effects) REQUIRES_LOCK(mutex_);
  void LeaveLane(uint64_t id, Ticket& ticket) REQUIRES_LOCK(mutex_);
  void NoteReplicas() REQUIRES_LOCK(mutex_);
  void EndPatience() EXCLUDES_LOCK(mutex_);

  // frame_pool_streams.cc: replicas and their streams.
  void TakeAddresses(const std::vector<ResolvedAddress>& addresses) EXCLUDES_LOCK(mutex_);
  void AddReplica(const ResolvedAddress& address) REQUIRES_LOCK(mutex_);
  void RemoveReplica(Replica& replica, Effects& effects) REQUIRES_LOCK(mutex_);
  void Connect(const std::shared_ptr<Replica>& replica) EXCLUDES_LOCK(mutex_);
  void EndIfNotWelcome(Stream& stream) EXCLUDES_LOCK(mutex_);
  void StreamOpened(Stream& stream, std::shared_ptr<Session> session) EXCLUDES_LOCK(mutex_);
  void StreamSaid(const std::shared_ptr<Stream>& stream, Response response) EXCLUDES_LOCK(mutex_);
  void StreamClosed(const std::shared_ptr<Stream>& stream, const grpc::Status& status)
      EXCLUDES_LOCK(mutex_);
  void TakeWelcome(const std::shared_ptr<Stream>& stream, v1::Welcome welcome)
      EXCLUDES_LOCK(mutex_);
  void StartDraining(Stream& stream, Effects& effects) REQUIRES_LOCK(mutex_);
  void EndIfDrained(Stream& stream, Effects& effects) REQUIRES_LOCK(mutex_);
  void ScheduleConnect(const std::shared_ptr<Replica>& replica) REQUIRES_LOCK(mutex_);
  Verdict Judge(const v1::Welcome& welcome) const;
  void Changed(Effects& effects) REQUIRES_LOCK(mutex_);
  PoolState CountReplicas() const REQUIRES_LOCK(mutex_);
  v1::Load LeastLoad() const REQUIRES_LOCK(mutex_);
  uint64_t Random() REQUIRES_LOCK(mutex_) { return random_(); }
  double Fraction() REQUIRES_LOCK(mutex_) { return static_cast<double>(random_() >> 11) * 0x1p-53; }

  const Options options_;
  const LocalStreamMaker<Hop> local_;  // null: streams are gRPC's
  const Clock::time_point grace_until_;

  mutable Mutex mutex_;
  CondVar streams_changed_;
  std::map<std::string, std::shared_ptr<Replica>> replicas_ GUARDED_BY(mutex_);
  std::unordered_map<uint64_t, Ticket> tickets_ GUARDED_BY(mutex_);
  // Frames that wait for a replica and have no lane; answered ones may linger.
  std::deque<uint64_t> waiting_ GUARDED_BY(mutex_);
  // Live frames that wait for a replica or for room in a window, by turn.
  std::map<uint64_t, uint64_t> line_ GUARDED_BY(mutex_);
  size_t line_bytes_ GUARDED_BY(mutex_) = 0;
  uint64_t last_turn_ GUARDED_BY(mutex_) = 0;
  NewestWins lanes_ GUARDED_BY(mutex_){NewestWins::Rules{}};
  bool had_replica_ GUARDED_BY(mutex_) = false;
  Clock::time_point patience_until_ GUARDED_BY(mutex_);  // of live frames without a replica
  uint64_t last_id_ GUARDED_BY(mutex_) = 0;
  int open_streams_ GUARDED_BY(mutex_) = 0;
  bool closed_ GUARDED_BY(mutex_) = false;
  std::mt19937_64 random_ GUARDED_BY(mutex_){std::random_device{}()};

  TimerThread timers_;
  std::unique_ptr<Resolver> resolver_;  // null in process
};

// A frame whose replica broke off waits so long for another, or for the same one to come back.
inline constexpr std::chrono::milliseconds kResendGrace{1000};

inline void Perform(const Effects& effects) {
  for (const auto& effect : effects) effect();
}

}  // namespace emotion
