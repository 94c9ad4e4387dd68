#include "common/error/error.h"

#include <catch2/catch.hpp>

#include "common/affect/affect.h"

namespace emotion {

TEST_CASE("an error carries reason, code, violations and retry delay") {
  absl::Status status = FieldError("session_id", "must have 1 to 128 characters; has 0");
  status = WithViolation(status, {"face_id", "must be 0 to 63; was 64"});
  status = WithRetry(status, std::chrono::milliseconds(250));

  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  CHECK(status.message() == "session_id: must have 1 to 128 characters; has 0");
  CHECK(ReasonOf(status) == Reason::kFieldInvalid);
  CHECK(RetryDelayOf(status) == std::chrono::milliseconds(250));
  const auto violations = ViolationsOf(status);
  REQUIRE(violations.size() == 2);
  CHECK(violations[1].field == "face_id");
  CHECK(violations[1].description == "must be 0 to 63; was 64");
}

TEST_CASE("every reason has a name that parses back") {
  for (int i = 1; i <= static_cast<int>(Reason::kInternal); ++i) {
    const auto reason = static_cast<Reason>(i);
    CHECK(!ReasonName(reason).empty());
    CHECK(ParseReason(ReasonName(reason)) == reason);
  }
  CHECK(ParseReason("NO_SUCH_REASON") == Reason::kUnspecified);
}

TEST_CASE("a status made elsewhere gets the reason that its code suggests") {
  CHECK(ReasonOf(absl::DeadlineExceededError("late")) == Reason::kDeadline);
  CHECK(ReasonOf(absl::CancelledError("left")) == Reason::kCancelled);
  CHECK(ReasonOf(absl::UnknownError("?")) == Reason::kInternal);
  CHECK(ReasonOf(absl::NotFoundError("route")) == Reason::kUnspecified);
  CHECK(ReasonOf(absl::OkStatus()) == Reason::kUnspecified);
}

TEST_CASE("codes have gRPC's names") {
  CHECK(CodeName(absl::StatusCode::kInvalidArgument) == "INVALID_ARGUMENT");
  CHECK(CodeName(absl::StatusCode::kUnauthenticated) == "UNAUTHENTICATED");
}

TEST_CASE("states parse back from their names, in the order of DAiSEE's columns") {
  CHECK(StateName(kStates[0]) == "Boredom");
  CHECK(StateName(kStates[3]) == "Frustration");
  for (State state : kStates) CHECK(ParseState(StateName(state)) == state);
  CHECK_FALSE(ParseState("boredom"));
  CHECK(LevelName(3) == "very high");
}

}  // namespace emotion
