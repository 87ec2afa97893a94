// Expected failures are values: a function that can fail for a reason outside the program returns
// Result<T>. Bugs abort. Exceptions of third-party libraries end in the file that includes them.
#pragma once

#include <cassert>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace msearch {

// Chosen by what the caller will do about it, not by where it came from.
enum class Code {
  kInvalid,      // the request or input is wrong; repeating it can't help
  kNotFound,     // the thing named doesn't exist (any more)
  kConflict,     // it exists already, or its state forbids the operation
  kPermission,   // not allowed
  kUnsupported,  // well-formed, but no decoder, model or device for it
  kCorrupt,      // stored or received data is damaged; repeating can't help
  kTooLarge,     // a bound was hit
  kStale,        // fenced off: a newer lease, epoch or version took over
  kCancelled,    // somebody asked for it to stop
  kTimeout,      // did not end within its time
  kUnavailable,  // a service, disk or file is away for now; try again later
  kExhausted,    // out of disk, memory or file descriptors for now
  kCrashed,      // a child process died while doing it
  kInternal,     // anything else
};

// "invalid", "not_found", ...: stable; used in APIs and stored failures.
std::string_view CodeName(Code code);
// The reverse; kInternal for an unknown name.
Code CodeFromName(std::string_view name);
// Whether the same operation may succeed later without anybody changing its input.
bool IsTransient(Code code);

// `message` reads "object: fault", is meant for the user, and ends without a full stop.
struct Error {
  Code code = Code::kInternal;
  std::string message;
};

// "object: strerror(errno)", with the code that fits the errno.
Error ErrnoError(std::string_view object, int error_number);

struct Ok {};

template <typename T = Ok>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
  Result(Code code, std::string message)
      : state_(std::in_place_index<1>, Error{code, std::move(message)}) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // REQUIRES: ok()
  T& value() & { return assert(ok()), *std::get_if<0>(&state_); }
  const T& value() const& { return assert(ok()), *std::get_if<0>(&state_); }
  T&& value() && { return assert(ok()), std::move(*std::get_if<0>(&state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T value_or(T other) && { return ok() ? std::move(*this).value() : std::move(other); }

  // REQUIRES: !ok()
  const Error& error() const { return assert(!ok()), *std::get_if<1>(&state_); }
  Code code() const { return error().code; }
  const std::string& message() const { return error().message; }

 private:
  std::variant<T, Error> state_;
};

// The value of `expression`, or return its error from the enclosing function.
#define TRY(expression) MSEARCH_TRY_(expression, MSEARCH_JOIN_(try_result_, __COUNTER__))
#define MSEARCH_JOIN_(a, b) MSEARCH_JOIN2_(a, b)
#define MSEARCH_JOIN2_(a, b) a##b
#define MSEARCH_TRY_(expression, name)              \
  __extension__({                                   \
    auto name = (expression);                       \
    if (!name.ok()) return std::move(name).error(); \
    std::move(name).value();                        \
  })

}  // namespace msearch
