// Holds the includes between the folders of src/ against the arrows that ARCHITECTURE.md draws, and
// each third-party library against the one folder that may include it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

// What each folder may include besides itself.
const std::map<std::string, std::set<std::string>> kArrows{
    {"base", {}},
    {"storage", {"base"}},
    {"net", {"base"}},
    {"celery", {"base", "storage"}},
    {"queue", {"base", "storage"}},
    {"media", {"base"}},
    {"embedding", {"base", "net"}},
    {"index", {"base"}},
    {"catalog", {"base", "storage"}},
    {"watch", {"base", "storage"}},
    {"ingest", {"base", "storage", "queue", "media", "embedding", "index", "catalog", "watch"}},
    {"compute", {"base", "net", "storage", "ingest"}},
    {"search", {"base", "embedding", "index", "catalog"}},
    {"answer", {"base", "storage", "net", "queue", "media", "embedding", "catalog"}},
    {"api",
     {"base", "storage", "net", "queue", "embedding", "catalog", "ingest", "search", "answer",
      "watch"}},
    {"cli", {"base", "net"}},
    {"daemon",
     {"base", "storage", "net", "queue", "media", "embedding", "index", "catalog", "watch",
      "ingest", "compute", "search", "answer", "api", "cli", "celery"}},
};

// A library's headers begin with this; only this folder includes them.
const std::vector<std::pair<std::string, std::string>> kOwners{
    {"nlohmann/", "base"},
    {"spdlog/", "base"},
    {"fmt/", "base"},
    {"openssl/evp.h", "base"},
    {"unicode/", "base"},
    {"sqlite3.h", "storage"},
    {"curl/", "net"},
    {"microhttpd.h", "net"},
    {"onnxruntime", "embedding"},
    {"archive", "embedding"},
    {"numkong/", "index"},
    {"vips/", "media"},
    {"kissfft/", "embedding"},
    {"turbojpeg.h", "media"},
    {"jpeglib.h", "media"},
    {"jpegint.h", "media"},
    {"libexif/", "media"},
    {"libheif/", "media"},
    {"seccomp.h", "media"},
    {"CLI/", "cli"},
    {"hiredis/", "storage"},
    {"openssl/ssl.h", "storage"},
    {"jxl/", "media"},
    {"webp/", "media"},
    {"libraw/", "media"},
    {"libxml/", "media"},
    {"zip.h", "media"},
    {"libav", "media"},
    {"libsw", "media"},
    {"chromaprint.h", "media"},
    {"prometheus/", "api"},
    {"yaml-cpp/", "daemon"},
    {"xxhash.h", "index"},
};

struct Include {
  std::string folder;  // of the including file
  std::string file;
  std::string path;  // as written
};

std::vector<Include> AllIncludes() {
  std::vector<Include> includes;
  const fs::path source = fs::path(MSEARCH_SOURCE_DIR) / "src";
  const std::regex pattern("^\\s*#\\s*include\\s*[<\"]([^>\"]+)[>\"]");
  for (const auto& entry : fs::recursive_directory_iterator(source)) {
    const std::string extension = entry.path().extension().string();
    const fs::path relative = fs::relative(entry.path(), source);
    // Tests may reach for what they test with; the arrows hold for the program.
    const bool test = entry.path().stem().string().ends_with("_test");
    if ((extension != ".cc" && extension != ".h") || test || !relative.has_parent_path()) continue;
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) {
      std::smatch match;
      if (!std::regex_search(line, match, pattern)) continue;
      includes.push_back({relative.begin()->string(), relative.string(), match[1].str()});
    }
  }
  return includes;
}

TEST(Arrows, EveryFolderIsInTheTable) {
  for (const auto& entry : fs::directory_iterator(fs::path(MSEARCH_SOURCE_DIR) / "src")) {
    if (!entry.is_directory()) continue;
    EXPECT_TRUE(kArrows.contains(entry.path().filename().string())) << entry.path();
  }
}

TEST(Arrows, FoldersIncludeOnlyWhatTheTableAllows) {
  const auto includes = AllIncludes();
  ASSERT_GT(includes.size(), 100U) << "the tree was not found";
  for (const Include& include : includes) {
    const std::string target = include.path.substr(0, include.path.find('/'));
    if (target == include.folder || !kArrows.contains(target)) continue;
    ASSERT_TRUE(kArrows.contains(include.folder)) << include.file;
    EXPECT_TRUE(kArrows.at(include.folder).contains(target))
        << include.file << " includes " << include.path;
  }
}

TEST(Arrows, TheTableHasNoCycle) {
  for (const auto& [folder, targets] : kArrows) {
    std::set<std::string> reached;
    std::vector<std::string> open(targets.begin(), targets.end());
    while (!open.empty()) {
      const std::string next = open.back();
      open.pop_back();
      if (!reached.insert(next).second) continue;
      open.insert(open.end(), kArrows.at(next).begin(), kArrows.at(next).end());
    }
    EXPECT_FALSE(reached.contains(folder)) << folder;
  }
}

TEST(Arrows, EachLibraryIsIncludedByOneFolder) {
  for (const Include& include : AllIncludes()) {
    for (const auto& [prefix, owner] : kOwners) {
      if (!include.path.starts_with(prefix)) continue;
      EXPECT_EQ(include.folder, owner) << include.file << " includes " << include.path;
    }
  }
}

}  // namespace
