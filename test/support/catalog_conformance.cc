#include "support/catalog_conformance.h"

#include <algorithm>

namespace msearch::catalog {

FileFact Fact(const std::string& path, uint64_t size, int64_t modified_ms) {
  FileFact fact;
  fact.path = path;
  fact.size = size;
  fact.modified_ns = modified_ms * 1'000'000;
  fact.device = 1;
  fact.inode = std::hash<std::string>()(path) >> 1;
  return fact;
}

MediaContent Picture(const std::string& bytes, const std::string& text,
                     std::vector<std::string> labels) {
  MediaContent content = Document(bytes, {text});
  content.type = "image";
  content.mime = "image/jpeg";
  content.segments[0].labels = std::move(labels);
  return content;
}

MediaContent Document(const std::string& bytes, const std::vector<std::string>& texts) {
  MediaContent content;
  content.hash = Sha256(bytes);
  content.preparation = "p1";
  content.type = "document";
  content.mime = "text/plain";
  content.size = bytes.size();
  for (const std::string& text : texts) {
    Segment segment;
    segment.index = static_cast<uint32_t>(content.segments.size());
    segment.text = text;
    segment.views = {{static_cast<float>(content.hash.bytes()[0]) + 0.5F, 1.0F}};
    content.segments.push_back(std::move(segment));
  }
  return content;
}

void Replica::Follow(const Catalog& catalog, const std::string& model, size_t page) {
  while (true) {
    bool restart = false;
    const std::vector<IndexChange> changes =
        Get(catalog.ChangesFor(model, position, page, &restart));
    if (restart) {
      ++restarts;
      vectors.clear();
      position = 0;
    }
    for (const IndexChange& change : changes) {
      EXPECT_GT(change.position, position);
      position = change.position;
      if (change.removed) {
        vectors.erase(change.segment);
      } else {
        ASSERT_FALSE(change.views.empty());
        vectors[change.segment] = change.views[0].at(0);
      }
    }
    if (changes.empty()) return;
  }
}

File CatalogConformance::PendingAt(const std::string& path) {
  for (File& file : Get(catalog_->PendingFiles(0, 10000))) {
    if (file.fact.path == path) return file;
  }
  ADD_FAILURE() << path << " isn't pending";
  return {};
}

std::set<std::string> CatalogConformance::PendingPaths() {
  std::set<std::string> paths;
  for (const File& file : Get(catalog_->PendingFiles(0, 10000))) paths.insert(file.fact.path);
  return paths;
}

Commit CatalogConformance::CommitFor(const File& file, const MediaContent& content, Token token) {
  Commit commit;
  commit.file = file.id;
  commit.version = file.version;
  commit.token = token;
  commit.model_key = kModel;
  commit.content = content;
  commit.hash = content.hash;
  return commit;
}

CommitEffect CatalogConformance::ApplyOne(const Commit& commit) {
  std::vector<CommitEffect> effects = Get(catalog_->Apply(std::span(&commit, 1)));
  if (effects.size() == 1) return effects[0];
  ADD_FAILURE() << effects.size() << " effects of one commit";
  return {};
}

CommitEffect CatalogConformance::Index(const std::string& root, const std::string& path,
                                       const MediaContent& content, const std::string& model) {
  if (!PendingPaths().contains(path)) {
    Get(catalog_->FilesPresent(root, std::array{Fact(path)}, true));
  }
  Commit commit = CommitFor(PendingAt(path), content, {1, ++token_});
  commit.model_key = model;
  const CommitEffect effect = ApplyOne(commit);
  Expect(effect.status);
  return effect;
}

namespace {

std::string Named(const std::vector<Media::Path>& paths) {
  return paths.empty() ? "no path" : paths[0].root + ":" + paths[0].path;
}

std::vector<std::string> Sorted(std::set<std::string> names) {
  return {names.begin(), names.end()};
}

}  // namespace

std::vector<std::string> CatalogConformance::Search(const std::string& words,
                                                    const Filters& filters) {
  std::vector<SegmentId> ids;
  for (const TextMatch& match : Get(catalog_->SearchText(words, filters, 100))) {
    ids.push_back(match.segment);
  }
  std::set<std::string> names;
  for (const SegmentInfo& info : Get(catalog_->GetSegments(ids, filters))) {
    names.insert(Named(info.paths));
  }
  return Sorted(names);
}

std::vector<std::string> CatalogConformance::Listed(const Filters& filters) {
  Catalog::MediaQuery query;
  query.filters = filters;
  int64_t total = 0;
  std::set<std::string> names;
  for (const Media& media : Get(catalog_->ListMedia(query, &total))) {
    names.insert(Named(media.paths));
  }
  EXPECT_EQ(total, static_cast<int64_t>(names.size()));
  return Sorted(names);
}

std::vector<std::string> CatalogConformance::Passing(const Filters& filters) {
  const std::vector<SegmentId> ids = Get(catalog_->FilterSegments(filters));
  EXPECT_TRUE(std::ranges::is_sorted(ids));
  std::set<std::string> names;
  for (const SegmentInfo& info : Get(catalog_->GetSegments(ids, filters))) {
    names.insert(Named(info.paths));
  }
  return Sorted(names);
}

}  // namespace msearch::catalog
