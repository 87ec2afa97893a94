// What parent and codec child say to each other, in frames of base/child.h. A request carries the
// file's descriptor and says in "ask" what is wanted:
//
//   prepare   the answer's head is Prepared::Head(), its parts the thumbnail, the film strip, the
//             sound print and then the pixels
//   view      head {width, height}, one part of RGB
//   samples   one part of float32
//   clip      any number of frames {mime, start, end}, one part each, the file's next piece; then
//             one without a part, or an error
//   formats   no file; head {formats: [names]}, see format.h. A child's only request: it opens
//             libraries before there is a file, and isn't caged
#pragma once

#include <variant>

#include "base/child.h"
#include "media/codec.h"

namespace msearch::media {

using Wanted = std::variant<PrepareOptions, ViewWanted, SamplesWanted, ClipWanted>;

struct CodecRequest {
  std::string name;
  Wanted wanted;
  bool by_tool = false;  // Decoder::by_tool: which of its cages the child is to be in
};

Json FormatsRequest();
Json ToJson(const CodecRequest& request);
// kInvalid when something is missing.
Result<CodecRequest> RequestFromJson(const Json& json);

Frame ToFrame(Prepared prepared);
Frame ToFrame(View view);
Frame ToFrame(const std::vector<float>& samples);
Frame ToFrame(const Clip& clip, std::string piece);  // the last: without a piece
// The child may have been taken over by the file that it read, so nothing in its answer is
// believed: kCrashed for one that doesn't fit the request.
Result<Prepared> PreparedFromFrame(Frame frame, const PrepareOptions& options);
Result<View> ViewFromFrame(Frame frame, const ViewWanted& wanted);
Result<Clip> ClipFromFrame(const Frame& frame, const ClipWanted& wanted);
Result<std::vector<float>> SamplesFromFrame(const Frame& frame, const SamplesWanted& wanted);

}  // namespace msearch::media
