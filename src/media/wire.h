// What parent and codec child say to each other, in frames of base/child.h. A request carries the
// file's descriptor; the answer's head is Prepared::Head(), its parts the thumbnail and then the
// pixels.
#pragma once

#include "base/child.h"
#include "media/codec.h"

namespace msearch::media {

struct PrepareRequest {
  std::string name;
  PrepareOptions options;
};

Json ToJson(const PrepareRequest& request);
// kInvalid when something is missing.
Result<PrepareRequest> RequestFromJson(const Json& json);

Frame ToFrame(Prepared prepared);
// The child may have been taken over by the file that it read, so nothing in its answer is
// believed: kCrashed for one that doesn't fit the request.
Result<Prepared> PreparedFromFrame(Frame frame, const PrepareOptions& options);

}  // namespace msearch::media
