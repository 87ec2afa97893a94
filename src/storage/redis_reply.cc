// The parser is hiredis's; it builds our replies directly, without a tree of its own.
#include "storage/redis_reply.h"

#include <hiredis/read.h>

#include <array>
#include <charconv>

namespace msearch::storage {
namespace {

using Type = RedisReply::Type;

// Of one list, so that a few bytes can't claim more memory than there is. Nothing that is asked has
// nearly so many.
constexpr size_t kItemsMax = 1 << 20;

// Where the parser wants the next value: in its parent's list, or a root of its own.
RedisReply* Place(const redisReadTask* task) {
  if (task->parent == nullptr) return new RedisReply();
  auto* parent = static_cast<RedisReply*>(task->parent->obj);
  return &parent->items[static_cast<size_t>(task->idx)];
}

void* MakeText(const redisReadTask* task, char* bytes, size_t size) {
  RedisReply* reply = Place(task);
  reply->type = task->type == REDIS_REPLY_ERROR ? Type::kError : Type::kText;
  reply->text.assign(bytes, size);
  return reply;
}

// The type of the number of elements differs between versions of hiredis.
// Null: refused, as if there were no memory.
void* MakeListOf(const redisReadTask* task, size_t size) {
  if (size > kItemsMax) return nullptr;
  RedisReply* reply = Place(task);
  reply->type = Type::kList;
  reply->items.resize(size);
  return reply;
}
[[maybe_unused]] void* MakeList(const redisReadTask* task, int size) {
  return MakeListOf(task, static_cast<size_t>(std::max(size, 0)));
}
[[maybe_unused]] void* MakeList(const redisReadTask* task, size_t size) {
  return MakeListOf(task, size);
}

void* MakeInteger(const redisReadTask* task, long long number) {
  RedisReply* reply = Place(task);
  reply->type = Type::kInteger;
  reply->integer = number;
  return reply;
}

void* MakeNil(const redisReadTask* task) { return Place(task); }

void FreeRoot(void* reply) { delete static_cast<RedisReply*>(reply); }

redisReplyObjectFunctions* Functions() {
  static redisReplyObjectFunctions functions = [] {
    redisReplyObjectFunctions made{};
    made.createString = MakeText;
    made.createArray = MakeList;
    made.createInteger = MakeInteger;
    made.createNil = MakeNil;
    made.freeObject = FreeRoot;
    return made;
  }();
  return &functions;
}

struct Meaning {
  std::string_view prefix;
  Code code;
};

constexpr std::array kMeanings{
    Meaning{"NOAUTH", Code::kPermission},
    Meaning{"WRONGPASS", Code::kPermission},
    Meaning{"NOPERM", Code::kPermission},
    Meaning{"ERR invalid password", Code::kPermission},
    Meaning{"ERR AUTH", Code::kPermission},
    Meaning{"ERR The user executing the script can't", Code::kPermission},
    Meaning{"ERR ACL failure in script", Code::kPermission},
    Meaning{"DENIED", Code::kPermission},
    Meaning{"OOM", Code::kExhausted},
    Meaning{"MISCONF", Code::kExhausted},
    Meaning{"ERR redis", Code::kInvalid},  // explained: what was set can't be
    Meaning{"ERR max number of clients", Code::kUnavailable},
    Meaning{"BUSY", Code::kUnavailable},
    Meaning{"LOADING", Code::kUnavailable},
    Meaning{"MASTERDOWN", Code::kUnavailable},
    Meaning{"READONLY", Code::kUnavailable},
    Meaning{"CLUSTERDOWN", Code::kUnavailable},
    Meaning{"TRYAGAIN", Code::kUnavailable},
    Meaning{"MOVED", Code::kUnavailable},
    Meaning{"ASK", Code::kUnavailable},
    Meaning{"NOREPLICAS", Code::kUnavailable},
    Meaning{"UNBLOCKED", Code::kUnavailable},
    Meaning{"WRONGTYPE", Code::kCorrupt},
};

}  // namespace

std::string RedisReply::AsText() const {
  return type == Type::kInteger ? std::to_string(integer) : type == Type::kText ? text : "";
}

int64_t RedisReply::AsInteger() const {
  if (type == Type::kInteger) return integer;
  int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

Error RedisError(const RedisReply& reply) {
  Code code = Code::kInternal;
  for (const Meaning& meaning : kMeanings) {
    if (std::string_view(reply.text).starts_with(meaning.prefix)) {
      code = meaning.code;
      break;
    }
  }
  // One that was explained already.
  const size_t space = reply.text.find(' ');
  if (space != std::string::npos && reply.text.compare(space + 1, 6, "redis ") == 0) {
    return Error{code, reply.text.substr(space + 1)};
  }
  return Error{code, "redis: " + reply.text};
}

RedisCommand& RedisCommand::Add(std::string_view argument) {
  body_ += '$';
  body_ += std::to_string(argument.size());
  body_ += "\r\n";
  body_ += argument;
  body_ += "\r\n";
  ++count_;
  return *this;
}

void RedisCommand::AppendTo(std::string& out) const {
  out += '*';
  out += std::to_string(count_);
  out += "\r\n";
  out += body_;
}

RedisReplyReader::RedisReplyReader() : reader_(redisReaderCreateWithFunctions(Functions())) {}
RedisReplyReader::~RedisReplyReader() = default;
void RedisReplyReader::Free::operator()(redisReader* reader) const { redisReaderFree(reader); }

void RedisReplyReader::Feed(std::string_view bytes) {
  redisReaderFeed(reader_.get(), bytes.data(), bytes.size());
}

Result<std::optional<RedisReply>> RedisReplyReader::Next() {
  void* root = nullptr;
  if (redisReaderGetReply(reader_.get(), &root) != REDIS_OK) {
    return Error{Code::kCorrupt, "redis: " + std::string(reader_->errstr)};
  }
  std::optional<RedisReply> reply;
  if (root != nullptr) {
    reply = std::move(*static_cast<RedisReply*>(root));
    FreeRoot(root);
  }
  return reply;
}

}  // namespace msearch::storage
