#include "common/models/model_location.h"

#include <fstream>

#include <catch2/catch.hpp>

namespace emotion {
namespace {

namespace fs = std::filesystem;

// A folder with an executable in build/release/bin and, where wanted, the parts beside it.
class Checkout {
 public:
  Checkout() : root_(fs::temp_directory_path() / fs::path("emotion-models-XXXXXX")) {
    std::string name = root_.string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    root_ = fs::canonical(name);
    fs::create_directories(root_ / "build/release/bin");
  }
  ~Checkout() { fs::remove_all(root_); }

  fs::path program() const { return root_ / "build/release/bin/emotion"; }
  fs::path Folder(const std::string& name) const {
    fs::create_directories(root_ / name);
    return root_ / name;
  }

 private:
  fs::path root_;
};

}  // namespace

TEST_CASE("without MODELS_DIR the demo model beside the program is used, and says so") {
  Checkout checkout;
  const fs::path demo = checkout.Folder("models/demo");
  const auto location = LocateModels("", DemoMode::kAuto, checkout.program());
  REQUIRE(location.ok());
  CHECK(location->demo);
  CHECK(location->encoder() == demo / "encoder");
}

TEST_CASE("a demo that is refused, or not there, ends the start with what to do") {
  Checkout checkout;
  const auto refused = LocateModels("", DemoMode::kNever, checkout.program());
  CHECK(refused.status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK(std::string(refused.status().message()).find("set MODELS_DIR") != std::string::npos);
  const auto missing = LocateModels("", DemoMode::kAuto, checkout.program());
  CHECK(missing.status().code() == absl::StatusCode::kNotFound);
}

TEST_CASE("MODELS_DIR wins over the demo, and current/ over its parent") {
  Checkout checkout;
  checkout.Folder("models/demo");
  const fs::path mine = checkout.Folder("mine");
  auto location = LocateModels(mine, DemoMode::kAuto, checkout.program());
  REQUIRE(location.ok());
  CHECK_FALSE(location->demo);
  CHECK(location->classifiers() == mine / "classifiers");

  const fs::path current = checkout.Folder("mine/current");
  location = LocateModels(mine, DemoMode::kAuto, checkout.program());
  REQUIRE(location.ok());
  CHECK(location->root == current);
}

TEST_CASE("DEMO=never refuses a demo wherever it lies") {
  Checkout checkout;
  const auto location = LocateModels(checkout.Folder("mine"), DemoMode::kNever, checkout.program());
  REQUIRE(location.ok());
  CHECK(CheckDemo(*location, false, "the encoder").ok());
  CHECK(CheckDemo(*location, true, "the encoder").code() == absl::StatusCode::kFailedPrecondition);
  CHECK(CheckDemo({.root = "/x", .demo = true}, true, "the encoder").ok());
}

TEST_CASE("a missing model file is named with what to do") {
  Checkout checkout;
  const fs::path file = checkout.Folder("mine") / "config.json";
  const absl::Status missing = RequireModelFile(file, "the encoder");
  CHECK(missing.code() == absl::StatusCode::kNotFound);
  CHECK(std::string(missing.message()).find(file.string()) != std::string::npos);
  CHECK(std::string(missing.message()).find("MODELS_DIR/encoder") != std::string::npos);
  std::ofstream(file) << "{}";
  CHECK(RequireModelFile(file, "the encoder").ok());
}

}  // namespace emotion
