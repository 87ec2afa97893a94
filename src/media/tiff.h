// TIFF files of several pages, as scanners and fax machines write them.
#pragma once

#include "base/result.h"
#include "media/codec.h"
#include "media/source.h"

namespace msearch::media {

// Every page is a segment with its number; of one page none has a number. A page that can't be read
// is left out, unless it is the first. Smaller copies of a page (of a pyramid, a preview) are no
// pages. Attribute "pages" when there are several, "pages_read" when not all are read.
inline constexpr uint32_t kTiffPagesMax = 200;
Result<Prepared> PrepareTiff(const MediaSource& source, const PrepareOptions& options);
Result<View> ViewTiff(const MediaSource& source, const ViewWanted& wanted);

}  // namespace msearch::media
