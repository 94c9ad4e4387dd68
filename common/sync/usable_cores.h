// How many cores this process may keep busy.
#pragma once

#include <filesystem>
#include <string_view>

namespace emotion {

// The cores of its affinity mask, but no more than the CPU quota of its control groups (rounded to
// the nearest whole, since threads beyond the quota are stopped in the middle of their work); at
// least 1.
int UsableCores();

// The quota of a control group and all above it, in cores; 0: none. `groups` is what
// /proc/self/cgroup says, `root` where control groups are mounted (/sys/fs/cgroup). Knows version
// 2, and version 1 with its `cpu` controller.
double CpuQuota(std::string_view groups, const std::filesystem::path& root);

}  // namespace emotion
