// A running msearch for tests: the real program with its own data folder, stopped and removed with
// the object.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/result.h"

namespace msearch::test {

struct CommandResult {
  int status = -1;  // exit status, or minus the signal
  std::string out;  // standard output
  std::string err;
};

// A copy of the program as it is installed, with these manifests of model packs beside the usual
// ones, or in their place. As long as one lives, it is what RunMsearch and Server run.
class Installed {
 public:
  explicit Installed(const std::map<std::string, Json>& manifests);
  ~Installed();
  Installed(const Installed&) = delete;
  Installed& operator=(const Installed&) = delete;
  std::string program() const { return directory_.path() + "/msearch"; }

 private:
  TemporaryDirectory directory_;
  const std::string usual_;
};

// Runs build/msearch with these arguments to its end.
CommandResult RunMsearch(const std::vector<std::string>& arguments);

class Server {
 public:
  // Doesn't start it yet. Port 0, hardly any settling time. A --token among the flags is sent
  // along with every request.
  explicit Server(std::vector<std::string> flags = {}, std::string model = "builtin",
                  std::string what = "both");
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Waits for the line "ready ..."; false when the program ended without it.
  bool Start();
  // SIGTERM, and waits for the end; the exit status.
  int Stop();
  void Kill(int signal);
  bool running() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }
  const std::string& url() const { return url_; }
  std::string data() const { return directory_.path() + "/data"; }
  // A folder for files to index.
  std::string files() const { return directory_.path() + "/files"; }
  std::string log() const;

  struct Answer {
    int status = 0;
    Json json;
    std::string body;
  };
  Answer Get(const std::string& path) const;
  Answer Post(const std::string& path, const Json& body = Json::object()) const;
  Answer Delete(const std::string& path) const;

  // Adds files() as root "files".
  void AddRoot();
  // Until everything is committed or has failed; false after four minutes.
  bool AwaitIdle() const;
  // Process ids of a role, from the workers' list.
  std::vector<pid_t> Pids(const std::string& role) const;
  // Paths that a search by words finds, best first.
  std::vector<std::string> Find(const std::string& words) const;

 private:
  TemporaryDirectory directory_;
  const std::vector<std::string> flags_;
  const std::string model_;
  const std::string what_;
  std::string token_;
  pid_t pid_ = -1;
  std::string url_;
};

// Any program in the background; killed and reaped with the object, and it dies with its parent.
class Background {
 public:
  // `words`: as execvp takes them; "msearch" alone means the one that is tested.
  explicit Background(std::vector<std::string> words);
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;
  pid_t pid() const { return pid_; }
  // Its exit status, or minus the signal, after SIGTERM.
  int Stop();
  std::string log() const;

 private:
  TemporaryDirectory directory_;
  pid_t pid_ = -1;
};

// Polls until the condition holds; false after `seconds`.
bool Eventually(const std::function<bool()>& condition, int seconds = 60);

// Processes whose command line contains the text.
std::vector<pid_t> ProcessesWith(const std::string& text);

}  // namespace msearch::test
