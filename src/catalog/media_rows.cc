#include "catalog/media_rows.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <unordered_map>

#include "base/strings.h"
#include "catalog/change_log.h"
#include "catalog/words.h"

namespace msearch::catalog {
namespace {

using storage::Sqlite;
using storage::Statement;

// Names of so many files of one content are searchable; a content with more copies (an empty file
// in every folder) would make each further copy slower to add.
constexpr int kNamedFilesMax = 256;

Result<int64_t> ModelId(Sqlite& db, const std::string& key) {
  if (auto id = TRY(db.QueryInt("SELECT id FROM models WHERE key=?", key))) return *id;
  TRY(db.Run("INSERT INTO models(key) VALUES(?)", key));
  return db.last_insert_id();
}

Result<bool> IsVisible(Sqlite& db, MediaId media) {
  return TRY(db.QueryInt("SELECT orphaned_at IS NULL FROM media WHERE id=?", media)) == 1;
}

Result<> DeleteSegment(Sqlite& db, SegmentId segment) {
  std::vector<int64_t> models;
  {
    Statement rows = TRY(db.Prepare("SELECT model_id FROM embeddings WHERE segment_id=?"));
    rows.With(segment);
    while (TRY(rows.Step())) models.push_back(rows.Int(0));
  }
  for (const int64_t model : models) TRY(LogChange(db, segment, model, true));
  TRY(db.Run("DELETE FROM embeddings WHERE segment_id=?", segment));
  TRY(db.Run("DELETE FROM words WHERE rowid=?", segment));
  return db.Run("DELETE FROM segments WHERE id=?", segment);
}

Result<std::unordered_map<int64_t, SegmentId>> SegmentsByIndex(Sqlite& db, MediaId media) {
  std::unordered_map<int64_t, SegmentId> segments;
  Statement rows = TRY(db.Prepare("SELECT idx,id FROM segments WHERE media_id=?"));
  rows.With(media);
  while (TRY(rows.Step())) segments.emplace(rows.Int(0), rows.Int(1));
  return segments;
}

Result<std::vector<SegmentId>> SegmentsOfReader(Sqlite& db, MediaId media,
                                                const std::string& reader) {
  std::vector<SegmentId> segments;
  Statement rows = TRY(db.Prepare("SELECT id FROM segments WHERE media_id=? AND reader=?"));
  rows.With(media, reader);
  while (TRY(rows.Step())) segments.push_back(rows.Int(0));
  return segments;
}

Result<> SaveMediaRow(Sqlite& db, MediaId media, const MediaContent& content) {
  Statement row = TRY(db.Prepare(
      "UPDATE media SET hash=?2,preparation=?3,type=?4,mime=?5,size=?6,width=?7,height=?8,"
      "duration=?9,captured_at=?10,camera=?11,latitude=?12,longitude=?13,perceptual_hash=?14,"
      "title=?15,attributes=?16 WHERE id=?1"));
  row.Bind(1, media).BindBlob(2, content.hash.bytes());
  row.Bind(3, content.preparation).Bind(4, content.type).Bind(5, content.mime);
  row.Bind(6, static_cast<int64_t>(content.size)).Bind(7, content.width).Bind(8, content.height);
  row.Bind(9, content.duration).Bind(10, content.captured_at).Bind(11, content.camera);
  if (content.gps) row.Bind(12, content.gps->first).Bind(13, content.gps->second);
  if (content.perceptual_hash) row.Bind(14, static_cast<int64_t>(*content.perceptual_hash));
  row.Bind(15, content.title).Bind(16, DumpJson(content.attributes));
  return row.Run();
}

Result<SegmentId> SaveSegmentRow(Sqlite& db, MediaId media, std::optional<SegmentId> known,
                                 const Segment& segment, int64_t idx) {
  const std::string labels = Join(segment.labels, "\n");
  const std::string boxes = BoxesToText(segment.boxes);
  if (known) {
    TRY(
        db.Run("UPDATE segments SET start_time=?2,end_time=?3,page=?4,text=?5,labels=?6,kind=?7,"
               "boxes=?8 WHERE id=?1",
               *known, segment.start_time, segment.end_time, segment.page, segment.text, labels,
               segment.kind, boxes));
    return *known;
  }
  TRY(
      db.Run("INSERT INTO segments(media_id,idx,start_time,end_time,page,text,labels,kind,boxes,"
             "reader) VALUES(?,?,?,?,?,?,?,?,?,?)",
             media, idx, segment.start_time, segment.end_time, segment.page, segment.text, labels,
             segment.kind, boxes, segment.reader));
  return db.last_insert_id();
}

Result<> SaveVectors(Sqlite& db, SegmentId segment, int64_t model, const Views& views,
                     bool visible) {
  bool any = false;
  for (const std::vector<float>& view : views) any = any || !view.empty();
  if (any) {
    Statement row =
        TRY(db.Prepare("INSERT INTO embeddings(segment_id,model_id,views) VALUES(?,?,?) "
                       "ON CONFLICT(segment_id,model_id) DO UPDATE SET views=excluded.views"));
    row.Bind(1, segment).Bind(2, model).BindBlob(3, PackViews(views));
    TRY(row.Run());
    return visible ? LogChange(db, segment, model, false) : Ok{};
  }
  TRY(db.Run("DELETE FROM embeddings WHERE segment_id=? AND model_id=?", segment, model));
  if (db.changes() > 0 && visible) return LogChange(db, segment, model, true);
  return Ok{};
}

bool IsFinite(const Views& views) {
  for (const std::vector<float>& view : views) {
    for (const float value : view) {
      if (!std::isfinite(value)) return false;
    }
  }
  return true;
}

struct Names {
  std::string name;  // file names and title
  std::string path;  // names of roots and folders
};

// Terms of each distinct name once: copies in several folders mustn't count several times.
Result<Names> CollectNames(Sqlite& db, MediaId media, const std::string& title) {
  std::set<std::string> names;
  std::set<std::string> paths;
  Statement rows = TRY(db.Prepare(
      "SELECT r.name,f.path FROM files f JOIN roots r ON r.id=f.root_id WHERE f.media_id=? "
      "ORDER BY f.id LIMIT ?"));
  rows.With(media, kNamedFilesMax);
  while (TRY(rows.Step())) {
    const std::string_view path = rows.Text(1);
    const size_t slash = path.rfind('/');
    names.insert(IndexName(slash == std::string_view::npos ? path : path.substr(slash + 1)));
    paths.insert(IndexName(rows.Text(0)));
    if (slash != std::string_view::npos) paths.insert(IndexName(path.substr(0, slash)));
  }
  Names out{IndexText(title), {}};
  for (const std::string& name : names) out.name += (out.name.empty() ? "" : " ") + name;
  for (const std::string& path : paths) out.path += (out.path.empty() ? "" : " ") + path;
  return out;
}

Result<Names> NamesOf(Sqlite& db, MediaId media) {
  const auto title = TRY(db.QueryString("SELECT title FROM media WHERE id=?", media));
  return CollectNames(db, media, title.value_or(""));
}

Result<> DeleteWords(Sqlite& db, MediaId media) {
  return db.Run("DELETE FROM words WHERE rowid IN (SELECT id FROM segments WHERE media_id=?)",
                media);
}

Result<> WriteWords(Sqlite& db, MediaId media) {
  TRY(DeleteWords(db, media));
  Names names = TRY(NamesOf(db, media));
  Statement rows =
      TRY(db.Prepare("SELECT id,labels,text FROM segments WHERE media_id=? ORDER BY idx"));
  rows.With(media);
  while (TRY(rows.Step())) {
    TRY(db.Run("INSERT INTO words(rowid,name,path,label,text) VALUES(?,?,?,?,?)", rows.Int(0),
               names.name, names.path, IndexText(rows.Text(1)), IndexText(rows.Text(2))));
    names = Names();  // at the first segment only
  }
  return Ok{};
}

Result<> RefreshDate(Sqlite& db, MediaId media) {
  return db.Run(
      "UPDATE media SET date=ifnull(captured_at,(SELECT min(modified_ns)/1000000 FROM files "
      "WHERE media_id=?1)) WHERE id=?1 AND date IS NOT ifnull(captured_at,"
      "(SELECT min(modified_ns)/1000000 FROM files WHERE media_id=?1))",
      media);
}

}  // namespace

Result<std::optional<MediaId>> FindMediaByHash(Sqlite& db, const Digest& hash) {
  Statement find = TRY(db.Prepare("SELECT id FROM media WHERE hash=?"));
  find.BindBlob(1, hash.bytes());
  if (!TRY(find.Step())) return std::optional<MediaId>();
  return find.OptionalInt(0);
}

Result<bool> IsComplete(Sqlite& db, MediaId media, const std::string& preparation,
                        const std::string& model_key) {
  if (!preparation.empty()) {
    const auto same =
        TRY(db.QueryInt("SELECT preparation=? FROM media WHERE id=?", preparation, media));
    if (same != 1) return false;
  }
  if (model_key.empty()) return true;
  return TRY(db.QueryInt("SELECT 1 FROM media_models JOIN models ON models.id=model_id "
                         "WHERE media_id=? AND key=?",
                         media, model_key))
      .has_value();
}

Result<> CheckContent(const MediaContent& content) {
  std::set<uint32_t> indexes;
  const Error no_number{Code::kInvalid, "content: a vector holds a value that is no number"};
  for (const Segment& segment : content.segments) {
    if (segment.index >= kSegmentsMax || !indexes.insert(segment.index).second) {
      return Error{Code::kInvalid,
                   "content: two segments with index " + std::to_string(segment.index)};
    }
    if (!IsFinite(segment.views)) return no_number;
    for (const auto& [key, views] : segment.spaces) {
      if (!IsFinite(views)) return no_number;
    }
  }
  return Ok{};
}

Result<MediaId> AddMedia(Sqlite& db, const Digest& hash) {
  Statement row = TRY(db.Prepare(
      "INSERT INTO media(hash,preparation,type,mime,size,width,height,camera,title,attributes) "
      "VALUES(?,'','','',0,0,0,'','','{}')"));
  row.BindBlob(1, hash.bytes());
  TRY(row.Run());
  return db.last_insert_id();
}

Result<> SaveContent(Sqlite& db, MediaId media, const MediaContent& content,
                     const std::string& model_key) {
  const bool same = TRY(FindMediaByHash(db, content.hash)) == media;
  const bool visible = TRY(IsVisible(db, media));
  std::unordered_map<int64_t, SegmentId> known = TRY(SegmentsByIndex(db, media));
  if (!same) {
    for (const auto& [index, segment] : known) TRY(DeleteSegment(db, segment));
    known.clear();
    TRY(db.Run("DELETE FROM readings WHERE media_id=?", media));
  }
  // What readers found is of the content, not of its preparation.
  std::erase_if(known, [](const auto& one) { return one.first >= kSegmentsMax; });
  const auto preparation =
      TRY(db.QueryString("SELECT preparation FROM media WHERE id=?", media)).value_or("");
  // What was completed for another content or preparation isn't complete any more.
  if (!same || preparation != content.preparation) {
    TRY(db.Run("DELETE FROM media_models WHERE media_id=?", media));
  }
  TRY(SaveMediaRow(db, media, content));
  const int64_t model = model_key.empty() ? 0 : TRY(ModelId(db, model_key));
  for (const Segment& segment : content.segments) {
    const auto found = known.find(segment.index);
    const bool is_known = found != known.end();
    const SegmentId id = TRY(SaveSegmentRow(
        db, media, is_known ? std::optional(found->second) : std::nullopt, segment, segment.index));
    if (is_known) known.erase(found);
    if (model != 0) TRY(SaveVectors(db, id, model, segment.views, visible));
    for (const auto& [key, views] : segment.spaces) {
      TRY(SaveVectors(db, id, TRY(ModelId(db, key)), views, visible));
    }
  }
  for (const auto& [index, segment] : known) TRY(DeleteSegment(db, segment));
  TRY(RaiseRevision(db));
  if (model == 0) return Ok{};
  return db.Run("INSERT OR IGNORE INTO media_models(media_id,model_id) VALUES(?,?)", media, model);
}

Result<> SaveReading(Sqlite& db, MediaId media, const Reading& reading) {
  const auto reader = TRY(db.QueryInt("SELECT id FROM readers WHERE name=?", reading.reader));
  if (!reader) return Error{Code::kInvalid, "reader " + reading.reader + ": not known"};
  const bool visible = TRY(IsVisible(db, media));
  for (const SegmentId segment : TRY(SegmentsOfReader(db, media, reading.reader))) {
    TRY(DeleteSegment(db, segment));
  }
  for (const Segment& found : reading.segments) {
    Segment segment = found;
    segment.reader = reading.reader;
    const SegmentId id = TRY(
        SaveSegmentRow(db, media, std::nullopt, segment, (*reader << 24) + int64_t{segment.index}));
    if (!visible) continue;
    TRY(db.Run("INSERT INTO words(rowid,name,path,label,text) VALUES(?,'','',?,?)", id,
               IndexText(Join(segment.labels, "\n")), IndexText(segment.text)));
  }
  return reading.segments.empty() ? Ok{} : RaiseRevision(db);
}

Result<bool> SaveSegmentViews(Sqlite& db, SegmentId segment, const std::string& model_key,
                              const Views& views) {
  if (!IsFinite(views)) {
    return Error{Code::kInvalid, "vectors: a vector holds a value that is no number"};
  }
  const auto media = TRY(db.QueryInt("SELECT media_id FROM segments WHERE id=?", segment));
  if (!media) return false;
  TRY(SaveVectors(db, segment, TRY(ModelId(db, model_key)), views, TRY(IsVisible(db, *media))));
  return true;
}

Result<> RaiseRevision(Sqlite& db) {
  return db.Run(
      "INSERT INTO settings(key,value) VALUES('media.revision','1') ON CONFLICT(key) "
      "DO UPDATE SET value=CAST(value AS INTEGER)+1");
}

std::string BoxesToText(const std::vector<TextBox>& boxes) {
  if (boxes.empty()) return {};
  Json json = Json::array();
  for (const TextBox& box : boxes) {
    json.push_back({box.text, box.x, box.y, box.width, box.height});
  }
  return DumpJson(json);
}

std::vector<TextBox> BoxesFromText(std::string_view text) {
  std::vector<TextBox> boxes;
  if (text.empty()) return boxes;
  const Result<Json> json = ParseJson(text);
  if (!json.ok() || !json->is_array()) return boxes;
  for (const Json& box : *json) {
    if (!box.is_array() || box.size() != 5 || !box[0].is_string()) continue;
    if (!std::all_of(box.begin() + 1, box.end(), [](const Json& v) { return v.is_number(); })) {
      continue;
    }
    boxes.push_back({box[0].get<std::string>(), box[1].get<float>(), box[2].get<float>(),
                     box[3].get<float>(), box[4].get<float>()});
  }
  return boxes;
}

Result<> LinkFile(Sqlite& db, FileId file, MediaId media, bool content_changed) {
  const bool already =
      TRY(db.QueryInt("SELECT 1 FROM files WHERE id=? AND media_id=?", file, media)).has_value();
  const bool was_visible = TRY(IsVisible(db, media));
  TRY(db.Run("UPDATE files SET media_id=? WHERE id=?", media, file));
  TRY(RefreshDate(db, media));
  if (!was_visible) {
    TRY(db.Run("UPDATE media SET orphaned_at=NULL WHERE id=?", media));
    TRY(LogMediaChange(db, media, false));
    TRY(RaiseRevision(db));
  }
  if (content_changed || !was_visible) return WriteWords(db, media);
  return already ? Result<>(Ok{}) : RefreshNames(db, media);
}

Result<> ReleaseMedia(Sqlite& db, MediaId media, UnixMs now) {
  const bool used =
      TRY(db.QueryInt("SELECT 1 FROM files WHERE media_id=? LIMIT 1", media)).has_value();
  if (used) {
    TRY(RefreshDate(db, media));
    return RefreshNames(db, media);
  }
  TRY(LogMediaChange(db, media, true));
  TRY(DeleteWords(db, media));
  return db.Run("UPDATE media SET orphaned_at=? WHERE id=?", now, media);
}

Result<> RefreshNames(Sqlite& db, MediaId media) {
  const auto first =
      TRY(db.QueryInt("SELECT id FROM segments WHERE media_id=? ORDER BY idx LIMIT 1", media));
  if (!first) return Ok{};
  const Names names = TRY(NamesOf(db, media));
  return db.Run("UPDATE words SET name=?2,path=?3 WHERE rowid=?1 AND (name<>?2 OR path<>?3)",
                *first, names.name, names.path);
}

Result<> DeleteMedia(Sqlite& db, MediaId media) {
  for (const auto& [index, segment] : TRY(SegmentsByIndex(db, media))) {
    TRY(DeleteSegment(db, segment));
  }
  return db.Run("DELETE FROM media WHERE id=?", media);
}

}  // namespace msearch::catalog
