#include "catalog/catalog.h"

namespace msearch::catalog {

std::string_view FileStateName(FileState state) {
  switch (state) {
    case FileState::kPending:
      return "pending";
    case FileState::kIndexed:
      return "indexed";
    case FileState::kFailed:
      return "failed";
  }
  return "pending";
}

bool Filters::empty() const {
  return roots.empty() && types.empty() && path_prefix.empty() && !date_from && !date_to &&
         !size_min && !size_max;
}

}  // namespace msearch::catalog
