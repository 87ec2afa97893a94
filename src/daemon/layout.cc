#include "daemon/layout.h"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "base/log.h"
#include "watch/own_folder.h"

namespace msearch::daemon {
namespace {

namespace fs = std::filesystem;

std::string DefaultData() {
  if (const char* xdg = std::getenv("XDG_DATA_HOME"); xdg != nullptr && *xdg == '/') {
    return std::string(xdg) + "/msearch";
  }
  const char* home = std::getenv("HOME");
  return std::string(home != nullptr ? home : "/var/lib") + "/.local/share/msearch";
}

// Beside the program in a build tree, below share/ when installed.
std::string Find(const std::string& name) {
  const std::string program = ProgramDirectory();
  for (const std::string& candidate :
       {program + "/share/" + name, program + "/../share/msearch/" + name}) {
    std::error_code error;
    if (fs::exists(candidate, error)) return fs::canonical(candidate, error).string();
  }
  return "";
}

std::string Or(const std::string& text, const std::string& fallback) {
  return text.empty() ? fallback : fs::absolute(text).lexically_normal().string();
}

}  // namespace

Layout Layout::Of(const Settings& settings) {
  Layout layout;
  layout.data = Or(settings.Text("data.directory"), DefaultData());
  if (layout.data.size() > 1 && layout.data.back() == '/') layout.data.pop_back();
  layout.catalog = layout.data + "/catalog.db";
  layout.queue = layout.data + "/queue.db";
  layout.monitor = layout.data + "/monitor.db";
  layout.blobs = layout.data + "/blobs";
  layout.index = layout.data + "/index";
  layout.thumbnails = layout.data + "/thumbnails";
  layout.uploads = layout.data + "/uploads";
  layout.media = layout.data + "/media";
  layout.builds = layout.data + "/builds";
  layout.journal = layout.data + "/journal.db";
  layout.asked = layout.data + "/asked";
  layout.models = Or(settings.Text("model.directory"), layout.data + "/models");
  layout.logs = Or(settings.Text("logging.directory"), layout.data + "/logs");
  layout.run = layout.data + "/run";
  layout.manifests = Find("models");
  layout.web = Find("web");
  return layout;
}

Result<> Layout::MakeFolders() const {
  std::error_code made;
  fs::create_directories(data, made);
  // Before there is anything to be found.
  if (const std::string mark = fmt::format("{}/{}", data, watch::kDataFolderMark);
      !made && !fs::exists(mark, made)) {
    TRY(WriteFileAtomically(mark,
                            "msearch keeps its data in this folder and indexes none of it.\n"));
  }
  for (const std::string& folder :
       {data, blobs, index, thumbnails, uploads, builds, asked, models, logs, run}) {
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) {
      return Error{ErrnoError("", error.value()).code, folder + ": " + error.message()};
    }
  }
  // Thumbnails and texts of private files lie here.
  chmod(data.c_str(), 0700);
  return Ok{};
}

}  // namespace msearch::daemon
