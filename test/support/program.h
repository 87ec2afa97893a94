// This same program run again as other processes, for tests and benchmarks of what happens between
// processes.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace msearch::test {

// A running copy; killed and reaped with the object, and it dies with its parent.
class Program {
 public:
  explicit Program(const std::vector<std::string>& arguments);
  ~Program();
  Program(Program&& other) noexcept;
  Program& operator=(Program&& other) noexcept;

  pid_t pid() const { return pid_; }
  void Signal(int signal) const;
  // The exit status, or minus the signal that ended it. Reaps: at most once.
  int Wait();
  // Whether it still runs; once it doesn't, Wait returns at once.
  bool Running() const;

 private:
  pid_t pid_ = -1;
};

}  // namespace msearch::test
