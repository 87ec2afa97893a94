#include "catalog/media_rows.h"
#include "catalog/sqlite_catalog.h"

// What readers have read, and what they haven't. A reading belongs to a content: its row goes with
// the media, or when the media gets another content.

namespace msearch::catalog {
namespace {

using storage::Sqlite;
using storage::Statement;

Result<int64_t> ReaderId(Sqlite& db, const std::string& name) {
  if (auto id = TRY(db.QueryInt("SELECT id FROM readers WHERE name=?", name))) return *id;
  TRY(db.Run("INSERT INTO readers(name) VALUES(?)", name));
  return db.last_insert_id();
}

Result<std::vector<Segment>> ShotsOf(Sqlite& db, MediaId media) {
  std::vector<Segment> shots;
  Statement rows =
      TRY(db.Prepare("SELECT idx,start_time,end_time FROM segments WHERE media_id=? AND "
                     "kind='shot' ORDER BY idx"));
  rows.With(media);
  while (TRY(rows.Step())) {
    Segment& shot = shots.emplace_back();
    shot.kind = "shot";
    shot.index = static_cast<uint32_t>(rows.Int(0));
    shot.start_time = rows.OptionalDouble(1);
    shot.end_time = rows.OptionalDouble(2);
  }
  return shots;
}

Result<Unread> ReadUnread(Sqlite& db, const Statement& row) {
  Unread unread;
  unread.media = row.Int(0);
  unread.hash = TRY(Digest::FromBytes(row.Blob(1)));
  unread.type = row.String(2);
  unread.mime = row.String(3);
  unread.duration = row.OptionalDouble(4);
  unread.attributes = TRY(ParseJson(row.Text(5)));
  unread.root = row.String(6);
  unread.root_path = row.String(7);
  unread.file.path = row.String(8);
  unread.file.size = static_cast<uint64_t>(row.Int(9));
  unread.file.modified_ns = row.Int(10);
  if (unread.type == "video") unread.shots = TRY(ShotsOf(db, unread.media));
  return unread;
}

}  // namespace

Result<std::vector<Unread>> SqliteCatalog::UnreadMedia(const ReaderSpec& reader, MediaId after,
                                                       size_t limit) const {
  return Read([&](Sqlite& db) -> Result<std::vector<Unread>> {
    std::vector<Unread> found;
    // One of the files that have this content now; those of paused roots aren't touched.
    Statement rows = TRY(db.Prepare(
        "SELECT m.id,m.hash,m.type,m.mime,m.duration,m.attributes,r.name,r.path,f.path,f.size,"
        "f.modified_ns FROM media m "
        "CROSS JOIN files f ON f.id=(SELECT c.id FROM files c JOIN roots d ON d.id=c.root_id "
        "WHERE c.media_id=m.id AND c.media_version=c.version AND d.paused=0 AND d.removing=0 "
        "ORDER BY c.id LIMIT 1) JOIN roots r ON r.id=f.root_id "
        "WHERE m.id>?1 AND m.orphaned_at IS NULL AND m.type IN (SELECT value FROM json_each(?2)) "
        "AND NOT EXISTS(SELECT 1 FROM readings g JOIN readers k ON k.id=g.reader_id "
        "WHERE g.media_id=m.id AND k.name=?3 AND g.key=?4) ORDER BY m.id LIMIT ?5"));
    rows.With(after, DumpJson(Json(reader.types)), reader.name, reader.key,
              static_cast<int64_t>(limit));
    while (TRY(rows.Step())) found.push_back(TRY(ReadUnread(db, rows)));
    return found;
  });
}

Result<> SqliteCatalog::ApplyReading(const Reading& reading) {
  MediaContent content;
  content.segments = reading.segments;
  TRY(CheckContent(content));
  Result<> refused = Ok{};
  TRY(Write(Durability::kNormal, [&](Sqlite& db) -> Result<> {
    const auto media = TRY(FindMediaByHash(db, reading.hash));
    if (!media) {
      refused = Error{Code::kNotFound, reading.reader + ": the content is gone"};
      return Ok{};
    }
    const int64_t reader = TRY(ReaderId(db, reading.reader));
    {
      Statement row = TRY(db.Prepare(
          "SELECT token_epoch,token_counter FROM readings WHERE media_id=? AND reader_id=?"));
      row.With(*media, reader);
      if (TRY(row.Step()) && reading.token < Token{static_cast<uint64_t>(row.Int(0)),
                                                   static_cast<uint64_t>(row.Int(1))}) {
        refused = Error{Code::kStale, reading.reader + ": a newer lease took over"};
        return Ok{};
      }
    }
    if (!reading.error) TRY(SaveReading(db, *media, reading));
    Statement row = TRY(db.Prepare(
        "INSERT OR REPLACE INTO readings(media_id,reader_id,key,state,token_epoch,token_counter,"
        "attributes,error_code,error_message,attempts,at) VALUES(?,?,?,?,?,?,?,?,?,?,?)"));
    row.Bind(1, *media).Bind(2, reader).Bind(3, reading.key).Bind(4, reading.error ? 2 : 1);
    row.Bind(5, static_cast<int64_t>(reading.token.epoch));
    row.Bind(6, static_cast<int64_t>(reading.token.counter));
    row.Bind(7, DumpJson(reading.attributes));
    if (reading.error) {
      row.Bind(8, std::string(CodeName(reading.error->code))).Bind(9, reading.error->message);
    }
    row.Bind(10, reading.attempts).Bind(11, clock_->NowMs());
    return row.Run();
  }));
  return refused;
}

Result<std::vector<TextSegment>> SqliteCatalog::UnembeddedTexts(const std::string& model_key,
                                                                SegmentId after,
                                                                size_t limit) const {
  return Read([&](Sqlite& db) -> Result<std::vector<TextSegment>> {
    std::vector<TextSegment> texts;
    Statement rows =
        TRY(db.Prepare("SELECT s.id,s.text FROM segments s JOIN media m ON m.id=s.media_id "
                       "WHERE s.reader<>'' AND s.id>?1 AND s.text<>'' AND m.orphaned_at IS NULL "
                       "AND NOT EXISTS(SELECT 1 FROM embeddings e JOIN models k ON k.id=e.model_id "
                       "WHERE e.segment_id=s.id AND k.key=?2) ORDER BY s.id LIMIT ?3"));
    rows.With(after, model_key, static_cast<int64_t>(limit));
    while (TRY(rows.Step())) texts.push_back({rows.Int(0), rows.String(1)});
    return texts;
  });
}

Result<int64_t> SqliteCatalog::ApplyVectors(const std::string& model_key,
                                            std::span<const SegmentViews> vectors) {
  return Write(Durability::kNormal, [&](Sqlite& db) -> Result<int64_t> {
    int64_t stored = 0;
    for (const SegmentViews& one : vectors) {
      stored += TRY(SaveSegmentViews(db, one.id, model_key, one.views)) ? 1 : 0;
    }
    return stored;
  });
}

Result<int64_t> SqliteCatalog::Revision() const {
  return Read([&](Sqlite& db) -> Result<int64_t> {
    return TRY(db.QueryInt(
                   "SELECT CAST(value AS INTEGER) FROM settings WHERE key='media.revision'"))
        .value_or(0);
  });
}

}  // namespace msearch::catalog
