// What is behind frame_pipeline.h: a frame and a flight. Included by its sources only.
#pragma once

#include <optional>

#include "embedding_service/frame_pipeline.h"

namespace emotion::embedding {

// A turn of the decode pool, and the flight it is for; guarded by the pipeline's mutex_. A newer
// frame takes it over from the one that it supersedes: at the end of the line it might be
// superseded itself before it is decoded, and so on for ever.
struct FramePipeline::DecodeTurn {
  FlightPtr flight;  // null: nobody's
  bool over = false;
};

// One unanswered frame. Whoever takes it out of frames_ answers it: that makes it exactly once.
struct FramePipeline::Frame {
  Ticket ticket = 0;
  FrameRequest request;  // its flight's, once it launched one
  FrameDone done;
  TimePoint submitted;
  TimePoint deadline;
  std::optional<Lane> lane;  // of a live frame
  std::string subject;
  ContentKey key{};    // where the cache is used
  NearLane near_lane;  // of a frame that takes part in near matching

  // Guarded by the pipeline's mutex_ until the frame is taken out of frames_.
  std::chrono::nanoseconds lookup{0};
  std::shared_ptr<const NearCandidates> shared_near;  // until it launches a flight
  // Of the frame that it superseded, until it launches a flight.
  Place place;
  std::shared_ptr<DecodeTurn> turn;
  Ticket behind = 0;  // an older frame of its lane that was further when it came; 0: none
  bool coalesced = false;
  TimePoint joined;  // another's flight
  FlightPtr flight;
};

// The work that one frame asked for and others may wait for.
struct FramePipeline::Flight {
  // Set when it is launched.
  Ticket ticket = 0;
  ContentKey key{};
  FrameRequest request;  // of its first frame
  NearLane near_lane;

  // Guarded by the pipeline's mutex_.
  std::vector<Ticket> waiters;
  TimePoint deadline;
  bool interactive = true;
  bool shared = false;  // others find it by its key
  bool queued = false;
  Place place;                       // until queued, or until a newer frame took it
  std::shared_ptr<DecodeTurn> turn;  // until its image is read

  // Each step's own before the next one sees the flight: decode, near lookup, encoder.
  vision::PreparedImage prepared;  // until it is queued
  uint32_t quality_warnings = 0;
  std::chrono::nanoseconds decode{0};
  std::shared_ptr<const NearCandidates> shared_near;
  std::optional<FaceDescriptor> descriptor;  // where it takes part in near matching
  TimePoint near_began;
  std::chrono::nanoseconds near_lookup{0};
};

}  // namespace emotion::embedding
