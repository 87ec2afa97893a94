// int8: each vector is divided by its own largest magnitude / 127. One scale for all would leave
// most vectors a fraction of the range (measured: recall@10 0.928 instead of 0.987 before
// re-scoring). The kernels are bound by memory, not by arithmetic: on a machine that reads 28 GB/s
// all of them do, so that halving the bytes doubles the speed. Asking for memory ahead of the
// kernel gained nothing on a mapped file, and lost a tenth when its pages lay scattered.
#include "index/codes.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "numkong_dots.h"

namespace msearch::index {
namespace {

const numkong_dots& Dots() {
  static const numkong_dots dots = numkong_find_dots();
  return dots;
}

float EncodeInt8(std::span<const float> vector, int8_t* code) {
  float largest = 0;
  for (const float x : vector) largest = std::max(largest, std::fabs(x));
  const float scale = largest / 127;
  const float inverse = scale > 0 ? 127 / largest : 0;
  if (!std::isfinite(inverse)) return std::fill_n(code, vector.size(), int8_t{0}), 0.0F;
  for (size_t i = 0; i < vector.size(); ++i) {
    code[i] = static_cast<int8_t>(std::lrint(std::clamp(vector[i] * inverse, -127.0F, 127.0F)));
  }
  return scale;
}

// To the nearest, ties to even.
uint16_t ToBf16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  return static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

}  // namespace

uint64_t CodeBytes(const View& view) {
  const uint64_t element = view.codes == View::Codes::kInt8 ? 1 : 2;
  return (uint64_t{view.dimensions} * element + 63) / 64 * 64;
}

float Encode(const View& view, const float* vector, std::byte* code) {
  std::memset(code, 0, CodeBytes(view));
  if (view.codes == View::Codes::kInt8) {
    return EncodeInt8({vector, view.dimensions}, reinterpret_cast<int8_t*>(code));
  }
  std::transform(vector, vector + view.dimensions, reinterpret_cast<uint16_t*>(code), ToBf16);
  return 1;
}

double ExactDot(const float* a, const float* b, size_t count) {
  double sum = 0;
  Dots().f32(a, b, count, &sum);
  return sum;
}

QueryCode::QueryCode(const View& view, std::span<const float> query, float sign)
    : codes_(view.codes), bytes_(CodeBytes(view)), code_(MakeArray<std::byte>(bytes_)) {
  if (!code_) throw std::bad_alloc();
  scale_ = sign * Encode(view, query.data(), code_.get());
}

void QueryCode::DotRows(const std::byte* codes, const float* scales, size_t count,
                        float* products) const {
  if (codes_ == View::Codes::kInt8) {
    const auto* query = reinterpret_cast<const int8_t*>(code_.get());
    const auto dot = Dots().i8;
    for (size_t row = 0; row < count; ++row, codes += bytes_) {
      int32_t sum = 0;
      dot(query, reinterpret_cast<const int8_t*>(codes), bytes_, &sum);
      products[row] = static_cast<float>(sum) * (scales[row] * scale_);
    }
  } else {
    const auto* query = reinterpret_cast<const uint16_t*>(code_.get());
    const auto dot = Dots().bf16;
    for (size_t row = 0; row < count; ++row, codes += bytes_) {
      float sum = 0;
      dot(query, reinterpret_cast<const uint16_t*>(codes), bytes_ / 2, &sum);
      products[row] = sum * scale_;
    }
  }
}

}  // namespace msearch::index
