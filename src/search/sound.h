// Searching by a sound: the same recording again, by its fingerprint, and sounds alike, by their
// numbers.
#pragma once

#include <functional>

#include "search/candidates.h"
#include "search/search.h"

namespace msearch::search {

// What the library itself says of a sound of its own: the query for "more like this". Empty for a
// media without sound.
Result<SoundQuery> SoundOf(const catalog::Catalog& catalog, const Sounds& sounds,
                           catalog::MediaId media);

// `allowed` is null when every segment is.
Result<> AddSound(const catalog::Catalog& catalog, const Sounds& sounds, const SoundQuery& query,
                  const std::function<bool(catalog::SegmentId)>& allowed, size_t depth,
                  Candidates* candidates);

}  // namespace msearch::search
