#include "common/sync/usable_cores.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <catch2/catch.hpp>
#include <unistd.h>

namespace emotion {
namespace {

// A folder that looks like mounted control groups.
class Groups {
 public:
  Groups() : root_(std::filesystem::temp_directory_path() / ("groups-" + Unique())) {
    std::filesystem::create_directories(root_);
  }
  ~Groups() { std::filesystem::remove_all(root_); }

  void Write(const std::string& file, const std::string& text) const {
    const auto path = root_ / file;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  const std::filesystem::path& root() const { return root_; }

 private:
  static std::string Unique() {
    static int number = 0;
    return std::to_string(getpid()) + "-" + std::to_string(number++);
  }
  const std::filesystem::path root_;
};

}  // namespace

TEST_CASE("the CPU quota is the least of a control group's and those above it") {
  const Groups groups;
  CHECK(CpuQuota("0::/pod/box\n", groups.root()) == 0);
  groups.Write("pod/box/cpu.max", "max 100000\n");
  CHECK(CpuQuota("0::/pod/box\n", groups.root()) == 0);
  groups.Write("pod/cpu.max", "150000 100000\n");
  CHECK(CpuQuota("0::/pod/box\n", groups.root()) == 1.5);
  groups.Write("pod/box/cpu.max", "400000 100000\n");
  CHECK(CpuQuota("0::/pod/box\n", groups.root()) == 1.5);
  groups.Write("pod/box/cpu.max", "50000 100000\n");
  CHECK(CpuQuota("0::/pod/box\n", groups.root()) == 0.5);
  CHECK(CpuQuota("0::/pod\n", groups.root()) == 1.5);
  groups.Write("cpu.max", "25000 100000\n");  // as a container sees its own
  CHECK(CpuQuota("0::/\n", groups.root()) == 0.25);
}

TEST_CASE("the CPU quota of the first version is found under its cpu controller") {
  const Groups groups;
  groups.Write("cpu/docker/box/cpu.cfs_quota_us", "300000\n");
  groups.Write("cpu/docker/box/cpu.cfs_period_us", "100000\n");
  groups.Write("cpu/docker/cpu.cfs_quota_us", "-1\n");
  groups.Write("cpu/docker/cpu.cfs_period_us", "100000\n");
  const std::string said = "12:memory:/docker/box\n4:cpu,cpuacct:/docker/box\n0::/elsewhere\n";
  CHECK(CpuQuota(said, groups.root()) == 3);
}

TEST_CASE("what does not look like control groups means no quota") {
  const Groups groups;
  groups.Write("pod/cpu.max", "many 100000\n");
  for (const char* said : {"", "\n", "0", "0::", "0::pod\n", "::/pod\n", "0::/../../etc\n"}) {
    INFO(said);
    CHECK(CpuQuota(said, groups.root()) == 0);
  }
}

TEST_CASE("this process may use at least one core") { CHECK(UsableCores() >= 1); }

}  // namespace emotion
