// The pure rules of the classifier service.
#include <cmath>
#include <limits>

#include <catch2/catch.hpp>

#include "classifier_service/batch_call.h"
#include "classifier_service/model_binding.h"
#include "classifier_service/prediction.h"
#include "classifier_service/predictor.h"
#include "common/error/error.h"
#include "common/numeric/half.h"
#include "common/observe/trace.h"
#include "common/rpc/frame_call.h"
#include "tests/fakes/small_heads.h"

namespace emotion::classifier {
namespace {

using Verdict = ModelBinding::Verdict;
using std::chrono::milliseconds;

constexpr uint32_t kDim = 8;

Digest Print(char letter) {
  Digest digest;
  digest.fill(static_cast<uint8_t>(letter));
  return digest;
}

v1::Embedding Vector(const std::vector<float>& values) {
  v1::Embedding embedding;
  embedding.set_dim(static_cast<uint32_t>(values.size()));
  embedding.set_dtype(v1::D_TYPE_F16);
  embedding.set_data(EncodeHalf(values));
  return embedding;
}

v1::Frame FaceFrame(const std::string& session, uint32_t face) {
  v1::Frame frame;
  frame.set_session_key(session);
  frame.set_face_id(face);
  return frame;
}

}  // namespace

TEST_CASE("heads that state an encoder accept that one and no other, ever") {
  ModelBinding binding(Print('a'), kDim, Print('h'));
  CHECK(binding.Judge(Print('a'), kDim, false) == Verdict::kAccepted);
  CHECK(binding.Judge(Print('b'), kDim, true) == Verdict::kMismatch);
  CHECK(binding.Judge(Print('a'), kDim + 1, true) == Verdict::kMismatch);
  CHECK(binding.bound() == Print('a'));
}

TEST_CASE("heads that state none take the encoder met first and move only when it is gone") {
  ModelBinding binding(std::nullopt, kDim, Print('h'));
  CHECK_FALSE(binding.bound());
  CHECK(binding.model().empty());
  CHECK(binding.Judge(Print('x'), kDim + 1, true) == Verdict::kMismatch);  // of another dim
  CHECK(binding.Judge(Print('a'), kDim, true) == Verdict::kAccepted);
  const std::string first = binding.model();
  CHECK(binding.Judge(Print('b'), kDim, false) == Verdict::kMismatch);
  CHECK(binding.model() == first);
  CHECK(binding.Judge(Print('b'), kDim, true) == Verdict::kMoved);
  CHECK(binding.model() != first);
  CHECK(binding.bound() == Print('b'));
}

TEST_CASE("the model's name changes with the encoder and with the heads") {
  const auto name = [](char encoder, char heads) {
    return ModelBinding(Print(encoder), kDim, Print(heads)).model();
  };
  CHECK(name('a', 'h').size() == 12);
  CHECK(name('a', 'h') == name('a', 'h'));
  CHECK(name('a', 'h') != name('b', 'h'));
  CHECK(name('a', 'h') != name('a', 'i'));
}

TEST_CASE("an embedding of wrong size, wrong bytes or wild values is refused by name") {
  CHECK(EmbeddingValues(Vector({1, 2, 3}), 3).value() == std::vector<float>{1, 2, 3});
  CHECK(ViolationsOf(EmbeddingValues(Vector({1, 2}), 3).status())[0].field == "embedding.dim");

  v1::Embedding torn = Vector({1, 2, 3});
  torn.mutable_data()->pop_back();
  CHECK(ViolationsOf(EmbeddingValues(torn, 3).status())[0].field == "embedding.data");

  v1::Embedding floats = Vector({1, 2, 3});
  floats.set_dtype(v1::D_TYPE_F32);  // its bytes are halves
  CHECK_FALSE(EmbeddingValues(floats, 3).ok());

  const float infinity = std::numeric_limits<float>::infinity();
  CHECK_FALSE(EmbeddingValues(Vector({1, infinity, 3}), 3).ok());
  CHECK_FALSE(EmbeddingValues(Vector({1, std::nanf(""), 3}), 3).ok());
}

TEST_CASE("four predictions come in the order of the protocol's states") {
  testing::SmallHeads heads(kDim);
  const auto bank = heads::HeadBank::Load(heads.classifiers());
  REQUIRE(bank.ok());
  const auto predictions =
      StateMessages((*bank)->Classify(std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8}));
  REQUIRE(predictions.size() == kStateCount);
  for (size_t i = 0; i < predictions.size(); ++i) {
    CHECK(predictions[i].state() == static_cast<v1::AffectiveState>(i + 1));
    REQUIRE(predictions[i].probabilities_size() == kLevelCount);
    const float sum = predictions[i].probabilities(0) + predictions[i].probabilities(1) +
                      predictions[i].probabilities(2) + predictions[i].probabilities(3);
    CHECK(sum == Approx(1));
    CHECK(predictions[i].confidence() ==
          predictions[i].probabilities(static_cast<int>(predictions[i].level())));
  }
}

