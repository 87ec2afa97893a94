#include "targets.h"

namespace msearch::fuzz {

std::vector<Target> Targets() {
  std::vector<Target> all;
  for (const auto& some : {MediaTargets(), TextTargets(), NetTargets(), ModelTargets(),
                           PayloadTargets(), QueueTargets()}) {
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

}  // namespace msearch::fuzz
