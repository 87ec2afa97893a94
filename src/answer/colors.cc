#include <algorithm>
#include <array>

#include "answer/analysis.h"

// Each pixel gets a name by hue, saturation and lightness. The borders between the names are where
// people tend to draw them: little lightness is black whatever the hue, dark orange is brown, light
// red is pink.

namespace msearch::answer {
namespace {

enum Name {
  kBlack,
  kWhite,
  kGrey,
  kRed,
  kOrange,
  kYellow,
  kGreen,
  kTurquoise,
  kBlue,
  kPurple,
  kPink,
  kBrown,
  kNames
};

constexpr std::array<std::pair<const char*, const char*>, kNames> kTexts{{{"black", "黑色"},
                                                                          {"white", "白色"},
                                                                          {"grey", "灰色"},
                                                                          {"red", "红色"},
                                                                          {"orange", "橙色"},
                                                                          {"yellow", "黄色"},
                                                                          {"green", "绿色"},
                                                                          {"turquoise", "青色"},
                                                                          {"blue", "蓝色"},
                                                                          {"purple", "紫色"},
                                                                          {"pink", "粉色"},
                                                                          {"brown", "棕色"}}};
constexpr double kShareMin = 0.04;

Name NameOf(int r, int g, int b) {
  const int high = std::max({r, g, b});
  const int low = std::min({r, g, b});
  const double lightness = (high + low) / 510.0;
  const int spread = high - low;
  const double saturation = high == 0 ? 0 : static_cast<double>(spread) / high;
  if (high < 45) return kBlack;
  if (saturation < 0.12 || spread < 18) {
    return lightness > 0.88 ? kWhite : lightness < 0.2 ? kBlack : kGrey;
  }
  double hue = 0;
  if (high == r) {
    hue = 60.0 * (g - b) / spread;
  } else if (high == g) {
    hue = 120 + 60.0 * (b - r) / spread;
  } else {
    hue = 240 + 60.0 * (r - g) / spread;
  }
  if (hue < 0) hue += 360;
  if (lightness > 0.93) return kWhite;
  if (hue < 15 || hue >= 345) return lightness > 0.7 ? kPink : kRed;
  if (hue < 42) return high < 165 || saturation < 0.45 ? kBrown : kOrange;
  if (hue < 68) return high < 110 ? kBrown : kYellow;
  if (hue < 160) return kGreen;
  if (hue < 195) return kTurquoise;
  if (hue < 255) return kBlue;
  if (hue < 300) return kPurple;
  return kPink;
}

}  // namespace

std::vector<NamedColor> NameColors(const media::View& view) {
  struct Sum {
    uint64_t count = 0, r = 0, g = 0, b = 0;
  };
  std::array<Sum, kNames> sums{};
  const size_t pixels = view.rgb.size() / 3;
  for (size_t i = 0; i < pixels; ++i) {
    const auto at = [&](size_t channel) {
      return static_cast<int>(static_cast<unsigned char>(view.rgb[3 * i + channel]));
    };
    Sum& sum = sums[NameOf(at(0), at(1), at(2))];
    ++sum.count;
    sum.r += static_cast<uint64_t>(at(0));
    sum.g += static_cast<uint64_t>(at(1));
    sum.b += static_cast<uint64_t>(at(2));
  }
  std::vector<NamedColor> colors;
  for (size_t name = 0; name < kNames; ++name) {
    const Sum& sum = sums[name];
    if (sum.count == 0) continue;
    const double share = static_cast<double>(sum.count) / static_cast<double>(pixels);
    if (share < kShareMin) continue;
    const uint64_t rgb = (sum.r / sum.count) << 16 | (sum.g / sum.count) << 8 | (sum.b / sum.count);
    colors.push_back({kTexts[name].first, kTexts[name].second, share, static_cast<uint32_t>(rgb)});
  }
  std::stable_sort(colors.begin(), colors.end(),
                   [](const auto& a, const auto& b) { return a.share > b.share; });
  return colors;
}

}  // namespace msearch::answer
