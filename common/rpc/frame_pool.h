// The replicas of the next service and the way of frames to them: all frames of this process
// multiplexed onto one long-lived bidirectional stream per replica.
//
// Replicas: every address of every target has one stream. Names are looked up anew about every 5 s
// and when a stream breaks. A stream opens with Hello and Welcome; `judge` decides whether the
// replica's model fits. Broken streams come back after 100 ms to 2 s, growing and jittered.
// Choice: frames of a session go where the rendezvous hash of session_key says, unless that replica
// has more than 1.25 times the mean outstanding; others go to the less loaded of two at random.
// A replica that fails five frames in a row, or leaves them unanswered beyond their time, gets none
// for 10 s, as long as the others are not fewer than those that do so.
// Answers: each frame is answered exactly once, with the replica's result or with an error made
// here: DEADLINE (time is up), NO_REPLICA (none is connected), MODEL_MISMATCH (connected ones do
// not fit), QUEUE_FULL (all windows are full), SUPERSEDED (a newer frame of its lane came),
// FRAME_REFUSED (its replica crashed twice), CANCELLED. A stream that breaks gives its unanswered
// frames to another replica, once, with attempt + 1; frames answered DRAINING go elsewhere without
// counting.
//
// Live frames (those with a lane, see newest_wins.h) are not refused when all windows are full:
// they wait, at most one per lane, and go as windows free, in the order in which their lanes began
// to wait; a newer frame takes the turn of the one that it supersedes. Without a replica they wait
// a second for one to come back. A sixteenth of each window is left for frames that do not wait.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <grpcpp/channel.h>

#include "common/observe/metrics.h"
#include "common/rpc/channel.h"
#include "emotion/v1/classifier.grpc.pb.h"
#include "emotion/v1/embedding.grpc.pb.h"

namespace emotion {

template <class Request, class Response>
struct ServerSessionHandler;

// The two hops that frames make; a Hop names the types of its stream.
struct EmbedHop {
  using Service = emotion::v1::EmbeddingService;
  using StreamRequest = emotion::v1::EmbedStreamRequest;
  using StreamResponse = emotion::v1::EmbedStreamResponse;
  using Result = emotion::v1::EmbedResult;
  static constexpr const char* kName = "embedding";
};
struct PredictHop {
  using Service = emotion::v1::ClassifierService;
  using StreamRequest = emotion::v1::PredictStreamRequest;
  using StreamResponse = emotion::v1::PredictStreamResponse;
  using Result = emotion::v1::PredictResult;
  static constexpr const char* kName = "classifier";
};

// Makes the server's side of a stream of a service of this process (common/rpc/local_stream.h).
template <class Hop>
using LocalStreamMaker = std::function<std::shared_ptr<
    ServerSessionHandler<typename Hop::StreamRequest, typename Hop::StreamResponse>>()>;

enum class Verdict { kUse, kMismatch };

struct PoolState {
  int ready = 0;  // connected, model fits, not draining
  int total = 0;
  int mismatch = 0;
  int draining = 0;
  emotion::v1::SharedCache shared_cache = emotion::v1::SHARED_CACHE_UNSPECIFIED;  // worst of ready
  std::optional<emotion::v1::Welcome> welcome;  // of a ready replica
  std::chrono::milliseconds queue_wait{0};      // least of the ready replicas
  // The pace that a live sender should keep; least of the ready replicas.
  std::chrono::milliseconds next_frame_after{0};
};

struct FramePoolOptions {
  std::vector<std::string> targets;  // "host:port"
  // Instead of targets: for unary calls, and for streams where the pool has no LocalStreamMaker.
  std::shared_ptr<grpc::Channel> in_process;
  TlsFiles tls;                         // for targets
  std::string client_name = "emotion";  // of Hello

  // Called without locks on a gRPC thread; must not block. Unset: every replica is used.
  std::function<Verdict(const emotion::v1::Welcome&)> judge;
  // Called without locks, on a gRPC or pool thread, after replicas or their model changed.
  std::function<void()> on_change;

  std::chrono::milliseconds default_timeout{10000};  // of frames with timeout_ms = 0
  std::chrono::milliseconds start_grace{3000};       // frames wait for a first replica this long
  std::chrono::milliseconds resolve_period{5000};
  // Live frames that may wait for a window, and the bytes of their images; more are QUEUE_FULL.
  size_t most_waiting = 4096;
  size_t most_waiting_bytes = size_t{256} << 20;
  Metrics* metrics = nullptr;  // borrowed; may be absent
};

// Thread-safe. Close before the server of an in-process channel shuts down.
template <class Hop>
class FramePool {
 public:
  using Options = FramePoolOptions;
  // Called exactly once for each frame, without locks. It must not block: hand work to a thread of
  // yours. Where frames go over gRPC it is called on a gRPC or pool thread and never from inside
  // Cancel or, before Close, Submit; where they go over local streams on any, also from inside.
  using Callback = std::function<void(typename Hop::Result)>;

  // `local`, with options.in_process: frames go to that service without gRPC between.
  explicit FramePool(Options options, LocalStreamMaker<Hop> local = nullptr);
  ~FramePool();  // closes
  FramePool(const FramePool&) = delete;
  FramePool& operator=(const FramePool&) = delete;

  // Sends `frame`; timeout_ms is the time left, which the pool counts down itself too. frame_id may
  // be anything: the pool uses its own on the wire and gives the caller's back in the result.
  // Returns a ticket for Cancel.
  uint64_t Submit(emotion::v1::Frame frame, Callback done);

  // Nobody wants this frame any more. It is still answered: with CANCELLED, or with the result
  // where that came first. Unknown and answered tickets are ignored.
  void Cancel(uint64_t ticket);

  PoolState State() const;

  // One channel per known replica, also of those that drain, mismatch or are not connected: for
  // unary calls that all replicas must see. Not to be used after Close.
  std::vector<std::shared_ptr<grpc::Channel>> Channels() const;

  // Asks `judge` again about every connected replica.
  void Rejudge();

  // Refuses new frames (UNAVAILABLE/DRAINING), answers the rest CANCELLED, closes all streams, and
  // returns when no callback runs any more. Not from inside a callback. Safe to call twice.
  void Close();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

extern template class FramePool<EmbedHop>;
extern template class FramePool<PredictHop>;

}  // namespace emotion
