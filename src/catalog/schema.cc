#include "catalog/schema.h"

// Ids are never used again (AUTOINCREMENT): a late result for a deleted file must not hit another
// one, and an index replica must not take a new segment for an old one.
//
// Counts by root are kept by triggers, in the transaction that changes the files, so that showing
// them costs nothing with a million files.
//
// A media row is visible while some file has it; orphaned_at is set when the last one let go of it.
// Only visible media have rows in `words` and count in `changes`.
//
// `changes` is the change log, compacted: one row for every segment and model, at the position of
// its latest change. So additions never need pruning; only the removals do (change_log.h).

namespace msearch::catalog {
namespace {

constexpr std::string_view kFirst = R"sql(
CREATE TABLE settings(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE roots(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  path TEXT NOT NULL,
  origin TEXT NOT NULL,
  options TEXT NOT NULL,
  paused INTEGER NOT NULL,
  state TEXT NOT NULL,
  status TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  removing INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE root_counts(
  root_id INTEGER PRIMARY KEY REFERENCES roots(id) ON DELETE CASCADE,
  files INTEGER NOT NULL DEFAULT 0,
  indexed INTEGER NOT NULL DEFAULT 0,
  pending INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0,
  bytes INTEGER NOT NULL DEFAULT 0
);
CREATE TRIGGER root_added AFTER INSERT ON roots BEGIN
  INSERT INTO root_counts(root_id) VALUES(new.id);
END;

CREATE TABLE media(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  hash BLOB NOT NULL UNIQUE,
  preparation TEXT NOT NULL,
  type TEXT NOT NULL,
  mime TEXT NOT NULL,
  size INTEGER NOT NULL,
  width INTEGER NOT NULL,
  height INTEGER NOT NULL,
  duration REAL,
  captured_at INTEGER,
  camera TEXT NOT NULL,
  latitude REAL,
  longitude REAL,
  perceptual_hash INTEGER,
  title TEXT NOT NULL,
  attributes TEXT NOT NULL,
  date INTEGER NOT NULL DEFAULT 0,  -- ms: captured_at, else the oldest modification of its files
  orphaned_at INTEGER
);
CREATE INDEX media_visible ON media(date, id, type, size) WHERE orphaned_at IS NULL;
CREATE INDEX media_orphaned ON media(orphaned_at) WHERE orphaned_at IS NOT NULL;

-- The files as they were last seen. state: 0 pending, 1 indexed, 2 failed. media_version: the
-- version whose content media_id is.
CREATE TABLE files(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  root_id INTEGER NOT NULL REFERENCES roots(id),
  path TEXT NOT NULL,
  size INTEGER NOT NULL,
  modified_ns INTEGER NOT NULL,
  device INTEGER NOT NULL,
  inode INTEGER NOT NULL,
  version INTEGER NOT NULL DEFAULT 1,
  state INTEGER NOT NULL DEFAULT 0,
  media_id INTEGER REFERENCES media(id),
  media_version INTEGER NOT NULL DEFAULT 0,
  token_epoch INTEGER NOT NULL DEFAULT 0,
  token_counter INTEGER NOT NULL DEFAULT 0,
  error_code TEXT,
  error_message TEXT,
  attempts INTEGER NOT NULL DEFAULT 0,
  failed_at INTEGER,
  UNIQUE(root_id, path)
);
CREATE INDEX files_media ON files(media_id) WHERE media_id IS NOT NULL;
CREATE INDEX files_root_media ON files(root_id, media_id) WHERE media_id IS NOT NULL;
CREATE INDEX files_pending ON files(root_id, id) WHERE state = 0;
CREATE INDEX files_failed ON files(root_id, failed_at) WHERE state = 2;
CREATE TRIGGER file_added AFTER INSERT ON files BEGIN
  UPDATE root_counts SET
    files = files + 1, bytes = bytes + new.size, pending = pending + (new.state = 0),
    indexed = indexed + (new.state = 1), failed = failed + (new.state = 2)
  WHERE root_id = new.root_id;
END;
CREATE TRIGGER file_removed AFTER DELETE ON files BEGIN
  UPDATE root_counts SET
    files = files - 1, bytes = bytes - old.size, pending = pending - (old.state = 0),
    indexed = indexed - (old.state = 1), failed = failed - (old.state = 2)
  WHERE root_id = old.root_id;
END;
CREATE TRIGGER file_changed AFTER UPDATE OF state, size ON files
WHEN old.state <> new.state OR old.size <> new.size BEGIN
  UPDATE root_counts SET
    bytes = bytes + new.size - old.size,
    pending = pending + (new.state = 0) - (old.state = 0),
    indexed = indexed + (new.state = 1) - (old.state = 1),
    failed = failed + (new.state = 2) - (old.state = 2)
  WHERE root_id = new.root_id;
END;

CREATE TABLE segments(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  media_id INTEGER NOT NULL REFERENCES media(id),
  idx INTEGER NOT NULL,
  start_time REAL,
  end_time REAL,
  page INTEGER,
  text TEXT NOT NULL,
  labels TEXT NOT NULL,  -- one a line
  UNIQUE(media_id, idx)
);

-- removed_floor: a replica at a position below it (and not 0) has missed removals.
CREATE TABLE models(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  key TEXT NOT NULL UNIQUE,
  removed_floor INTEGER NOT NULL DEFAULT 0
);
-- For which models a media's content is complete, though not every segment need have a vector.
CREATE TABLE media_models(
  media_id INTEGER NOT NULL REFERENCES media(id) ON DELETE CASCADE,
  model_id INTEGER NOT NULL REFERENCES models(id),
  PRIMARY KEY(media_id, model_id)
) WITHOUT ROWID;
-- views: PackViews in change_log.h.
CREATE TABLE embeddings(
  id INTEGER PRIMARY KEY,
  segment_id INTEGER NOT NULL REFERENCES segments(id),
  model_id INTEGER NOT NULL REFERENCES models(id),
  views BLOB NOT NULL,
  UNIQUE(segment_id, model_id)
);
CREATE INDEX embeddings_model ON embeddings(model_id);

CREATE TABLE changes(
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  segment_id INTEGER NOT NULL,
  model_id INTEGER NOT NULL,
  removed INTEGER NOT NULL,
  UNIQUE(segment_id, model_id)
);
CREATE INDEX changes_model ON changes(model_id, position, removed);
CREATE INDEX changes_removed ON changes(position) WHERE removed = 1;

-- rowid is the segment's id; the columns hold terms (words.h). Names and paths stand at the first
-- segment of a media.
CREATE VIRTUAL TABLE words USING fts5(name, path, label, text, tokenize = 'ascii');
)sql";

// Readers. segments.idx counts those of the preparation from 0 and those of a reader from
// id << 24. state: 1 read, 2 failed.
constexpr std::string_view kReadings = R"sql(
ALTER TABLE segments ADD COLUMN kind TEXT NOT NULL DEFAULT 'picture';
ALTER TABLE segments ADD COLUMN reader TEXT NOT NULL DEFAULT '';
ALTER TABLE segments ADD COLUMN boxes TEXT NOT NULL DEFAULT '';
UPDATE segments SET kind='passage' WHERE media_id IN (SELECT id FROM media WHERE type='document');
CREATE INDEX segments_read ON segments(id) WHERE reader <> '';

CREATE TABLE readers(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE);
CREATE TABLE readings(
  media_id INTEGER NOT NULL REFERENCES media(id) ON DELETE CASCADE,
  reader_id INTEGER NOT NULL REFERENCES readers(id),
  key TEXT NOT NULL,
  state INTEGER NOT NULL,
  token_epoch INTEGER NOT NULL,
  token_counter INTEGER NOT NULL,
  attributes TEXT NOT NULL,
  error_code TEXT,
  error_message TEXT,
  attempts INTEGER NOT NULL DEFAULT 0,
  at INTEGER NOT NULL,
  PRIMARY KEY(media_id, reader_id)
) WITHOUT ROWID;
CREATE INDEX readings_failed ON readings(at) WHERE state = 2;
)sql";

}  // namespace

const std::vector<std::string_view>& Migrations() {
  static const std::vector<std::string_view> kMigrations = {kFirst, kReadings};
  return kMigrations;
}

}  // namespace msearch::catalog
