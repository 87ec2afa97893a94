// The one table of what this program recognises by content and what reads it. New media are new
// rows.
#pragma once

#include <string_view>

#include "base/result.h"
#include "media/codec.h"
#include "media/source.h"

namespace msearch::media {

using PrepareFunction = Result<Prepared> (*)(const MediaSource&, const PrepareOptions&);

struct Decoder {
  std::string_view mime;
  MediaType type;
  bool (*matches)(std::string_view head);
  PrepareFunction prepare;  // null: recognised, so that messages can name it, but not read
};

// The row whose content `head` begins, at most MediaSource::kHeadBytes of a file. What has no
// tell-tale bytes is text if `name` ends like a text file or names nothing known. Null: unknown.
const Decoder* FindDecoder(std::string_view head, std::string_view name);

// FindDecoder and what it names. Errors as Codec::Prepare, without the file's name.
Result<Prepared> PrepareMedia(const MediaSource& source, const PrepareOptions& options);

}  // namespace msearch::media
