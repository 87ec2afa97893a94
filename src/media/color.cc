#include "media/color.h"

#include <lcms2.h>

#include <memory>

namespace msearch::media {
namespace {

struct Close {
  void operator()(void* profile) const { cmsCloseProfile(profile); }
};
struct Delete {
  void operator()(void* transform) const { cmsDeleteTransform(transform); }
};
using Profile = std::unique_ptr<void, Close>;
using Transform = std::unique_ptr<void, Delete>;

Profile OpenProfile(std::string_view bytes, cmsColorSpaceSignature space) {
  if (bytes.empty()) return nullptr;
  Profile profile(cmsOpenProfileFromMem(bytes.data(), static_cast<cmsUInt32Number>(bytes.size())));
  if (profile && cmsGetColorSpace(profile.get()) != space) return nullptr;
  return profile;
}

bool Convert(Raster& raster, void* profile, cmsUInt32Number format) {
  const Profile srgb(cmsCreate_sRGBProfile());
  const Transform transform(cmsCreateTransform(profile, format, srgb.get(), TYPE_RGBA_8,
                                               INTENT_RELATIVE_COLORIMETRIC,
                                               cmsFLAGS_BLACKPOINTCOMPENSATION));
  if (!transform) return false;
  const auto pixels = static_cast<cmsUInt32Number>(raster.width);
  for (uint32_t y = 0; y < raster.height; ++y) {
    cmsDoTransform(transform.get(), raster.row(y), raster.row(y), pixels);
  }
  return true;
}

// Profiles of sRGB name it in their description, in 8-bit or 16-bit letters; the usual ones are
// small. A wide-gamut profile doesn't.
bool IsSrgb(std::string_view profile) {
  constexpr std::string_view kWide("s\0R\0G\0B", 7);
  return profile.find("sRGB") != profile.npos || profile.find(kWide) != profile.npos;
}

}  // namespace

void RgbToSrgb(Raster& raster, std::string_view icc_profile) {
  if (icc_profile.empty() || IsSrgb(icc_profile)) return;
  const Profile profile = OpenProfile(icc_profile, cmsSigRgbData);
  if (profile) Convert(raster, profile.get(), TYPE_RGBA_8);
}

void CmykToSrgb(Raster& raster, std::string_view icc_profile, bool inverted) {
  const Profile profile = OpenProfile(icc_profile, cmsSigCmykData);
  if (profile && Convert(raster, profile.get(), inverted ? TYPE_CMYK_8_REV : TYPE_CMYK_8)) return;
  for (size_t i = 0; i < raster.rgbx.size(); i += 4) {
    uint8_t* p = &raster.rgbx[i];
    const int no_black = inverted ? p[3] : 255 - p[3];
    for (int channel = 0; channel < 3; ++channel) {
      const int no_ink = inverted ? p[channel] : 255 - p[channel];
      p[channel] = static_cast<uint8_t>((no_ink * no_black + 127) / 255);
    }
  }
}

}  // namespace msearch::media
