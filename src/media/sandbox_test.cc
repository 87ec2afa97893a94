#include "media/sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/landlock.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "base/child.h"
#include "support/sandbox_probe.h"

namespace msearch::media {
namespace {

int ErrnoOf(long result) { return result == -1 ? errno : 0; }

int TryThread() {
  int ran = 0;
  std::thread([&] { ran = 1; }).join();
  return ran;
}

Json Attempts() {
  Json out;
  out["socket_inet"] = ErrnoOf(socket(AF_INET, SOCK_STREAM, 0));
  out["socket_unix"] = ErrnoOf(socket(AF_UNIX, SOCK_STREAM, 0));
  int pair[2];
  out["socketpair"] = ErrnoOf(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
  out["open_for_reading"] = ErrnoOf(open("/etc/hostname", O_RDONLY));
  out["open_for_writing"] = ErrnoOf(open("/tmp/sandbox-probe", O_WRONLY | O_CREAT, 0600));
  out["open_beside_programs"] = ErrnoOf(open("/usr/bin/env", O_RDONLY));
  out["write_beside_programs"] = ErrnoOf(open("/usr/bin/env", O_RDWR));
  out["unlink"] = ErrnoOf(unlink("/tmp/sandbox-probe"));
  char* const arguments[] = {const_cast<char*>("--help"), nullptr};
  out["execve"] = ErrnoOf(execve("/proc/self/exe", arguments, nullptr));
  out["fork"] = ErrnoOf(fork());
  out["ptrace"] = ErrnoOf(ptrace(PTRACE_ATTACH, getppid(), nullptr, nullptr));
  out["kill_parent"] = ErrnoOf(kill(getppid(), 0));
  const void* code = mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  out["executable_memory"] = code == MAP_FAILED ? errno : 0;
  out["write_to_stdout"] = ErrnoOf(write(STDOUT_FILENO, "", 1));
  const void* memory = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  out["plain_memory"] = memory == MAP_FAILED ? errno : 0;
  out["thread_ran"] = TryThread();
  return out;
}

}  // namespace

int ServeSandboxProbe() {
  Channel channel = ParentChannel();
  ServeParent(channel, [&](const Frame& frame) -> Result<Frame> {
    const bool by_tool = GetBool(frame.head, "by_tool").value_or(false);
    TRY(by_tool ? EnterToolSandbox() : EnterSandbox(channel.fd()));
    Frame answer;
    answer.head = Attempts();
    return answer;
  });
  return 0;
}

namespace {

TEST(Sandbox, LetsNothingOutButTheConversation) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizers' own look-ups are among what the sandbox forbids";
#endif
  Child child({.arguments = {"role", "sandbox-probe"}, .name = "probe"});
  const Result<Frame> answer = child.Call(Frame{.head = Json::object()}, Milliseconds(20000));
  ASSERT_TRUE(answer.ok()) << answer.message();
  for (const char* forbidden : {"socket_inet", "socket_unix", "socketpair", "open_for_reading",
                                "open_for_writing", "unlink", "execve", "fork", "ptrace",
                                "kill_parent", "executable_memory", "write_to_stdout"}) {
    EXPECT_EQ(GetInt(answer->head, forbidden), EPERM) << forbidden;
  }
  EXPECT_EQ(GetInt(answer->head, "open_beside_programs"), EPERM);
  EXPECT_EQ(GetInt(answer->head, "plain_memory"), 0);
  EXPECT_EQ(GetInt(answer->head, "thread_ran"), 1);
}

TEST(Sandbox, ForToolsLetsProgramsStartButReachNothingOfTheUser) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizers' own look-ups are among what the sandbox forbids";
#endif
  if (syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION) < 1) {
    GTEST_SKIP() << "this kernel has no Landlock";
  }
  Child child({.arguments = {"role", "sandbox-probe"}, .name = "probe"});
  const Result<Frame> answer = child.Call(Frame{.head = {{"by_tool", true}}}, Milliseconds(20000));
  ASSERT_TRUE(answer.ok()) << answer.message();
  for (const char* forbidden : {"socket_inet", "socket_unix", "socketpair", "open_for_writing",
                                "write_beside_programs", "unlink", "ptrace", "kill_parent"}) {
    EXPECT_EQ(GetInt(answer->head, forbidden), EPERM) << forbidden;
  }
  EXPECT_EQ(GetInt(answer->head, "open_beside_programs"), 0);
  EXPECT_EQ(GetInt(answer->head, "open_for_reading"), EACCES);
  EXPECT_EQ(GetInt(answer->head, "execve"), EACCES);  // of a program that isn't below /usr
}

}  // namespace
}  // namespace msearch::media
