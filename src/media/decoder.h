// The one table of what this program recognises by content and what reads it. New media are new
// rows.
#pragma once

#include <string_view>

#include "base/result.h"
#include "media/codec.h"
#include "media/source.h"

namespace msearch::media {

using PrepareFunction = Result<Prepared> (*)(const MediaSource&, const PrepareOptions&);
using ViewFunction = Result<View> (*)(const MediaSource&, const ViewWanted&);
using ClipFunction = Result<Clip> (*)(const MediaSource&, const ClipWanted&, const TakeClip&);
using SamplesFunction = Result<std::vector<float>> (*)(const MediaSource&, const SamplesWanted&);

struct Decoder {
  std::string_view mime;
  MediaType type;
  bool (*matches)(std::string_view head);
  PrepareFunction prepare;      // null: recognised, so that messages can name it, but not read
  ViewFunction view = nullptr;  // null: has none
  SamplesFunction samples = nullptr;  // null: has none
  ClipFunction clip = nullptr;        // null: can't be cut
  bool by_tool = false;               // read by a packaged program: see sandbox.h
};

// The row whose content `head` begins, at most MediaSource::kHeadBytes of a file. What has no
// tell-tale bytes is text if `name` ends like a text file or names nothing known. Null: unknown.
const Decoder* FindDecoder(std::string_view head, std::string_view name);

// FindDecoder and what it names. Errors as the functions of Codec, without the file's name.
Result<Prepared> PrepareMedia(const MediaSource& source, const PrepareOptions& options);
Result<View> ViewMedia(const MediaSource& source, const ViewWanted& wanted);
Result<Clip> CutMedia(const MediaSource& source, const ClipWanted& wanted, const TakeClip& take);
Result<std::vector<float>> SampleMedia(const MediaSource& source, const SamplesWanted& wanted);

}  // namespace msearch::media
