#include "common/rpc/frame_window.h"

#include <catch2/catch.hpp>

#include "common/error/error.h"

namespace emotion {

TEST_CASE("a frame over the window is refused, and comes in after an answer") {
  FrameWindow window(2);
  CHECK(window.Admit(1).ok());
  CHECK(window.Admit(2).ok());
  CHECK(ReasonOf(window.Admit(3)) == Reason::kQueueFull);
  window.Answered(1);
  CHECK(window.Admit(3).ok());
  CHECK(window.unanswered() == 2);
}

TEST_CASE("a frame id in flight is refused to the newcomer alone") {
  FrameWindow window(8);
  REQUIRE(window.Admit(7).ok());
  window.SetTicket(7, 70);
  CHECK(ReasonOf(window.Admit(7)) == Reason::kFieldInvalid);
  CHECK(window.Withdraw(7) == 70);
  window.Answered(7);
  CHECK(window.Admit(7).ok());
}

TEST_CASE("ids from 2^53 on are refused") {
  FrameWindow window(8);
  CHECK(window.Admit((uint64_t{1} << 53) - 1).ok());
  CHECK(ReasonOf(window.Admit(uint64_t{1} << 53)) == Reason::kFieldInvalid);
}

TEST_CASE("after Drain new frames are refused and the old ones still count") {
  FrameWindow window(8);
  REQUIRE(window.Admit(1).ok());
  window.Drain();
  CHECK(ReasonOf(window.Admit(2)) == Reason::kDraining);
  CHECK(window.unanswered() == 1);
}

TEST_CASE("a stream is finished when its peer is silent and everything is answered") {
  FrameWindow window(8);
  REQUIRE(window.Admit(1).ok());
  CHECK_FALSE(window.finished());
  window.HalfClose();
  CHECK_FALSE(window.finished());
  window.Answered(1);
  CHECK(window.finished());
}

TEST_CASE("a frame that is withdrawn before it has a ticket is withdrawn by its ticket") {
  FrameWindow window(8);
  REQUIRE(window.Admit(1).ok());
  CHECK(window.Withdraw(1) == 0);
  CHECK(window.SetTicket(1, 10));
  CHECK(window.Withdraw(1) == 10);
  window.Answered(1);
  CHECK(window.Withdraw(1) == 0);
  REQUIRE(window.Admit(1).ok());  // another one of that id
  CHECK_FALSE(window.SetTicket(1, 11));
}

TEST_CASE("the tickets of all unanswered frames can be withdrawn") {
  FrameWindow window(8);
  REQUIRE(window.Admit(1).ok());
  REQUIRE(window.Admit(2).ok());
  window.SetTicket(1, 10);
  window.SetTicket(9, 90);  // was answered before its ticket came
  CHECK(window.Tickets() == std::vector<uint64_t>{10});
}

}  // namespace emotion
