#include "media/sandbox.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "base/file.h"
#include "base/log.h"

namespace msearch::media {
namespace {

// Harmless with any arguments: they act on this process's memory, threads, clock and open files.
constexpr int kAllowed[] = {
    SCMP_SYS(brk),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(close),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(fstat),
    SCMP_SYS(futex),
    SCMP_SYS(getcpu),
    SCMP_SYS(getpid),
    SCMP_SYS(getrandom),
    SCMP_SYS(getrusage),
    SCMP_SYS(gettid),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(lseek),
    SCMP_SYS(madvise),
    SCMP_SYS(mremap),
    SCMP_SYS(munmap),
    SCMP_SYS(nanosleep),
    SCMP_SYS(pread64),
    SCMP_SYS(preadv),
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rseq),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_getattr),
    SCMP_SYS(sched_yield),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(sysinfo),
    SCMP_SYS(uname),
};

class Filter {
 public:
  Filter() : context_(seccomp_init(SCMP_ACT_ERRNO(EPERM)), seccomp_release) {}

  template <typename... Conditions>
  void Allow(int call, Conditions... conditions) {
    Add(SCMP_ACT_ALLOW, call, conditions...);
  }
  template <typename... Conditions>
  void Add(uint32_t action, int call, Conditions... conditions) {
    if (failed_ != 0 || !context_) return;
    failed_ = -seccomp_rule_add(context_.get(), action, call, sizeof...(conditions), conditions...);
  }
  Result<> Load() {
    if (!context_) return Error{Code::kUnsupported, "sandbox: no seccomp"};
    if (failed_ == 0) failed_ = -seccomp_load(context_.get());
    if (failed_ != 0) return Error{Code::kUnsupported, ErrnoError("sandbox", failed_).message};
    return Ok{};
  }

 private:
  std::unique_ptr<void, void (*)(scmp_filter_ctx)> context_;
  int failed_ = 0;
};

void AllowMemoryAndThreads(Filter& filter) {
  for (int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)}) {
    filter.Allow(call, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
  }
  filter.Allow(SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
  // Its flags lie in memory, out of a filter's sight; the C library falls back to clone.
  filter.Add(SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3));
  filter.Allow(SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
  // Only reading limits: the third argument would be new ones.
  filter.Allow(SCMP_SYS(prlimit64), SCMP_A2(SCMP_CMP_EQ, 0));
  filter.Allow(SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(getpid())));
}

void AllowTalking(Filter& filter, int channel_fd) {
  const auto channel = static_cast<scmp_datum_t>(channel_fd);
  filter.Allow(SCMP_SYS(sendmsg), SCMP_A0(SCMP_CMP_EQ, channel));
  filter.Allow(SCMP_SYS(recvmsg), SCMP_A0(SCMP_CMP_EQ, channel));
  for (int call : {SCMP_SYS(write), SCMP_SYS(writev)}) {
    filter.Allow(call, SCMP_A0(SCMP_CMP_EQ, STDERR_FILENO));
  }
  filter.Allow(SCMP_SYS(fcntl), SCMP_A1(SCMP_CMP_EQ, F_GETFL));
  // The C library's fstat; the path beside the descriptor is empty.
  filter.Allow(SCMP_SYS(newfstatat), SCMP_A3(SCMP_CMP_EQ, AT_EMPTY_PATH));
}

// What starting, and being, a program takes.
void AllowPrograms(Filter& filter) {
  for (int call :
       {SCMP_SYS(arch_prctl), SCMP_SYS(access),    SCMP_SYS(close_range),     SCMP_SYS(dup),
        SCMP_SYS(dup2),       SCMP_SYS(dup3),      SCMP_SYS(execve),          SCMP_SYS(faccessat),
        SCMP_SYS(faccessat2), SCMP_SYS(fcntl),     SCMP_SYS(getcwd),          SCMP_SYS(getdents64),
        SCMP_SYS(getegid),    SCMP_SYS(geteuid),   SCMP_SYS(getgid),          SCMP_SYS(getppid),
        SCMP_SYS(getuid),     SCMP_SYS(lstat),     SCMP_SYS(newfstatat),      SCMP_SYS(pipe2),
        SCMP_SYS(poll),       SCMP_SYS(prlimit64), SCMP_SYS(readlink),        SCMP_SYS(readlinkat),
        SCMP_SYS(recvmsg),    SCMP_SYS(sendmsg),   SCMP_SYS(set_tid_address), SCMP_SYS(setrlimit),
        SCMP_SYS(stat),       SCMP_SYS(statfs),    SCMP_SYS(statx),           SCMP_SYS(vfork),
        SCMP_SYS(wait4),      SCMP_SYS(write),     SCMP_SYS(writev)}) {
    filter.Allow(call);
  }
  constexpr scmp_datum_t kWriting = O_ACCMODE | O_CREAT | O_TRUNC;
  filter.Allow(SCMP_SYS(open), SCMP_A1(SCMP_CMP_MASKED_EQ, kWriting, O_RDONLY));
  filter.Allow(SCMP_SYS(openat), SCMP_A2(SCMP_CMP_MASKED_EQ, kWriting, O_RDONLY));
  filter.Allow(SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
  filter.Add(SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3));
  filter.Allow(SCMP_SYS(mmap));
  filter.Allow(SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
  filter.Allow(SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
  filter.Allow(SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, PR_SET_PDEATHSIG));
}

// Landlock has no functions in the C library.
int LandlockCall(long number, const void* attribute, size_t size, uint32_t flags) {
  return static_cast<int>(syscall(number, attribute, size, flags));
}

bool AllowBelow(int rules, const char* path, uint64_t access) {
  landlock_path_beneath_attr rule{};
  const Fd folder(open(path, O_PATH | O_CLOEXEC));
  if (!folder.valid()) return errno == ENOENT;
  rule.parent_fd = folder.get();
  rule.allowed_access = access;
  return syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
}

// False where the kernel has none of it.
bool HideFiles() {
  constexpr uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
  constexpr uint64_t kRun = kRead | LANDLOCK_ACCESS_FS_EXECUTE;
  landlock_ruleset_attr all{};
  // Everything that the first version of Landlock knows.
  all.handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
  const Fd rules(LandlockCall(SYS_landlock_create_ruleset, &all, sizeof(all), 0));
  if (!rules.valid()) return false;
  for (const char* path : {"/usr", "/lib", "/lib64"}) {
    if (!AllowBelow(rules.get(), path, kRun)) return false;
  }
  for (const char* path : {"/etc/fonts", "/var/cache/fontconfig", "/etc/poppler"}) {
    if (!AllowBelow(rules.get(), path, kRead)) return false;
  }
  for (const char* path : {"/etc/ld.so.cache", "/dev/null", "/dev/urandom"}) {
    if (!AllowBelow(rules.get(), path, LANDLOCK_ACCESS_FS_READ_FILE)) return false;
  }
  return syscall(SYS_landlock_restrict_self, rules.get(), 0) == 0;
}

}  // namespace

Result<> EnterToolSandbox() {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return ErrnoError("sandbox", errno);
  if (!HideFiles()) LOG_DEBUG("sandbox: this kernel has no Landlock");
  Filter filter;
  for (int call : kAllowed) filter.Allow(call);
  AllowPrograms(filter);
  return filter.Load();
}

Result<> EnterSandbox(int channel_fd) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return ErrnoError("sandbox", errno);
  Filter filter;
  for (int call : kAllowed) filter.Allow(call);
  AllowMemoryAndThreads(filter);
  AllowTalking(filter, channel_fd);
  return filter.Load();
}

}  // namespace msearch::media
