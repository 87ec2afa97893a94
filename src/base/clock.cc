#include "base/clock.h"

#include <ctime>
#include <regex>

#include "base/log.h"

namespace msearch {
namespace {

class RealClock final : public Clock {
 public:
  UnixMs NowMs() const override {
    return std::chrono::duration_cast<Milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
};

}  // namespace

const Clock& SystemClock() {
  static const RealClock clock;
  return clock;
}

std::string FormatRfc3339(UnixMs time) {
  UnixMs millis = time % 1000;
  time_t seconds = time / 1000;
  if (millis < 0) {
    millis += 1000;
    --seconds;
  }
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     millis);
}

Result<UnixMs> ParseRfc3339(std::string_view text) {
  static const std::regex kPattern(
      R"((\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?([Zz]|[+-]\d\d:?\d\d)?)?)");
  std::cmatch match;
  if (text.size() > 40 || !std::regex_match(text.begin(), text.end(), match, kPattern)) {
    return Error{Code::kInvalid, std::string(text.substr(0, 40)) + ": not an RFC 3339 time"};
  }
  auto number = [&](int group) { return match[group].matched ? std::stoi(match[group].str()) : 0; };
  std::tm parts{};
  parts.tm_year = number(1) - 1900;
  parts.tm_mon = number(2) - 1;
  parts.tm_mday = number(3);
  parts.tm_hour = number(4);
  parts.tm_min = number(5);
  parts.tm_sec = number(6);
  if (parts.tm_mon < 0 || parts.tm_mon > 11 || parts.tm_mday < 1 || parts.tm_mday > 31 ||
      parts.tm_hour > 23 || parts.tm_min > 59 || parts.tm_sec > 60) {
    return Error{Code::kInvalid, std::string(text) + ": not a date"};
  }
  const std::tm asked = parts;
  int64_t seconds = timegm(&parts);
  if (parts.tm_mday != asked.tm_mday || parts.tm_mon != asked.tm_mon) {
    return Error{Code::kInvalid, std::string(text) + ": not a date"};
  }
  UnixMs millis = 0;
  if (match[7].matched) millis = std::stoi((match[7].str() + "000").substr(0, 3));
  if (match[8].matched && match[8].length() > 1) {
    const std::string offset = match[8].str();
    const int hours = std::stoi(offset.substr(1, 2));
    const int minutes = std::stoi(offset.substr(offset.size() - 2));
    seconds -= (offset[0] == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
  }
  return seconds * 1000 + millis;
}

}  // namespace msearch
