// What the subcommands of this folder share. Private to it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "daemon/settings.h"

namespace msearch::daemon {

inline constexpr int kUsage = 2;  // exit status for wrong arguments

// Arguments split into words, flags of the settings' table, and the few others.
struct Parsed {
  std::vector<std::string> words;
  Settings::Source source;
  std::map<std::string, std::string> others;  // "--json", "--help", ...
};

// `switches`: flags without a value, besides those that all have.
Result<Parsed> Parse(const std::vector<std::string>& arguments,
                     const std::vector<std::string>& switches);
// The settings, if a server may run with them.
Result<Settings> LoadChecked(const Settings::Source& source);

// Says what is wrong, and gives the exit status.
int Complain(const Error& error, int status = 1);
void PrintFlags();

}  // namespace msearch::daemon
