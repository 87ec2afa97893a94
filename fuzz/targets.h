// What reads bytes that nobody vouches for, each as a function that may do anything with them but
// crash, hang or grow without bound.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace msearch::fuzz {

struct Target {
  std::string_view name;
  void (*run)(std::string_view bytes);
  std::vector<std::string> (*seeds)();  // inputs to begin with, at least one
};

// All of them, from the files beside this one.
std::vector<Target> Targets();

std::vector<Target> MediaTargets();
std::vector<Target> TextTargets();
std::vector<Target> NetTargets();
std::vector<Target> ModelTargets();
std::vector<Target> PayloadTargets();
std::vector<Target> QueueTargets();

}  // namespace msearch::fuzz
