// A blob is a few strings, blob:ID:0, blob:ID:1, ..., of a size that fills a size class of Redis's
// allocator: one large string would waste up to a quarter. The id is 24 random hex digits and 8 of
// the size, so that it tells how many strings there are; the first begins with a checksum.
//
// The budget is over all processes: blobs:bytes counts what is stored, blobs:index says since when,
// for what expires without anybody removing it. Room is taken before the bytes are sent; bytes that
// never arrive give it back when they would have expired.
#include "storage/redis_blob_store.h"

#include <atomic>
#include <chrono>
#include <mutex>

#include "base/strings.h"
#include "storage/checksum.h"

namespace msearch::storage {
namespace {

using std::chrono::steady_clock;

// 16 KiB less the head of a string of that size (5 bytes) and its closing zero.
constexpr size_t kChunkBytes = (16 << 10) - 6;
constexpr size_t kChunksAtOnce = 256;  // 4 MiB
constexpr size_t kRandomDigits = 24;
constexpr size_t kIdDigits = 32;

// All scripts: KEYS = PREFIX .. 'blobs:bytes' (all keys are made from PREFIX); `drop` removes a
// blob and gives its room back. The key that isn't there fails, before anything is written, while a
// cluster moves the slot away.
#define MSEARCH_BLOBS_COMMON                                                                     \
  "local prefix = string.sub(KEYS[1], 1, -12)\n"                                                 \
  "local index = prefix .. 'blobs:index'\n"                                                      \
  "redis.call('EXISTS', prefix .. 'blobs:none')\n"                                               \
  "local time = redis.call('TIME')\n"                                                            \
  "local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"                                    \
  "local function drop(id)\n"                                                                    \
  "  if redis.call('ZREM', index, id) == 0 then return 0 end\n"                                  \
  "  local size = tonumber(string.sub(id, 25), 16)\n"                                            \
  "  for i = 0, math.floor(size / tonumber(ARGV[1])) do\n"                                       \
  "    redis.call('UNLINK', prefix .. 'blob:' .. id .. ':' .. i)\n"                              \
  "  end\n"                                                                                      \
  "  if redis.call('DECRBY', KEYS[1], size) < 0 then redis.call('SET', KEYS[1], 0) end\n"        \
  "  return 1\n"                                                                                 \
  "end\n"                                                                                        \
  "local function drop_until(limit)\n"                                                           \
  "  local dropped = 0\n"                                                                        \
  "  for _, id in ipairs(redis.call('ZRANGE', index, '-inf', '(' .. limit, 'BYSCORE', 'LIMIT', " \
  "0, 200)) do\n"                                                                                \
  "    dropped = dropped + drop(id)\n"                                                           \
  "  end\n"                                                                                      \
  "  return dropped\n"                                                                           \
  "end\n"

// ARGV = bytes of a chunk, id, bytes, budget, time to live. Returns 1, or 0 when there is no room.
constexpr char kReserve[] = MSEARCH_BLOBS_COMMON R"lua(
drop_until(now - ARGV[5])
local size = tonumber(ARGV[3])
if tonumber(redis.call('GET', KEYS[1]) or 0) + size > tonumber(ARGV[4]) then return 0 end
redis.call('INCRBY', KEYS[1], size)
redis.call('ZADD', index, now, ARGV[2])
return 1
)lua";

// ARGV = bytes of a chunk, id. Returns how many were removed.
constexpr char kRemove[] = MSEARCH_BLOBS_COMMON "return drop(ARGV[2])\n";

// ARGV = bytes of a chunk, age. Returns how many were removed, at most 200.
constexpr char kRemoveOld[] = MSEARCH_BLOBS_COMMON "return drop_until(now - ARGV[2])\n";

// A right that our user lacks is no fault of who has bytes to store.
template <typename T>
Result<T> AsAway(Result<T> result) {
  if (result.ok() || result.code() != Code::kPermission) return result;
  return Error{Code::kUnavailable, result.message()};
}

class RedisBlobStore final : public BlobStore {
 public:
  RedisBlobStore(std::shared_ptr<Redis> redis, RedisBlobOptions options)
      : redis_(std::move(redis)), options_(std::move(options)) {}

  Result<std::string> Put(std::string_view bytes) override {
    const uint64_t size = bytes.size() + sizeof(uint64_t);
    if (size > options_.bytes_max || size > UINT32_MAX) {
      return Error{Code::kTooLarge, "blobs: " + std::to_string(bytes.size()) +
                                        " bytes at once are more than the budget of " +
                                        std::to_string(options_.bytes_max)};
    }
    const std::string id = NewId(static_cast<uint32_t>(size));
    RedisCommand reserve = Script(kReserve);
    reserve.Add(id).Add(static_cast<int64_t>(size)).Add(static_cast<int64_t>(options_.bytes_max));
    reserve.Add(options_.ttl.count());
    if (TRY(AsAway(redis_->Ask(reserve))).integer == 0) {
      seen_at_ = 0;
      return Error{Code::kExhausted, "blobs: the budget of " + std::to_string(options_.bytes_max) +
                                         " bytes is used up"};
    }
    bytes_ += size;
    const Result<> stored = AsAway(Store(id, bytes));
    if (!stored.ok()) {
      Remove(id);
      return Error{stored.code(), "blobs: " + stored.message()};
    }
    return id;
  }

