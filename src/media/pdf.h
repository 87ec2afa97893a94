// PDF, by the programs of poppler-utils (see tool.h).
#pragma once

#include "base/result.h"
#include "media/codec.h"
#include "media/raster.h"
#include "media/source.h"

namespace msearch::media {

// Passages of the text layer, page by page; the first page as thumbnail. A page without text
// becomes a picture (kPicture with its page number, of the first kPdfPicturesMax of them with
// pixels for the model), and is listed in the attribute "pages_without_text"; "pages" is their
// number. Errors: kUnsupported (it needs a password; poppler-utils isn't installed), kCorrupt,
// kTooLarge, kCrashed.
inline constexpr uint32_t kPdfPagesMax = 5000;  // the rest isn't read: attribute "pages_read"
inline constexpr uint32_t kPdfPicturesMax = 50;
Result<Prepared> PreparePdf(const MediaSource& source, const PrepareOptions& options);

// A page as a picture, its longer side as long as wanted.
Result<View> ViewPdf(const MediaSource& source, const ViewWanted& wanted);

// A binary portable pixmap of 8 bits, as pdftoppm writes it. kCorrupt.
Result<Raster> ReadPixmap(std::string_view bytes);

}  // namespace msearch::media
