// What is sent to Redis and what comes back, as bytes of its protocol (RESP2).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

struct redisReader;

namespace msearch::storage {

struct RedisReply {
  enum class Type { kNil, kInteger, kText, kError, kList };
  Type type = Type::kNil;
  int64_t integer = 0;
  std::string text;  // of kText and kError
  std::vector<RedisReply> items;

  bool is_error() const { return type == Type::kError; }
  // The text, or the number as text; empty for anything else.
  std::string AsText() const;
  int64_t AsInteger() const;  // 0 for what isn't a number
};

// What an error reply means to the caller; the message begins with "redis: ", or as the reply's
// text behind its first word when that begins with "redis ".
Error RedisError(const RedisReply& reply);

// A command and its arguments, any bytes, ready to be sent.
class RedisCommand {
 public:
  explicit RedisCommand(std::string_view name) { Add(name); }
  RedisCommand& Add(std::string_view argument);
  RedisCommand& Add(const std::string& argument) { return Add(std::string_view(argument)); }
  RedisCommand& Add(const char* argument) { return Add(std::string_view(argument)); }
  RedisCommand& Add(int64_t number) { return Add(std::string_view(std::to_string(number))); }
  RedisCommand& Add(int number) { return Add(int64_t{number}); }
  void AppendTo(std::string& out) const;

 private:
  std::string body_;
  size_t count_ = 0;
};

// Cuts a stream of bytes into replies. Bounded: kCorrupt for what isn't the protocol or is nested
// deeper than any answer of ours.
class RedisReplyReader {
 public:
  RedisReplyReader();
  ~RedisReplyReader();
  RedisReplyReader(const RedisReplyReader&) = delete;
  RedisReplyReader& operator=(const RedisReplyReader&) = delete;

  void Feed(std::string_view bytes);
  // The next whole reply, if there is one.
  Result<std::optional<RedisReply>> Next();

 private:
  struct Free {
    void operator()(redisReader* reader) const;
  };
  std::unique_ptr<redisReader, Free> reader_;
};

}  // namespace msearch::storage
