// Real Redis servers for tests: on loopback, on ports of their own, with their data in a temporary
// folder, gone with the object.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "base/file.h"

namespace msearch::test {

// A port that nobody listens on at the moment.
int FreePort();

class RedisServer {
 public:
  // Starts it with these options besides port and folder, and waits until it answers. "sentinel" as
  // the first option starts a sentinel instead, whose configuration the rest are the lines of.
  explicit RedisServer(std::vector<std::string> options = {});
  ~RedisServer();
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  // Whether this machine has one at all (else tests are skipped).
  static bool Available();

  int port() const { return port_; }
  pid_t pid() const { return pid_; }
  std::string directory() const { return directory_.path(); }
  void Signal(int signal) const;
  void Kill();     // SIGKILL, and reaps
  void Restart();  // after Kill: with the same data on the same port
  // One command over a plain connection; what it answered, lines of a list separated by LF.
  std::string Call(const std::vector<std::string>& words) const;

 private:
  void Start();

  const TemporaryDirectory directory_;
  const int port_;
  std::vector<std::string> options_;
  pid_t pid_ = -1;
};

}  // namespace msearch::test