TEST_CASE("what a direct caller left open is filled in, what it said stays") {
  heads::HeadInfo head;
  head.input_width = 140;
  head.input_height = 168;
  const auto now = std::chrono::system_clock::time_point(milliseconds(1234));

  v1::Frame open;
  CompleteFrame(open, head, milliseconds(10000), now);
  CHECK(open.resize() == v1::RESIZE_HEADS_INPUT);
  CHECK(open.resize_width() == 140);
  CHECK(open.resize_height() == 168);
  CHECK(open.orientation() == v1::ORIENTATION_APPLY_EXIF);
  CHECK(open.detect() == v1::DETECT_OFF);
  CHECK(open.timeout_ms() == 10000);
  CHECK(open.accepted_at_us() == 1234000);
  CHECK(ValidRequestId(open.request_id()));

  v1::Frame said;
  said.set_resize(v1::RESIZE_NATIVE);
  said.set_orientation(v1::ORIENTATION_IGNORE_EXIF);
  said.set_detect(v1::DETECT_CROP);
  said.set_timeout_ms(77);
  said.set_accepted_at_us(5);
  said.set_request_id("mine");
  CompleteFrame(said, head, milliseconds(10000), now);
  CHECK(said.resize() == v1::RESIZE_NATIVE);
  CHECK(said.orientation() == v1::ORIENTATION_IGNORE_EXIF);
  CHECK(said.detect() == v1::DETECT_CROP);
  CHECK(said.timeout_ms() == 77);
  CHECK(said.accepted_at_us() == 5);
  CHECK(said.request_id() == "mine");
}

TEST_CASE("a picture is usable unless a warning says that there is no face to read in it") {
  const auto usable = [](std::vector<int> warnings) {
    return QualityUsable({warnings.begin(), warnings.end()});
  };
  CHECK(usable({}));
  CHECK(usable({v1::QUALITY_WARNING_NOT_SQUARE, v1::QUALITY_WARNING_MULTIPLE_FACES}));
  for (int severe :
       {v1::QUALITY_WARNING_TOO_DARK, v1::QUALITY_WARNING_TOO_BRIGHT, v1::QUALITY_WARNING_BLURRED,
        v1::QUALITY_WARNING_TOO_SMALL, v1::QUALITY_WARNING_NO_FACE}) {
    CHECK_FALSE(usable({v1::QUALITY_WARNING_NOT_SQUARE, severe}));
  }
}

TEST_CASE("a batch has 1 to its limit of frames, and ids that do not repeat") {
  v1::PredictBatchRequest batch;
  CHECK(ViolationsOf(CheckBatch(batch, 2))[0].field == "frames");
  batch.add_frames()->set_frame_id(1);
  batch.add_frames()->set_frame_id(2);
  CHECK(CheckBatch(batch, 2).ok());
  CHECK_FALSE(CheckBatch(batch, 1).ok());
  batch.mutable_frames(1)->set_frame_id(1);
  CHECK(ViolationsOf(CheckBatch(batch, 2))[0].field == "frames[1].frame_id");
  batch.mutable_frames(0)->set_frame_id(0);
  batch.mutable_frames(1)->set_frame_id(0);
  CHECK(CheckBatch(batch, 2).ok());
}

TEST_CASE("a face that repeats in a batch is never its own near duplicate") {
  std::vector<v1::Frame> frames = {FaceFrame("s", 0), FaceFrame("s", 0), FaceFrame("s", 1),
                                   FaceFrame("t", 0), FaceFrame("s", 0), FaceFrame("s", 2)};
  frames[1].set_cache_mode(v1::CACHE_MODE_NO_STORE);
  frames[4].set_cache_mode(v1::CACHE_MODE_BYPASS);
  frames[5].set_cache_mode(v1::CACHE_MODE_BYPASS);
  RestrictCaching(frames);
  CHECK(frames[0].cache_mode() == v1::CACHE_MODE_EXACT_ONLY);
  CHECK(frames[1].cache_mode() == v1::CACHE_MODE_NO_STORE);
  CHECK(frames[2].cache_mode() == v1::CACHE_MODE_UNSPECIFIED);
  CHECK(frames[3].cache_mode() == v1::CACHE_MODE_UNSPECIFIED);
  CHECK(frames[4].cache_mode() == v1::CACHE_MODE_BYPASS_EXACT_ONLY);
  CHECK(frames[5].cache_mode() == v1::CACHE_MODE_BYPASS);
}

TEST_CASE("the time left is the smaller of the call's deadline and the frame's own") {
  const auto never = std::chrono::system_clock::time_point::max();
  const auto in = [](milliseconds left) { return std::chrono::system_clock::now() + left; };
  CHECK(TimeLeftMs(0, never) == 0);
  CHECK(TimeLeftMs(500, never) == 500);
  CHECK(TimeLeftMs(500, in(milliseconds(60000))) == 500);
  CHECK(TimeLeftMs(0, in(milliseconds(60000))) > 50000);
  CHECK(TimeLeftMs(60000, in(milliseconds(1000))) <= 1000);
  CHECK(TimeLeftMs(500, in(milliseconds(-5))) == 1);
}

}  // namespace emotion::classifier
