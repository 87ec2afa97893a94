#include "system/server.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <thread>

#include "base/strings.h"
#include "net/http_client.h"

namespace msearch::test {
namespace {

namespace fs = std::filesystem;

std::string& Binary() {
  static std::string path = std::string(MSEARCH_BINARY_DIR) + "/msearch";
  return path;
}

pid_t SpawnWords(std::vector<std::string> words, int out, int err) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t pid = fork();
  if (pid != 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  execvp(argv[0], argv.data());
  _exit(127);
}

pid_t Spawn(const std::vector<std::string>& arguments, int out, int err) {
  std::vector<std::string> words{Binary()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return SpawnWords(std::move(words), out, err);
}

int Reap(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace

Installed::Installed(const std::map<std::string, Json>& manifests) : usual_(Binary()) {
  const fs::path built = fs::path(usual_).parent_path();
  const fs::path here = directory_.path();
  fs::create_directories(here / "share/models");
  for (const auto& entry : fs::directory_iterator(built / "share/models")) {
    fs::copy_file(entry.path(), here / "share/models" / entry.path().filename());
  }
  for (const auto& [name, manifest] : manifests) {
    (void)WriteFileAtomically(here / "share/models" / (name + ".json"), DumpJson(manifest));
  }
  for (const char* name : {"share/web", "lib"}) {
    if (fs::exists(built / name)) fs::create_directory_symlink(built / name, here / name);
  }
  fs::copy_file(usual_, program());
  Binary() = program();
}

Installed::~Installed() { Binary() = usual_; }

CommandResult RunMsearch(const std::vector<std::string>& arguments) {
  TemporaryDirectory directory;
  const std::string out = directory.path() + "/out";
  const std::string err = directory.path() + "/err";
  CommandResult result;
  {
    const Fd to_out(open(out.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    const Fd to_err(open(err.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    result.status = Reap(Spawn(arguments, to_out.get(), to_err.get()));
  }
  result.out = ReadFile(out).value_or("");
  result.err = ReadFile(err).value_or("");
  return result;
}

Server::Server(std::vector<std::string> flags, std::string model, std::string what)
    : flags_(std::move(flags)), model_(std::move(model)), what_(std::move(what)) {
  fs::create_directories(files());
  for (size_t i = 0; i + 1 < flags_.size(); ++i) {
    if (flags_[i] == "--token") token_ = flags_[i + 1];
  }
}

Server::~Server() {
  if (pid_ > 0) Kill(SIGKILL);
}

bool Server::Start() {
  std::vector<std::string> arguments{"run",    what_, "--data",  data(),
                                     "--port", "0",   "--model", model_};
  arguments.insert(arguments.end(), flags_.begin(), flags_.end());
  setenv("MSEARCH_PROCESSES_FILE_MONITOR_SETTLE_MS", "100", 1);
  // Unless a test asks for them: their packs may be there, or not.
  setenv("MSEARCH_READING_SPEECH", "off", 0);
  setenv("MSEARCH_READING_TEXT", "off", 0);
  setenv("MSEARCH_READING_SOUNDS", "off", 0);
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return false;
  const Fd from(ends[0]);
  Fd to(ends[1]);
  const Fd log(
      open((directory_.path() + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  pid_ = Spawn(arguments, to.get(), log.get());
  to.Reset();
  std::string line;
  char byte = 0;
  while (read(from.get(), &byte, 1) == 1 && byte != '\n') line += byte;
  if (line.starts_with("ready ")) {
    url_ = line.substr(6);
    return true;
  }
  Reap(pid_);
  pid_ = -1;
  return false;
}

int Server::Stop() {
  kill(pid_, SIGTERM);
  return Reap(std::exchange(pid_, -1));
}

void Server::Kill(int signal) {
  kill(pid_, signal);
  Reap(std::exchange(pid_, -1));
}

std::string Server::log() const { return ReadFile(directory_.path() + "/log").value_or(""); }

namespace {

Server::Answer Exchange(const std::string& method, const std::string& url, const std::string& token,
                        std::string body) {
  net::HttpRequest request;
  request.method = method;
  request.url = url;
  request.timeout = Milliseconds(90000);
  if (!token.empty()) request.headers.push_back("Authorization: Bearer " + token);
  if (!body.empty()) request.headers.push_back("Content-Type: application/json");
  request.body = std::move(body);
  auto response = net::Fetch(request);
  Server::Answer answer;
  if (!response.ok()) {
    answer.body = response.message();
    return answer;
  }
  answer.status = response->status;
  answer.body = response->body;
  answer.json = ParseJson(response->body).value_or(Json());
  return answer;
}

}  // namespace

Server::Answer Server::Get(const std::string& path) const {
  return Exchange("GET", url_ + path, token_, "");
}
Server::Answer Server::Post(const std::string& path, const Json& body) const {
  return Exchange("POST", url_ + path, token_, DumpJson(body));
}
Server::Answer Server::Delete(const std::string& path) const {
  return Exchange("DELETE", url_ + path, token_, "");
}

void Server::AddRoot() { Post("/api/roots", {{"path", files()}, {"name", "files"}}); }

bool Server::AwaitIdle() const {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(240);
  while (std::chrono::steady_clock::now() < end) {
    const Answer answer = Get("/api/index/status?wait=20");
    if (answer.status == 200 && GetBool(answer.json, "idle").value_or(false)) return true;
    if (answer.status != 200) std::this_thread::sleep_for(Milliseconds(100));
  }
  return false;
}

std::vector<pid_t> Server::Pids(const std::string& role) const {
  std::vector<pid_t> pids;
  const Answer answer = Get("/api/workers");
  for (const Json& worker : answer.json.value("workers", Json::array())) {
    if (GetString(worker, "role") != role) continue;
    pids.push_back(static_cast<pid_t>(GetInt(worker, "pid").value_or(0)));
  }
  return pids;
}

std::vector<std::string> Server::Find(const std::string& words) const {
  std::vector<std::string> paths;
  const Answer answer = Post("/api/search", {{"query", words}});
  for (const Json& hit : answer.json.value("hits", Json::array())) {
    if (GetString(hit, "strength") == "strong") {
      paths.push_back(GetString(hit, "path").value_or(""));
    }
  }
  return paths;
}

Background::Background(std::vector<std::string> words) {
  for (std::string& word : words) {
    if (word == "msearch") word = Binary();
  }
  const Fd log(
      open((directory_.path() + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  pid_ = SpawnWords(std::move(words), log.get(), log.get());
}

Background::~Background() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  Reap(pid_);
}

int Background::Stop() {
  kill(pid_, SIGTERM);
  return Reap(std::exchange(pid_, -1));
}

std::string Background::log() const { return ReadFile(directory_.path() + "/log").value_or(""); }

bool Eventually(const std::function<bool()>& condition, int seconds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (std::chrono::steady_clock::now() < end) {
    if (condition()) return true;
    std::this_thread::sleep_for(Milliseconds(50));
  }
  return condition();
}

std::vector<pid_t> ProcessesWith(const std::string& text) {
  std::vector<pid_t> pids;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const int pid = std::atoi(entry.path().filename().c_str());
    if (pid <= 0 || pid == getpid()) continue;
    const std::string line = ReadFile(entry.path().string() + "/cmdline", 1 << 20).value_or("");
    if (line.find(text) != std::string::npos) pids.push_back(pid);
  }
  return pids;
}

}  // namespace msearch::test
