// The REST API and the page's files: HTTP and JSON, nothing else. Routes are one table (api.cc and
// the *_routes.cc), from which the server's routing and GET /api/openapi.json both derive.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "answer/desk.h"
#include "base/json.h"
#include "base/result.h"
#include "catalog/catalog.h"
#include "embedding/model_packs.h"
#include "ingest/features.h"
#include "ingest/library.h"
#include "ingest/served_files.h"
#include "net/http_server.h"
#include "queue/task_queue.h"
#include "search/search.h"
#include "storage/blob_store.h"

namespace msearch::api {

// A stretch of a film or sound, playable by itself: its file, or while it is still being made, what
// there is of it.
struct ClipFile {
  std::shared_ptr<Fd> file;
  std::shared_ptr<net::GrowingFile> growing;
  std::string type;  // "video/mp4", "audio/mp4"
  // Seconds in the film; begins at the key frame before what was asked for where it is a copy.
  double start = 0;
  std::optional<double> end;  // known when all of it is there
};
struct ClipRequest {
  Fd file;
  std::string name;
  double start = 0;
  double end = 0;
  std::string key;     // of content and stretch
  bool whole = false;  // nothing before all of it is there
};

// What the routes act on. Everything in it is thread-safe and outlives the server.
// A second look that the settings ask for: speech, text in pictures, kinds of sounds.
struct ReaderState {
  std::string reader;
  std::string pack;
  std::string problem;  // why nothing is read, and what to do about it; empty: it is
};

// One line of GET /api/doctor.
struct Check {
  std::string name;
  bool ok = false;
  std::string detail;
  std::string advice;  // what to do when it isn't ok
};

struct Context {
  std::shared_ptr<catalog::Catalog> catalog;
  std::shared_ptr<queue::TaskQueue> queue;
  std::shared_ptr<ingest::Library> library;
  std::shared_ptr<ingest::ServedFiles> served;
  std::shared_ptr<storage::BlobStore> blobs;
  bool blobs_in_redis = false;
  std::string device;  // that has to embed; empty: any
  std::shared_ptr<embedding::ModelPacks> packs;
  std::shared_ptr<answer::Desk> desk;
  std::shared_ptr<ingest::FeatureExtractor> features;
  Milliseconds feature_timeout{30000};
  Milliseconds batch_feature_timeout{60000};
  // "embedded", "Redis at HOST:PORT": where the queue is.
  std::function<std::string()> queue_place;
  // What is wrong with that place, for people; empty: nothing. May be absent.
  std::function<std::string()> queue_problem;
  // Whether that place is fit for it. May be absent.
  std::function<std::vector<Check>()> queue_checks;
  // The engine to search with at this moment; nothing while no model is ready.
  std::function<std::optional<search::Engine>()> engine;
  // What the library's sounds are searched with.
  std::function<search::Sounds()> sounds;
  // Pixels of a picture as the active model wants them, decoded in a codec child.
  std::function<Result<std::string>(const Fd& file, const std::string& name)> decode_picture;
  // A small JPEG of a picture, page or frame, made in a codec child.
  std::function<Result<std::string>(const Fd& file, const std::string& name,
                                    std::optional<double> time)>
      make_thumbnail;
  // What a sound, or the sound of a film, is recognised by; heard in a codec child.
  std::function<Result<search::SoundQuery>(const Fd& file, const std::string& name)> decode_sound;
  // A stretch of a film or sound that can be played by itself; cut in a codec child. `done` is
  // called once, at once or later.
  std::function<void(ClipRequest, std::function<void(Result<ClipFile>)> done)> cut;
  std::function<Result<std::vector<embedding::PackStatus>>()> models;
  std::function<std::vector<ReaderState>()> readers;  // may be empty
  std::string web_directory;                          // built page; empty or absent: only the API
  std::string data_directory;
  std::string version;
  std::string token;  // empty: no access control
  std::vector<std::string> allowed_hosts;
  uint64_t upload_bytes_max = 64 << 20;
  UnixMs started_at = 0;
};

// The table, for net::HttpServer. The returned object owns the event broadcaster and must outlive
// the server.
class Api {
 public:
  explicit Api(Context context);
  ~Api();
  std::vector<net::Route> Routes();
  // Access token, Host and Origin.
  std::optional<net::Response> Gate(const net::Request& request) const;
  // Ends the event streams. Called before the server goes.
  void Stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// application/problem+json with a stable code, for errors that no route makes.
net::Response Problem(int status, const std::string& code, const std::string& detail);

}  // namespace msearch::api
