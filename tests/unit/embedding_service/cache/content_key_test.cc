#include "embedding_service/cache/content_key.h"

#include <set>
#include <string>

#include <catch2/catch.hpp>

namespace emotion::embedding {
namespace {

const std::string kScope(16, 's');
const std::string kImage = "image bytes";

ContentKeyParts Parts() {
  return {.cache_scope = kScope,
          .image = kImage,
          .fingerprint = {9},
          .precision = vision::Precision::kBf16,
          .preprocessing_version = 1,
          .resize_to = {112, 112},
          .apply_exif = true};
}

TEST_CASE("equal parts give equal keys") {
  CHECK(MakeContentKey(Parts()) == MakeContentKey(Parts()));
}

TEST_CASE("each part alone makes another key") {
  std::set<ContentKey> keys;
  const auto add = [&](auto change) {
    ContentKeyParts parts = Parts();
    change(parts);
    CHECK(keys.insert(MakeContentKey(parts)).second);
  };
  add([](ContentKeyParts&) {});
  add([](ContentKeyParts& p) { p.cache_scope = {}; });
  add([](ContentKeyParts& p) { p.image = "image bytez"; });
  add([](ContentKeyParts& p) { p.fingerprint[31] = 1; });
  add([](ContentKeyParts& p) { p.precision = vision::Precision::kFp16; });
  add([](ContentKeyParts& p) { p.preprocessing_version = 2; });
  add([](ContentKeyParts& p) { p.native = true; });
  add([](ContentKeyParts& p) { p.resize_to.width = 140; });
  add([](ContentKeyParts& p) { p.resize_to.height = 140; });
  add([](ContentKeyParts& p) { p.apply_exif = false; });
}

TEST_CASE("each part alone makes another lane") {
  const std::string session(16, 'a');
  const std::string other(16, 'b');
  std::set<NearLane> lanes;
  const auto add = [&](auto change) {
    NearLaneParts parts{.session = session, .fingerprint = {9}, .resize_to = {112, 112}};
    change(parts);
    const NearLane lane = MakeNearLane(parts);
    CHECK(lane.size() == 32);
    CHECK(MakeNearLane(parts) == lane);
    CHECK(lanes.insert(lane).second);
  };
  add([](NearLaneParts&) {});
  add([&](NearLaneParts& p) { p.session = other; });
  add([](NearLaneParts& p) { p.face_id = 1; });
  add([](NearLaneParts& p) { p.fingerprint[31] = 1; });
  add([](NearLaneParts& p) { p.precision = vision::Precision::kBf16; });
  add([](NearLaneParts& p) { p.preprocessing_version = 2; });
  add([](NearLaneParts& p) { p.resize_to.width = 140; });
  add([](NearLaneParts& p) { p.resize_to.height = 140; });
  add([](NearLaneParts& p) { p.apply_exif = true; });
}

TEST_CASE("bytes that move from one part to the next make another key") {
  ContentKeyParts a = Parts();
  a.cache_scope = "ab";
  a.image = "c";
  ContentKeyParts b = Parts();
  b.cache_scope = "a";
  b.image = "bc";
  CHECK(MakeContentKey(a) != MakeContentKey(b));
}

}  // namespace
}  // namespace emotion::embedding
