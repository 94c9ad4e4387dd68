#include "bench/load/process_usage.h"

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include <fmt/format.h>
#include <unistd.h>

namespace emotion::bench {

std::optional<ProcessUsage> UsageOf(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid == 0 ? getpid() : pid));
  const std::string line{std::istreambuf_iterator<char>(file), {}};
  const size_t name_end = line.rfind(')');  // the name may hold anything
  if (name_end == std::string::npos) return std::nullopt;
  // From the third field on: 14 and 15 are the times in ticks, 24 the resident pages.
  std::istringstream fields(line.substr(name_end + 1));
  std::string field;
  int64_t ticks = 0;
  int64_t pages = 0;
  for (int number = 3; number <= 24 && fields >> field; ++number) {
    if (number == 14 || number == 15) ticks += std::stoll(field);
    if (number == 24) pages = std::stoll(field);
  }
  return ProcessUsage{.cpu = std::chrono::duration<double>(
                          static_cast<double>(ticks) / static_cast<double>(sysconf(_SC_CLK_TCK))),
                      .resident_bytes = static_cast<uint64_t>(pages) *
                                        static_cast<uint64_t>(sysconf(_SC_PAGESIZE))};
}

}  // namespace emotion::bench