  Result<std::string> Get(const std::string& id) const override {
    if (!Valid(id)) return Error{Code::kInvalid, "blob: not an id"};
    const size_t size = SizeOf(id);
    std::string bytes;
    // Some at a time: others wait for Redis meanwhile, and an id that isn't ours may name any size.
    for (size_t at = 0; at < Chunks(size);) {
      RedisCommand command("MGET");
      for (size_t i = 0; i < kChunksAtOnce && at < Chunks(size); ++i)
        command.Add(ChunkKey(id, at++));
      const RedisReply reply = TRY(AsAway(redis_->Ask(command)));
      for (const RedisReply& chunk : reply.items) {
        if (chunk.type == RedisReply::Type::kNil) {
          return Error{Code::kNotFound, "blob " + id + ": not there (any more)"};
        }
        bytes += chunk.text;
      }
    }
    uint64_t sum = 0;
    if (bytes.size() != size || size < sizeof(sum)) return Damaged(id);
    bytes.copy(reinterpret_cast<char*>(&sum), sizeof(sum));
    bytes.erase(0, sizeof(sum));
    if (Checksum(bytes) != sum) return Damaged(id);
    return bytes;
  }

  void Remove(const std::string& id) override {
    if (!Valid(id)) return;
    const auto removed = redis_->Ask(Script(kRemove).Add(id));
    if (removed.ok() && removed->integer == 1) seen_at_ = 0;
  }

  uint64_t bytes() const override {
    const int64_t now = steady_clock::now().time_since_epoch().count();
    const int64_t second = std::chrono::nanoseconds(std::chrono::seconds(1)).count();
    if (seen_at_ == 0 || now - seen_at_ > second) {
      const auto reply = redis_->Ask(RedisCommand("GET").Add(CountKey()));
      // Unreachable: what was last seen.
      if (reply.ok()) bytes_ = static_cast<uint64_t>(std::max<int64_t>(reply->AsInteger(), 0));
      seen_at_ = now;
    }
    return bytes_;
  }

  uint64_t bytes_max() const override { return options_.bytes_max; }

  Result<int> RemoveOlderThan(Milliseconds age) override {
    int removed = 0;
    while (true) {
      const int64_t some = TRY(redis_->Ask(Script(kRemoveOld).Add(age.count()))).integer;
      removed += static_cast<int>(some);
      if (some < 200) break;
    }
    seen_at_ = 0;
    return removed;
  }

 private:
  static size_t Chunks(size_t size) { return (size + kChunkBytes - 1) / kChunkBytes; }
  static bool Valid(const std::string& id) {
    return id.size() == kIdDigits && HexDecode(id).has_value();
  }
  static size_t SizeOf(const std::string& id) {
    return std::stoul(id.substr(kRandomDigits), nullptr, 16);
  }
  static std::string NewId(uint32_t size) {
    std::string raw = RandomBytes(kRandomDigits / 2);
    for (int shift = 24; shift >= 0; shift -= 8) raw += static_cast<char>(size >> shift);
    return HexEncode(raw);
  }
  static Error Damaged(const std::string& id) {
    return Error{Code::kNotFound, "blob " + id + ": damaged"};
  }
  std::string ChunkKey(const std::string& id, size_t number) const {
    return options_.prefix + "blob:" + id + ":" + std::to_string(number);
  }
  std::string CountKey() const { return options_.prefix + "blobs:bytes"; }
  RedisCommand Script(std::string_view text) const {
    RedisCommand command("EVAL");
    command.Add(text).Add(1).Add(CountKey()).Add(static_cast<int64_t>(kChunkBytes));
    return command;
  }

  Result<> Store(const std::string& id, std::string_view bytes) {
    const uint64_t sum = Checksum(bytes);
    std::string first(reinterpret_cast<const char*>(&sum), sizeof(sum));
    const size_t rest = std::min(bytes.size(), kChunkBytes - sizeof(sum));
    first += bytes.substr(0, rest);
    bytes.remove_prefix(rest);
    std::vector<RedisCommand> commands;
    const auto add = [&](std::string_view chunk) {
      commands.emplace_back(RedisCommand("SET")
                                .Add(ChunkKey(id, commands.size()))
                                .Add(chunk)
                                .Add("PX")
                                .Add(options_.ttl.count()));
    };
    add(first);
    for (; !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), kChunkBytes))) {
      add(bytes.substr(0, kChunkBytes));
    }
    for (const RedisReply& reply : TRY(redis_->Pipeline(commands))) {
      if (reply.is_error()) return RedisError(reply);
    }
    return Ok{};
  }

  const std::shared_ptr<Redis> redis_;
  const RedisBlobOptions options_;
  mutable std::atomic<uint64_t> bytes_ = 0;
  mutable std::atomic<int64_t> seen_at_ = 0;  // of the steady clock; 0: not
};

}  // namespace

std::unique_ptr<BlobStore> OpenRedisBlobStore(std::shared_ptr<Redis> redis,
                                              const RedisBlobOptions& options) {
  return std::make_unique<RedisBlobStore>(std::move(redis), options);
}

}  // namespace msearch::storage
