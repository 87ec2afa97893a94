#include "embedding/text_order.h"

#include <algorithm>
#include <functional>
#include <utility>

// Recursive cuts through white space (Nagy and Seth, 1984): a set of lines is cut into columns
// where nothing crosses a wide enough strip from top to bottom; else into an upper and a lower part
// at the tallest strip that nothing crosses from left to right, so that a headline above two
// columns comes off and the columns are found below it.

namespace msearch::embedding {
namespace {

constexpr float kColumnGap = 1.0F;  // heights of a line

class Order {
 public:
  explicit Order(const std::vector<TextBox>& lines) : lines_(lines) {
    std::vector<float> heights;
    for (const TextBox& line : lines) heights.push_back(line.height);
    std::nth_element(heights.begin(), heights.begin() + static_cast<ptrdiff_t>(heights.size() / 2),
                     heights.end());
    height_ = heights[heights.size() / 2];
  }

  void Cut(std::vector<size_t> part, int depth, std::vector<size_t>* out) const {
    if (part.size() > 1 && depth < kDepthMax) {
      size_t first = SplitAt(part, true, kColumnGap * height_);
      if (first == 0 || !HasRows(part, first)) first = SplitAt(part, false, 0);
      if (first > 0) {
        const auto middle = part.begin() + static_cast<ptrdiff_t>(first);
        Cut({part.begin(), middle}, depth + 1, out);
        Cut({middle, part.end()}, depth + 1, out);
        return;
      }
    }
    SortRows(part);
    out->insert(out->end(), part.begin(), part.end());
  }

 private:
  static constexpr int kDepthMax = 200;

  float Begin(size_t i, bool columns) const { return columns ? lines_[i].x : lines_[i].y; }
  float End(size_t i, bool columns) const {
    return columns ? lines_[i].x + lines_[i].width : lines_[i].y + lines_[i].height;
  }

  float Middle(size_t i) const { return lines_[i].y + lines_[i].height / 2; }

  // From top to bottom; what stands beside each other, from left to right.
  void SortRows(std::vector<size_t>& part) const {
    std::sort(part.begin(), part.end(), [&](size_t a, size_t b) { return Middle(a) < Middle(b); });
    for (auto row = part.begin(); row != part.end();) {
      auto end = row + 1;
      while (end != part.end() && Middle(*end) - Middle(*row) < lines_[*row].height / 2) ++end;
      std::sort(row, end, [&](size_t a, size_t b) { return lines_[a].x < lines_[b].x; });
      row = end;
    }
  }

  // Sorts the part and tells how many of it come before its widest gap; 0 without one above
  // `least`.
  size_t SplitAt(std::vector<size_t>& part, bool columns, float least) const {
    std::sort(part.begin(), part.end(),
              [&](size_t a, size_t b) { return Begin(a, columns) < Begin(b, columns); });
    size_t best = 0;
    float widest = least, reached = End(part[0], columns);
    for (size_t i = 1; i < part.size(); ++i) {
      const float gap = Begin(part[i], columns) - reached;
      if (gap > widest) {
        widest = gap;
        best = i;
      }
      reached = std::max(reached, End(part[i], columns));
    }
    return best;
  }

  // Columns have more than one line; two pieces of one line haven't.
  bool HasRows(const std::vector<size_t>& part, size_t first) const {
    auto rows = [&](size_t begin, size_t end) {
      float low = lines_[part[begin]].y, high = low;
      for (size_t i = begin; i < end; ++i) {
        low = std::min(low, lines_[part[i]].y);
        high = std::max(high, lines_[part[i]].y);
      }
      return high - low > height_ / 2;
    };
    return rows(0, first) && rows(first, part.size());
  }

  const std::vector<TextBox>& lines_;
  float height_ = 0;
};

}  // namespace

std::vector<size_t> ReadingOrder(const std::vector<TextBox>& lines) {
  std::vector<size_t> all, out;
  for (size_t i = 0; i < lines.size(); ++i) all.push_back(i);
  if (!all.empty()) Order(lines).Cut(std::move(all), 0, &out);
  return out;
}

}  // namespace msearch::embedding
