// Waiting in tests for what other threads and processes do.
#pragma once

#include <chrono>
#include <functional>
#include <thread>

namespace msearch::test {

// Polls until it holds; false after a minute, which only a broken program reaches.
inline bool Eventually(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace msearch::test
