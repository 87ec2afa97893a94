#include "media/color.h"

#include <gtest/gtest.h>
#include <lcms2.h>

#include "media/encode.h"
#include "support/pictures.h"
#include "support/prepare_bytes.h"

namespace msearch::media {
namespace {

// As sRGB, but with the primaries of red and green exchanged: whoever heeds it sees other colours.
std::string ExchangedProfile() {
  const cmsCIExyY white = {0.3127, 0.3290, 1};
  const cmsCIExyYTRIPLE primaries = {{0.30, 0.60, 1}, {0.64, 0.33, 1}, {0.15, 0.06, 1}};
  cmsToneCurve* gamma = cmsBuildGamma(nullptr, 2.2);
  cmsToneCurve* curves[] = {gamma, gamma, gamma};
  cmsHPROFILE profile = cmsCreateRGBProfile(&white, &primaries, curves);
  cmsUInt32Number size = 0;
  cmsSaveProfileToMem(profile, nullptr, &size);
  std::string bytes(size, '\0');
  cmsSaveProfileToMem(profile, bytes.data(), &size);
  cmsCloseProfile(profile);
  cmsFreeToneCurve(gamma);
  return bytes;
}

TEST(Color, EmbeddedProfileOfJpegIsHeeded) {
  PrepareOptions options;
  options.pixels = {8, 8, PixelsWanted::Fit::kStretch};
  const std::string profile = ExchangedProfile();
  const std::string bytes =
      *EncodeJpeg(test::Flat(64, 64, {200, 20, 20}), {.quality = 95, .icc_profile = profile});
  const Result<Prepared> prepared = PrepareBytes(bytes, "a.jpg", options);
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  const test::Rgb color = test::PixelAt(FromRgb(prepared->pixels[0], 8, 8), 4, 4);
  EXPECT_GT(color[1], 150);
  EXPECT_LT(color[0], 80);
}

TEST(Color, SrgbStaysUntouched) {
  Raster raster = test::Flat(3, 3, {1, 2, 3});
  RgbToSrgb(raster, "an sRGB profile by its name");
  EXPECT_EQ(test::PixelAt(raster, 1, 1), (test::Rgb{1, 2, 3}));
}

TEST(Color, InkWithoutProfileBecomesLight) {
  Raster raster = test::Flat(1, 1, {0, 255, 255});  // magenta and yellow: red
  raster.rgbx[3] = 0;
  CmykToSrgb(raster, "", false);
  EXPECT_EQ(test::PixelAt(raster, 0, 0), (test::Rgb{255, 0, 0}));
}

}  // namespace
}  // namespace msearch::media
