#include "support/redis_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "storage/redis.h"

namespace msearch::test {
namespace {

// Another one, such as valkey-server, by the environment.
std::string Program() {
  const char* named = getenv("MSEARCH_TEST_REDIS_SERVER");
  return named != nullptr && *named != '\0' ? named : "/usr/bin/redis-server";
}

std::string Text(const storage::RedisReply& reply) {
  if (reply.is_error()) return reply.text;
  if (reply.type != storage::RedisReply::Type::kList) return reply.AsText();
  std::string out;
  for (const storage::RedisReply& item : reply.items) out += Text(item) + "\n";
  return out;
}

}  // namespace

int FreePort() {
  const Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) return 0;
  getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

bool RedisServer::Available() { return access(Program().c_str(), X_OK) == 0; }

RedisServer::RedisServer(std::vector<std::string> options)
    : port_(FreePort()), options_(std::move(options)) {
  Start();
}

RedisServer::~RedisServer() {
  if (pid_ > 0) Kill();
}

void RedisServer::Start() {
  std::vector<std::string> words{Program()};
  const std::string port = std::to_string(port_);
  if (!options_.empty() && options_[0] == "sentinel") {
    std::string lines = "port " + port + "\nbind 127.0.0.1\ndir " + directory() + "\n";
    for (size_t i = 1; i < options_.size(); ++i) lines += options_[i] + "\n";
    const std::string file = directory() + "/sentinel.conf";
    (void)WriteFileAtomically(file, lines);
    words.insert(words.end(), {file, "--sentinel"});
  } else {
    words.insert(words.end(), {"--bind", "127.0.0.1", "--dir", directory(), "--save", ""});
    if (std::find(options_.begin(), options_.end(), "--port") == options_.end()) {
      words.insert(words.end(), {"--port", port});
    }
    for (const std::string& option : options_) {
      std::string word = option;
      const size_t at = word.find("%PORT%");
      if (at != std::string::npos) word.replace(at, 6, port);
      words.push_back(word);
    }
  }
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const std::string log = directory() + "/log";
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(out, 1);
    dup2(out, 2);
    execv(argv[0], argv.data());
    _exit(127);
  }
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (std::chrono::steady_clock::now() < give_up) {
    const std::string answer = Call({"PING"});
    // A server that wants a password, or TLS, is up as well.
    if (!answer.empty() && !answer.starts_with("LOADING")) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  std::fprintf(stderr, "redis-server: did not start\n%s\n", ReadFile(log).value_or("").c_str());
}

void RedisServer::Signal(int signal) const { kill(pid_, signal); }

void RedisServer::Kill() {
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void RedisServer::Restart() { Start(); }

std::string RedisServer::Call(const std::vector<std::string>& words) const {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  const auto connection = storage::RedisConnection::Open({"127.0.0.1", port_}, nullptr, deadline);
  if (!connection.ok()) return "";
  storage::RedisCommand command(words[0]);
  for (size_t i = 1; i < words.size(); ++i) command.Add(words[i]);
  const auto reply = (*connection)->Call(command, deadline);
  if (reply.ok()) return Text(*reply);
  // It hung up on us without a word: it's there, and speaks TLS.
  return reply.code() == Code::kTimeout ? "" : reply.message();
}

}  // namespace msearch::test
