// Vectors in few bits, and their inner products by SIMD.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>

#include "index/vector_index.h"

namespace msearch::index {

// Memory for `count` elements at a multiple of 64 bytes, not initialised, so that pages which are
// never written take no room. Null when there's none left.
struct FreeMemory {
  void operator()(void* memory) const { std::free(memory); }
};
template <typename T>
using Array = std::unique_ptr<T[], FreeMemory>;
template <typename T>
Array<T> MakeArray(size_t count) {
  const size_t bytes = (count * sizeof(T) + 63) / 64 * 64;
  return Array<T>(static_cast<T*>(std::aligned_alloc(64, bytes)));
}

// The bytes from one vector's code to the next: a multiple of 64, the rest is zero.
uint64_t CodeBytes(const View& view);

// Writes the code of `vector` to CodeBytes(view) bytes at `code`, and returns the scale: vector[i]
// is about scale * code[i]. The scale of bf16 is 1.
float Encode(const View& view, const float* vector, std::byte* code);

// In float32 with the products and the sum in double.
double ExactDot(const float* a, const float* b, size_t count);

// A query, encoded like the view's vectors.
class QueryCode {
 public:
  // `sign` -1 turns the order around: the products are those of the negated query.
  QueryCode(const View& view, std::span<const float> query, float sign = 1);

  // About the inner products with `count` vectors whose codes and scales lie one after another;
  // `scales` may be null for bf16.
  void DotRows(const std::byte* codes, const float* scales, size_t count, float* products) const;
  uint64_t bytes() const { return bytes_; }

 private:
  View::Codes codes_;
  uint64_t bytes_;
  float scale_;
  Array<std::byte> code_;
};

}  // namespace msearch::index
