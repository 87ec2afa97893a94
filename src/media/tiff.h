// TIFF files of several pages, as scanners and fax machines write them.
#pragma once

#include "base/result.h"
#include "media/codec.h"
#include "media/source.h"

namespace msearch::media {

// Smaller copies of a page (of a pyramid, a preview) are no pages.
Result<Prepared> PrepareTiff(const MediaSource& source, const PrepareOptions& options);
Result<View> ViewTiff(const MediaSource& source, const ViewWanted& wanted);

}  // namespace msearch::media
