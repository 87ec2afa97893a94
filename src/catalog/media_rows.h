// Media, segments, embeddings and their words as rows, kept consistent with each other. Everything
// here runs within the caller's transaction. Invariants, whenever a transaction ends:
// - a media is visible (orphaned_at is null) exactly when some file has it;
// - the segments of visible media, and no others, have a row in `words`;
// - `changes` holds an addition for every embedding of visible media, and for no other.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "catalog/catalog.h"
#include "storage/sqlite.h"

namespace msearch::catalog {

Result<std::optional<MediaId>> FindMediaByHash(storage::Sqlite& db, const Digest& hash);
// Empty strings: any.
Result<bool> IsComplete(storage::Sqlite& db, MediaId media, const std::string& preparation,
                        const std::string& model_key);

// kInvalid for content that can't be stored.
Result<> CheckContent(const MediaContent& content);
// A row without segments, not yet linked to a file; SaveContent follows.
Result<MediaId> AddMedia(storage::Sqlite& db, const Digest& hash);
// Replaces what is known of the media. When the media had this same content before (another
// preparation or model), segments keep their ids by index, and vectors of other models stay;
// otherwise everything old goes. The words are written by LinkFile.
Result<> SaveContent(storage::Sqlite& db, MediaId media, const MediaContent& content,
                     const std::string& model_key);

// The segments that a reader found replace those that it found before; words and change log follow.
Result<> SaveReading(storage::Sqlite& db, MediaId media, const Reading& reading);
// Vectors of one segment. False when it's gone.
Result<bool> SaveSegmentViews(storage::Sqlite& db, SegmentId segment, const std::string& model_key,
                              const Views& views);
// See Catalog::Revision.
Result<> RaiseRevision(storage::Sqlite& db);

std::string BoxesToText(const std::vector<TextBox>& boxes);
std::vector<TextBox> BoxesFromText(std::string_view text);

// The file has this media's content; it becomes visible. `content_changed` after SaveContent.
Result<> LinkFile(storage::Sqlite& db, FileId file, MediaId media, bool content_changed);
// After a file let go of the media: without any file left it becomes an orphan.
Result<> ReleaseMedia(storage::Sqlite& db, MediaId media, UnixMs now);
// After one of its files was renamed.
Result<> RefreshNames(storage::Sqlite& db, MediaId media);
// With segments and embeddings. REQUIRES: no file has it.
Result<> DeleteMedia(storage::Sqlite& db, MediaId media);

}  // namespace msearch::catalog
