#include "embedding_service/frame_check.h"

#include <catch2/catch.hpp>

#include "common/error/error.h"
#include "emotion/v1/frame.pb.h"

namespace emotion::embedding {
namespace {

using std::chrono::milliseconds;

const vision::ImagePreparer kPreparer{vision::ImagePreparer::Settings{}};

absl::StatusOr<FrameRequest> Check(v1::Frame frame) {
  return CheckFrame(frame, {.max_image_bytes = 1000}, kPreparer, 777);
}

v1::Frame Frame() {
  v1::Frame frame;
  frame.set_frame_id(1);
  frame.set_encoded_image("bytes");
  return frame;
}

// The fields that a frame changed by `change` is refused for.
template <class Change>
std::vector<std::string> Wrong(Change change) {
  v1::Frame frame = Frame();
  change(frame);
  const auto checked = Check(frame);
  std::vector<std::string> fields;
  for (const FieldViolation& violation : ViolationsOf(checked.status())) {
    fields.push_back(violation.field);
  }
  if (!fields.empty()) CHECK(ReasonOf(checked.status()) == Reason::kFieldInvalid);
  return fields;
}

using Fields = std::vector<std::string>;

TEST_CASE("unspecified fields get the defaults of Embed") {
  const auto request = Check(Frame());
  REQUIRE(request.ok());
  CHECK(request->image == "bytes");
  CHECK(request->prepare.resize == vision::ResizeMode::kNative);
  CHECK(request->prepare.orientation == vision::OrientationMode::kIgnoreExif);
  CHECK(request->cache == CacheUse::kUse);
  CHECK(request->interactive);
  CHECK_FALSE(request->resent);
  CHECK(request->timeout == milliseconds(10'000));
  CHECK(request->accepted_at_us == 777);
}

TEST_CASE("each cache mode is understood") {
  const auto use = [](v1::CacheMode mode) {
    v1::Frame frame = Frame();
    frame.set_cache_mode(mode);
    const auto request = Check(frame);
    REQUIRE(request.ok());
    return request->cache;
  };
  CHECK(use(v1::CACHE_MODE_UNSPECIFIED) == CacheUse::kUse);
  CHECK(use(v1::CACHE_MODE_USE) == CacheUse::kUse);
  CHECK(use(v1::CACHE_MODE_EXACT_ONLY) == CacheUse::kExactOnly);
  CHECK(use(v1::CACHE_MODE_BYPASS) == CacheUse::kBypass);
  CHECK(use(v1::CACHE_MODE_BYPASS_EXACT_ONLY) == CacheUse::kBypassExactOnly);
  CHECK(use(v1::CACHE_MODE_NO_STORE) == CacheUse::kNoStore);
}

TEST_CASE("what the frame says is taken over") {
  v1::Frame frame = Frame();
  frame.set_session_key(std::string(16, 'a'));
  frame.set_cache_scope(std::string(16, 'b'));
  frame.set_timeout_ms(250);
  frame.set_priority(v1::PRIORITY_BATCH);
  frame.set_cache_mode(v1::CACHE_MODE_BYPASS);
  frame.set_accepted_at_us(123);
  frame.set_request_id("req-1");
  frame.set_attempt(1);
  frame.set_resize(v1::RESIZE_HEADS_INPUT);
  frame.set_resize_width(140);
  frame.set_orientation(v1::ORIENTATION_APPLY_EXIF);
  frame.set_detect(v1::DETECT_OFF);
  const auto request = Check(frame);
  REQUIRE(request.ok());
  CHECK(request->session == std::string(16, 'a'));
  CHECK(request->cache_scope == std::string(16, 'b'));
  CHECK(request->timeout == milliseconds(250));
  CHECK_FALSE(request->interactive);
  CHECK(request->cache == CacheUse::kBypass);
  CHECK(request->accepted_at_us == 123);
  CHECK(request->request_id == "req-1");
  CHECK(request->resent);
  CHECK(request->prepare.resize == vision::ResizeMode::kHeadsInput);
  CHECK(request->prepare.heads_input == vision::ImageSize{140, 112});
  CHECK(request->prepare.orientation == vision::OrientationMode::kApplyExif);
}

TEST_CASE("a longer timeout is cut to the server's") {
  v1::Frame frame = Frame();
  frame.set_timeout_ms(UINT32_MAX);
  CHECK(Check(frame)->timeout == milliseconds(10'000));
}

TEST_CASE("every field is held to its limit, and passes at it") {
  CHECK(Wrong([](v1::Frame& f) { f.set_frame_id((uint64_t{1} << 53) - 1); }).empty());
  CHECK(Wrong([](v1::Frame& f) { f.set_frame_id(uint64_t{1} << 53); }) == Fields{"frame_id"});
  for (const size_t bytes : {1U, 15U, 17U, 32U}) {
    CHECK(Wrong([&](v1::Frame& f) { f.set_session_key(std::string(bytes, 'k')); }) ==
          Fields{"session_key"});
    CHECK(Wrong([&](v1::Frame& f) { f.set_cache_scope(std::string(bytes, 'k')); }) ==
          Fields{"cache_scope"});
    CHECK(Wrong([&](v1::Frame& f) { f.set_fairness_key(std::string(bytes, 'k')); }) ==
          Fields{"fairness_key"});
  }
  CHECK(Wrong([](v1::Frame& f) { f.set_face_id(63); }).empty());
  CHECK(Wrong([](v1::Frame& f) { f.set_face_id(64); }) == Fields{"face_id"});
  CHECK(Wrong([](v1::Frame& f) { f.set_request_id(std::string(64, 'r')); }).empty());
  CHECK(Wrong([](v1::Frame& f) { f.set_request_id(std::string(65, 'r')); }) ==
        Fields{"request_id"});
  CHECK(Wrong([](v1::Frame& f) { f.set_request_id("a b"); }) == Fields{"request_id"});
  CHECK(Wrong([](v1::Frame& f) { f.set_priority(static_cast<v1::Priority>(9)); }) ==
        Fields{"priority"});
  CHECK(Wrong([](v1::Frame& f) { f.set_cache_mode(static_cast<v1::CacheMode>(9)); }) ==
        Fields{"cache_mode"});
  CHECK(Wrong([](v1::Frame& f) { f.set_resize(static_cast<v1::Resize>(9)); }) == Fields{"resize"});
  CHECK(Wrong([](v1::Frame& f) { f.set_orientation(static_cast<v1::Orientation>(9)); }) ==
        Fields{"orientation"});
  CHECK(Wrong([](v1::Frame& f) { f.set_detect(v1::DETECT_AUTO); }) == Fields{"detect"});
  CHECK(Wrong([](v1::Frame& f) { f.set_detect(v1::DETECT_CROP); }) == Fields{"detect"});
}

TEST_CASE("the heads' input must be whole tokens and within the patch limit") {
  const auto wrong = [](uint32_t width, uint32_t height) {
    v1::Frame frame = Frame();
    frame.set_resize(v1::RESIZE_HEADS_INPUT);
    frame.set_resize_width(width);
    frame.set_resize_height(height);
    return Check(frame).status();
  };
  CHECK(wrong(448, 448).ok());
  CHECK(ReasonOf(wrong(111, 112)) == Reason::kFieldInvalid);
  CHECK(ReasonOf(wrong(112, 111)) == Reason::kFieldInvalid);
  CHECK(ReasonOf(wrong(448, 476)) == Reason::kImageDimensions);
  CHECK_FALSE(wrong(UINT32_MAX, UINT32_MAX).ok());
  CHECK_FALSE(wrong(28 * 153391689U, 28).ok());
}

TEST_CASE("an image over the limit is refused before anything else is looked at") {
  v1::Frame frame = Frame();
  frame.set_encoded_image(std::string(1000, 'x'));
  CHECK(Check(frame).ok());
  frame.set_encoded_image(std::string(1001, 'x'));
  frame.set_face_id(99);
  CHECK(ReasonOf(Check(frame).status()) == Reason::kImageTooLarge);
}

TEST_CASE("all wrong fields are named at once") {
  CHECK(Wrong([](v1::Frame& f) {
          f.set_face_id(64);
          f.set_session_key("short");
          f.set_resize(v1::RESIZE_HEADS_INPUT);
          f.set_resize_width(1);
        }) == Fields{"session_key", "face_id", "resize_width"});
}

}  // namespace
}  // namespace emotion::embedding
