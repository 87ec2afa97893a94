#include <algorithm>
#include <array>
#include <unordered_map>

#include "base/strings.h"
#include "catalog/filter.h"
#include "catalog/media_rows.h"
#include "catalog/sqlite_catalog.h"

// What is shown of media and segments.

namespace msearch::catalog {
namespace {

using storage::Sqlite;
using storage::Statement;

std::string IdList(std::span<const int64_t> ids) {
  std::string list = "[";
  for (const int64_t id : ids) {
    if (list.size() > 1) list += ',';
    list += std::to_string(id);
  }
  return list + "]";
}

using PathsByMedia = std::unordered_map<MediaId, std::vector<Media::Path>>;

// Those that pass the filters first, otherwise in the order in which the files became known.
Result<PathsByMedia> PathsOf(Sqlite& db, std::span<const MediaId> media, const Filters& filters) {
  PathsByMedia paths;
  Statement rows = TRY(
      db.Prepare("SELECT f.media_id,r.name,f.path,f.size,f.modified_ns FROM json_each(?) j "
                 "CROSS JOIN files f ON f.media_id=j.value CROSS JOIN roots r ON r.id=f.root_id "
                 "WHERE r.removing=0 ORDER BY f.id"));
  rows.With(IdList(media));
  while (TRY(rows.Step())) {
    paths[rows.Int(0)].push_back(
        {rows.String(1), rows.String(2), static_cast<uint64_t>(rows.Int(3)), rows.Int(4)});
  }
  for (auto& [id, list] : paths) {
    std::stable_partition(list.begin(), list.end(), [&](const Media::Path& path) {
      return PathPasses(filters, path.root, path.path);
    });
  }
  return paths;
}

constexpr std::string_view kMediaColumns =
    "SELECT id,hash,preparation,type,mime,size,width,height,duration,captured_at,camera,latitude,"
    "longitude,perceptual_hash,title,attributes FROM media ";

Result<Media> ReadMedia(const Statement& row) {
  Media media;
  media.id = row.Int(0);
  MediaContent& content = media.content;
  content.hash = TRY(Digest::FromBytes(row.Blob(1)));
  content.preparation = row.String(2);
  content.type = row.String(3);
  content.mime = row.String(4);
  content.size = static_cast<uint64_t>(row.Int(5));
  content.width = static_cast<uint32_t>(row.Int(6));
  content.height = static_cast<uint32_t>(row.Int(7));
  content.duration = row.OptionalDouble(8);
  content.captured_at = row.OptionalInt(9);
  content.camera = row.String(10);
  if (!row.IsNull(11) && !row.IsNull(12)) content.gps = {row.Double(11), row.Double(12)};
  if (!row.IsNull(13)) content.perceptual_hash = static_cast<uint64_t>(row.Int(13));
  content.title = row.String(14);
  content.attributes = TRY(ParseJson(row.Text(15)));
  return media;
}

Result<std::vector<Segment>> ReadSegments(Sqlite& db, MediaId media) {
  std::vector<Segment> segments;
  Statement rows = TRY(
      db.Prepare("SELECT idx,text,start_time,end_time,page,labels,kind,reader,boxes FROM segments "
                 "WHERE media_id=? ORDER BY idx"));
  rows.With(media);
  while (TRY(rows.Step())) {
    Segment segment;
    segment.index = static_cast<uint32_t>(rows.Int(0) % kSegmentsMax);
    segment.text = rows.String(1);
    segment.start_time = rows.OptionalDouble(2);
    segment.end_time = rows.OptionalDouble(3);
    if (!rows.IsNull(4)) segment.page = static_cast<uint32_t>(rows.Int(4));
    if (!rows.Text(5).empty()) {
      for (const std::string_view label : Split(rows.Text(5), '\n')) {
        segment.labels.emplace_back(label);
      }
    }
    segment.kind = rows.String(6);
    segment.reader = rows.String(7);
    segment.boxes = BoxesFromText(rows.Text(8));
    segments.push_back(std::move(segment));
  }
  return segments;
}

// What readers say of the content as a whole, by their names.
Result<> AddReadings(Sqlite& db, MediaId media, Json* attributes) {
  Statement rows = TRY(
      db.Prepare("SELECT k.name,r.attributes FROM readings r JOIN readers k ON k.id=r.reader_id "
                 "WHERE r.media_id=? AND r.state=1 AND r.attributes<>'{}'"));
  rows.With(media);
  while (TRY(rows.Step())) (*attributes)[rows.String(0)] = TRY(ParseJson(rows.Text(1)));
  return Ok{};
}

// One page of visible media, newest first.
Result<std::vector<MediaId>> PageOfAll(Sqlite& db, size_t offset, size_t limit, int64_t* total) {
  *total = TRY(db.QueryInt("SELECT count(*) FROM media WHERE orphaned_at IS NULL")).value_or(0);
  std::vector<MediaId> ids;
  Statement rows =
      TRY(db.Prepare("SELECT id FROM media WHERE orphaned_at IS NULL "
                     "ORDER BY date DESC,id DESC LIMIT ? OFFSET ?"));
  rows.With(static_cast<int64_t>(limit), static_cast<int64_t>(offset));
  while (TRY(rows.Step())) ids.push_back(rows.Int(0));
  return ids;
}

Result<std::vector<MediaId>> PageOfPassing(Sqlite& db, const Filters& filters, size_t offset,
                                           size_t limit, int64_t* total) {
  std::vector<DatedMedia> media = TRY(PassingMedia(db, filters));
  *total = static_cast<int64_t>(media.size());
  const size_t begin = std::min(offset, media.size());
  const size_t end = begin + std::min(limit, media.size() - begin);
  const auto newest_first = [](const DatedMedia& a, const DatedMedia& b) {
    return std::pair(a.date, a.id) > std::pair(b.date, b.id);
  };
  std::partial_sort(media.begin(), media.begin() + static_cast<ptrdiff_t>(end), media.end(),
                    newest_first);
  std::vector<MediaId> ids;
  for (size_t i = begin; i < end; ++i) ids.push_back(media[i].id);
  return ids;
}

SegmentInfo ReadSegmentInfo(const Statement& row) {
  SegmentInfo info;
  info.id = row.Int(0);
  info.media = row.Int(1);
  info.index = static_cast<uint32_t>(row.Int(2) % kSegmentsMax);
  info.start_time = row.OptionalDouble(3);
  info.end_time = row.OptionalDouble(4);
  if (!row.IsNull(5)) info.page = static_cast<uint32_t>(row.Int(5));
  info.type = row.String(6);
  return info;
}

}  // namespace

Result<Media> SqliteCatalog::GetMedia(MediaId id) const {
  return Read([&](Sqlite& db) -> Result<Media> {
    const Error missing{Code::kNotFound, "media " + std::to_string(id) + ": not found"};
    Statement row =
        TRY(db.Prepare(std::string(kMediaColumns) + "WHERE id=? AND orphaned_at IS NULL"));
    row.With(id);
    if (!TRY(row.Step())) return missing;
    Media media = TRY(ReadMedia(row));
    media.content.segments = TRY(ReadSegments(db, id));
    TRY(AddReadings(db, id, &media.content.attributes));
    PathsByMedia paths = TRY(PathsOf(db, std::array{id}, {}));
    if (paths[id].empty()) return missing;
    media.paths = std::move(paths[id]);
    return media;
  });
}

Result<std::vector<Media>> SqliteCatalog::ListMedia(const MediaQuery& query, int64_t* total) const {
  return Read([&](Sqlite& db) -> Result<std::vector<Media>> {
    const std::vector<MediaId> ids =
        query.filters.empty()
            ? TRY(PageOfAll(db, query.offset, query.limit, total))
            : TRY(PageOfPassing(db, query.filters, query.offset, query.limit, total));
    PathsByMedia paths = TRY(PathsOf(db, ids, query.filters));
    std::vector<Media> page;
    for (const MediaId id : ids) {
      if (paths[id].empty()) continue;
      Statement row = TRY(db.Prepare(std::string(kMediaColumns) + "WHERE id=?"));
      row.With(id);
      if (!TRY(row.Step())) continue;
      Media media = TRY(ReadMedia(row));
      media.paths = std::move(paths[id]);
      page.push_back(std::move(media));
    }
    return page;
  });
}

Result<std::vector<std::pair<SegmentId, MediaId>>> SqliteCatalog::MediaOf(
    std::span<const SegmentId> ids) const {
  return Read([&](Sqlite& db) -> Result<std::vector<std::pair<SegmentId, MediaId>>> {
    // A root on its way out keeps its files for a while, but none is seen.
    const bool removing =
        TRY(db.QueryInt("SELECT 1 FROM roots WHERE removing=1 LIMIT 1")).has_value();
    std::vector<std::pair<SegmentId, MediaId>> found;
    Statement rows = TRY(db.Prepare(
        removing
            ? "SELECT s.id,s.media_id FROM json_each(?) j CROSS JOIN segments s ON s.id=j.value "
              "CROSS JOIN media m ON m.id=s.media_id WHERE m.orphaned_at IS NULL AND "
              "EXISTS(SELECT 1 FROM files f JOIN roots r ON r.id=f.root_id "
              "WHERE f.media_id=m.id AND r.removing=0) ORDER BY j.key"
            : "SELECT s.id,s.media_id FROM json_each(?) j CROSS JOIN segments s ON s.id=j.value "
              "CROSS JOIN media m ON m.id=s.media_id WHERE m.orphaned_at IS NULL "
              "ORDER BY j.key"));
    rows.With(IdList(ids));
    while (TRY(rows.Step())) found.emplace_back(rows.Int(0), rows.Int(1));
    return found;
  });
}

Result<std::vector<SegmentInfo>> SqliteCatalog::GetSegments(std::span<const SegmentId> ids,
                                                            const Filters& filters) const {
  return Read([&](Sqlite& db) -> Result<std::vector<SegmentInfo>> {
    std::vector<SegmentInfo> found;
    std::vector<MediaId> media;
    Statement rows = TRY(db.Prepare(
        "SELECT s.id,s.media_id,s.idx,s.start_time,s.end_time,s.page,m.type,m.hash,m.attributes,"
        "m.width,m.height,s.kind,s.boxes "
        "FROM json_each(?) j CROSS JOIN segments s ON s.id=j.value "
        "CROSS JOIN media m ON m.id=s.media_id WHERE m.orphaned_at IS NULL ORDER BY j.key"));
    rows.With(IdList(ids));
    while (TRY(rows.Step())) {
      SegmentInfo info = ReadSegmentInfo(rows);
      info.hash = TRY(Digest::FromBytes(rows.Blob(7)));
      info.attributes = TRY(ParseJson(rows.Text(8)));
      info.width = static_cast<uint32_t>(rows.Int(9));
      info.height = static_cast<uint32_t>(rows.Int(10));
      info.kind = rows.String(11);
      info.boxes = BoxesFromText(rows.Text(12));
      media.push_back(info.media);
      found.push_back(std::move(info));
    }
    std::ranges::sort(media);
    media.erase(std::unique(media.begin(), media.end()), media.end());
    const PathsByMedia paths = TRY(PathsOf(db, media, filters));
    std::erase_if(found, [&](const SegmentInfo& info) { return !paths.contains(info.media); });
    for (SegmentInfo& info : found) info.paths = paths.at(info.media);
    return found;
  });
}

Result<std::vector<SegmentId>> SqliteCatalog::SegmentsOf(MediaId media) const {
  return Read([&](Sqlite& db) -> Result<std::vector<SegmentId>> {
    std::vector<SegmentId> ids;
    Statement rows = TRY(
        db.Prepare("SELECT s.id FROM segments s JOIN media m ON m.id=s.media_id WHERE s.media_id=? "
                   "AND m.orphaned_at IS NULL ORDER BY s.idx"));
    rows.With(media);
    while (TRY(rows.Step())) ids.push_back(rows.Int(0));
    return ids;
  });
}

Result<std::string> SqliteCatalog::SegmentText(SegmentId id) const {
  return Read([&](Sqlite& db) -> Result<std::string> {
    auto text =
        TRY(db.QueryString("SELECT s.text FROM segments s JOIN media m ON m.id=s.media_id "
                           "WHERE s.id=? AND m.orphaned_at IS NULL",
                           id));
    if (!text) return Error{Code::kNotFound, "segment " + std::to_string(id) + ": not found"};
    return *std::move(text);
  });
}

Result<std::vector<SegmentId>> SqliteCatalog::FilterSegments(const Filters& filters) const {
  return Read([&](Sqlite& db) { return PassingSegments(db, filters); });
}

}  // namespace msearch::catalog
