#include "common/sync/usable_cores.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string>

#include <sched.h>

namespace emotion {
namespace {

namespace fs = std::filesystem;

// "max 100000" or "150000 100000": microseconds of CPU in each period.
double QuotaOfVersion2(const fs::path& group) {
  std::ifstream file(group / "cpu.max");
  double quota = 0;
  double period = 0;
  return file >> quota >> period && quota > 0 && period > 0 ? quota / period : 0;
}

double QuotaOfVersion1(const fs::path& group) {
  double quota = 0;  // -1: none
  double period = 0;
  std::ifstream(group / "cpu.cfs_quota_us") >> quota;
  std::ifstream(group / "cpu.cfs_period_us") >> period;
  return quota > 0 && period > 0 ? quota / period : 0;
}

// The least of the group's own and those above it.
template <class QuotaOf>
double LeastQuota(const fs::path& root, fs::path group, const QuotaOf& quota_of) {
  double least = 0;
  for (;; group = group.parent_path()) {
    const double quota = quota_of(root / group.relative_path());
    if (quota > 0) least = least > 0 ? std::min(least, quota) : quota;
    if (group == group.parent_path()) return least;
  }
}

bool HasController(std::string_view list, std::string_view wanted) {
  std::stringstream names{std::string(list)};
  for (std::string name; std::getline(names, name, ',');) {
    if (name == wanted) return true;
  }
  return false;
}

std::string ReadAll(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

int CoresOfAffinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

}  // namespace

double CpuQuota(std::string_view groups, const fs::path& root) {
  std::stringstream lines{std::string(groups)};
  double least = 0;
  for (std::string line; std::getline(lines, line);) {  // number:controllers:path
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const fs::path group = line.substr(second + 1);
    if (!group.has_root_directory()) continue;
    double quota = 0;
    if (controllers.empty()) quota = LeastQuota(root, group, QuotaOfVersion2);
    if (HasController(controllers, "cpu")) quota = LeastQuota(root / "cpu", group, QuotaOfVersion1);
    if (quota > 0) least = least > 0 ? std::min(least, quota) : quota;
  }
  return least;
}

int UsableCores() {
  const int cores = CoresOfAffinity();
  const double quota = CpuQuota(ReadAll("/proc/self/cgroup"), "/sys/fs/cgroup");
  if (quota <= 0) return cores;
  return std::clamp(static_cast<int>(std::lround(std::min(quota, 1e6))), 1, cores);
}

}  // namespace emotion
