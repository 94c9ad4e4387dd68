// The near lookup of a flight, between decoding and the queue. See frame_pipeline.h.
//
// The cache may take its time: meanwhile the flight is as one that is being decoded, out of reach
// of the queue, so who leaves it or supersedes it only takes its waiters and its place away.
#include <utility>

#include "common/observe/metrics.h"
#include "embedding_service/frame_pipeline_impl.h"

namespace emotion::embedding {

using std::chrono::steady_clock;

void FramePipeline::LookNear(const FlightPtr& flight) {
  if (flight->near_lane.empty()) {
    Enqueue(flight);
    return;
  }
  flight->near_began = steady_clock::now();
  flight->descriptor = Describe(flight->prepared.image);
  if (flight->request.cache == CacheUse::kBypass) {  // others may find what it will store
    Enqueue(flight);
    return;
  }
  BeginAsking();
  cache_.LookupNear({.lane = flight->near_lane,
                     .descriptor = *flight->descriptor,
                     .accepted_at_us = flight->request.accepted_at_us,
                     .shared_near = std::exchange(flight->shared_near, nullptr)},
                    [this, flight](NearFinding found) {
                      LookedNear(flight, std::move(found));
                      EndAsking();
                    });
}

void FramePipeline::LookedNear(const FlightPtr& flight, NearFinding found) {
  flight->near_lookup = steady_clock::now() - flight->near_began;
  metrics_.StageTime(Stage::kNear, flight->near_lookup);
  if (!found.value) {
    Enqueue(flight);
    return;
  }
  std::vector<FramePtr> answered;
  bool over = false;
  {
    const MutexLock lock(mutex_);
    answered = TakeNearWaiters(*flight);
    over = Abandoned(*flight);
  }
  AnswerWaiters(*flight, answered,
                {.embedding = std::move(found.value),
                 .quality_warnings = flight->quality_warnings,
                 .outcome = Outcome::kNear,
                 .similarity = found.similarity,
                 .times = {.decode = flight->decode, .cache = flight->near_lookup}});
  if (!over) Enqueue(flight);
}

// Single flight is by image and scope, near matching by session and face: not all who wait for the
// flight may be answered by another frame of its lane.
std::vector<FramePipeline::FramePtr> FramePipeline::TakeNearWaiters(Flight& flight) {
  std::vector<FramePtr> taken;
  std::vector<Ticket> others;
  for (const Ticket ticket : flight.waiters) {
    if (frames_.at(ticket)->near_lane == flight.near_lane) {
      taken.push_back(Extract(ticket));
    } else {
      others.push_back(ticket);
    }
  }
  flight.waiters = std::move(others);
  return taken;
}

}  // namespace emotion::embedding
