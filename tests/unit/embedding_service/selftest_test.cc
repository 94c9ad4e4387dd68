#include "embedding_service/selftest.h"

#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>

#include "tests/fakes/fake_encoder.h"
#include "tests/fakes/make_png.h"

namespace emotion::embedding {
namespace {

namespace fs = std::filesystem;
using testing::FakeEncoder;
using testing::FakeEncoderControl;

const vision::ImagePreparer kPreparer{vision::ImagePreparer::Settings{}};

// A model folder that is removed afterwards.
struct Folder {
  Folder() {
    std::string name = (fs::temp_directory_path() / "selftest-XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path); }
  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(path / name, std::ios::binary) << text;
  }
  // selftest.json with the fake encoder's vector of the picture, its first value times `change`.
  void WriteReference(float change) const {
    Write("selftest.png", testing::MakePng(1));
    const auto prepared = kPreparer.Prepare(
        testing::MakePng(1),
        vision::PrepareOptions{.orientation = vision::OrientationMode::kIgnoreExif});
    std::vector<float> vector = testing::FakeEmbedding(prepared->patches);
    vector[0] *= change;
    std::string values;
    for (const float value : vector) {
      if (!values.empty()) values.push_back(',');
      values.append(std::to_string(value));
    }
    Write("selftest.json",
          R"({"image":"selftest.png","width":112,"height":112,"embedding":[)" + values + "]}");
  }
  fs::path path;
};

absl::StatusOr<SelfTestReport> Run(FakeEncoderControl& control, const Folder& folder,
                                   size_t batch = 4) {
  FakeEncoder encoder(control);
  return RunSelfTest(encoder, kPreparer, {112, 112}, batch, folder.path);
}

TEST_CASE("every batch size that will occur is encoded, and measured when it is warm") {
  FakeEncoderControl control;
  const Folder folder;
  const auto report = Run(control, folder, 6);
  REQUIRE(report.ok());
  CHECK(control.batches() == std::vector<size_t>{1, 1, 2, 2, 4, 4, 6, 6});
  REQUIRE(report->measured.size() == 4);
  CHECK(report->measured.front().patches == 64);
  CHECK(report->measured.back().patches == 6 * 64);
  CHECK(report->measured.back().duration.count() > 0);
  CHECK_FALSE(report->cosine);
}

TEST_CASE("an encoder that fails or gives no numbers does not pass") {
  FakeEncoderControl control;
  const Folder folder;
  control.failures = 1;
  CHECK_FALSE(Run(control, folder).ok());
  control.scale = std::numeric_limits<float>::infinity();
  CHECK(Run(control, folder).status().code() == absl::StatusCode::kFailedPrecondition);
}

TEST_CASE("batches too large for the device's memory are left to be halved; one face must fit") {
  FakeEncoderControl control;
  const Folder folder;
  control.memory_frames = 2;
  const auto report = Run(control, folder, 8);
  REQUIRE(report.ok());
  CHECK(control.batches() == std::vector<size_t>{1, 1, 2, 2, 4});
  CHECK(report->measured.back().patches == 2 * 64);
  control.memory_frames = 0;
  CHECK(Run(control, folder).status().code() == absl::StatusCode::kResourceExhausted);
}

TEST_CASE("the stored vector must be met") {
  FakeEncoderControl control;
  const Folder folder;
  folder.WriteReference(1);
  const auto same = Run(control, folder);
  REQUIRE(same.ok());
  CHECK(*same->cosine > 0.99999);
  folder.WriteReference(-3);
  CHECK(Run(control, folder).status().code() == absl::StatusCode::kFailedPrecondition);
}

TEST_CASE("a selftest.json that is none is an error, not a pass") {
  FakeEncoderControl control;
  const Folder folder;
  folder.WriteReference(1);
  for (const char* text :
       {"", "{", "[]", "{}", R"({"image":"../x","width":1,"height":1,"embedding":[]})",
        R"({"image":"selftest.png","width":"112","height":112,"embedding":[1]})",
        R"({"image":"absent.png","width":112,"height":112,"embedding":[1]})",
        R"({"image":"selftest.png","width":112,"height":112,"embedding":[1,2,3]})",
        R"({"image":"selftest.png","width":-28,"height":112,"embedding":[1]})"}) {
    folder.Write("selftest.json", text);
    CHECK_FALSE(Run(control, folder).ok());
  }
}

}  // namespace
}  // namespace emotion::embedding
