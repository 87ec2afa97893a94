#include "roles.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/strings.h"

namespace msearch::bench {
namespace {

// Of /proc/PID/stat (proc(5)).
struct Stat {
  pid_t parent = 0;
  double own_seconds = 0;
  double ended_children_seconds = 0;
};

std::map<pid_t, Stat> AllProcesses() {
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  std::map<pid_t, Stat> all;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const pid_t pid = std::atoi(entry.path().filename().c_str());
    if (pid <= 0) continue;
    const std::string text = ReadFile(entry.path().string() + "/stat", 1 << 16).value_or("");
    // The name before it may hold anything, parentheses and spaces included.
    const size_t name_end = text.rfind(')');
    if (name_end == std::string::npos) continue;
    std::istringstream fields(text.substr(name_end + 1));
    Stat stat;
    std::string skipped;
    fields >> skipped >> stat.parent;
    for (int i = 0; i < 9; ++i) fields >> skipped;
    double user = 0, system = 0, children_user = 0, children_system = 0;
    fields >> user >> system >> children_user >> children_system;
    stat.own_seconds = (user + system) / ticks;
    stat.ended_children_seconds = (children_user + children_system) / ticks;
    all[pid] = stat;
  }
  return all;
}

bool IsUnder(pid_t pid, pid_t ancestor, const std::map<pid_t, Stat>& all) {
  while (pid != ancestor) {
    const auto found = all.find(pid);
    if (found == all.end()) return false;
    pid = found->second.parent;
  }
  return true;
}

std::string RoleOf(pid_t pid) {
  const std::string line =
      ReadFile("/proc/" + std::to_string(pid) + "/cmdline", 1 << 20).value_or("");
  const std::vector<std::string_view> words = Split(line, '\0');
  if (words.size() >= 3 && words[1] == "role") return std::string(words[2]);
  return "supervisor";
}

uint64_t MemoryOf(pid_t pid) {
  const std::string text =
      ReadFile("/proc/" + std::to_string(pid) + "/smaps_rollup", 1 << 16).value_or("");
  const size_t at = text.find("\nPss:");
  return at == std::string::npos ? 0 : std::strtoull(text.c_str() + at + 5, nullptr, 10) * 1024;
}

}  // namespace

std::map<std::string, RoleUse> RolesUnder(pid_t supervisor, bool with_memory) {
  const std::map<pid_t, Stat> all = AllProcesses();
  std::map<std::string, RoleUse> roles;
  for (const auto& [pid, stat] : all) {
    if (!IsUnder(pid, supervisor, all)) continue;
    const std::string name = RoleOf(pid);
    RoleUse& use = roles[name];
    ++use.processes;
    use.processor_seconds += stat.own_seconds;
    if (with_memory) use.memory_bytes += MemoryOf(pid);
    if (stat.ended_children_seconds > 0) {
      roles["ended children of " + name].processor_seconds += stat.ended_children_seconds;
    }
  }
  return roles;
}

}  // namespace msearch::bench
