#include "base/unicode.h"

#include <unicode/locid.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/utf8.h>

namespace msearch {

std::u32string ToCodePoints(std::string_view utf8) {
  std::u32string out;
  out.reserve(utf8.size());
  const auto* bytes = reinterpret_cast<const uint8_t*>(utf8.data());
  int32_t at = 0;
  const auto size = static_cast<int32_t>(utf8.size());
  while (at < size) {
    UChar32 point = 0;
    U8_NEXT_OR_FFFD(bytes, at, size, point);
    out.push_back(static_cast<char32_t>(point));
  }
  return out;
}

void AppendUtf8(std::string& out, char32_t point) {
  uint8_t buffer[U8_MAX_LENGTH];
  int32_t size = 0;
  UBool failed = false;
  U8_APPEND(buffer, size, U8_MAX_LENGTH, static_cast<UChar32>(point), failed);
  if (failed) {
    out += "\xEF\xBF\xBD";
  } else {
    out.append(reinterpret_cast<const char*>(buffer), static_cast<size_t>(size));
  }
}

std::string FromCodePoints(std::u32string_view points) {
  std::string out;
  out.reserve(points.size());
  for (char32_t point : points) AppendUtf8(out, point);
  return out;
}

namespace {

const icu::Normalizer2* Normalizer(NormalForm form, UErrorCode& status) {
  switch (form) {
    case NormalForm::kNfc:
      return icu::Normalizer2::getNFCInstance(status);
    case NormalForm::kNfd:
      return icu::Normalizer2::getNFDInstance(status);
    case NormalForm::kNfkc:
      return icu::Normalizer2::getNFKCInstance(status);
    case NormalForm::kNfkd:
      return icu::Normalizer2::getNFKDInstance(status);
  }
  return nullptr;
}

icu::UnicodeString FromUtf8(std::string_view utf8) {
  return icu::UnicodeString::fromUTF8(
      icu::StringPiece(utf8.data(), static_cast<int32_t>(utf8.size())));
}

bool InMask(char32_t point, uint32_t mask) {
  return (U_MASK(u_charType(static_cast<UChar32>(point))) & mask) != 0;
}

}  // namespace

std::string NormalizeUnicode(std::string_view utf8, NormalForm form) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* normalizer = Normalizer(form, status);
  if (U_FAILURE(status)) return std::string(utf8);
  std::string out;
  normalizer->normalize(FromUtf8(utf8), status).toUTF8String(out);
  return U_SUCCESS(status) ? out : std::string(utf8);
}

std::string LowerCase(std::string_view utf8) {
  std::string out;
  FromUtf8(utf8).toLower(icu::Locale::getRoot()).toUTF8String(out);
  return out;
}

bool IsSpacePoint(char32_t point) { return u_isUWhiteSpace(static_cast<UChar32>(point)); }
bool IsLetterPoint(char32_t point) { return InMask(point, U_GC_L_MASK); }
bool IsNumberPoint(char32_t point) { return InMask(point, U_GC_N_MASK); }
bool IsMarkPoint(char32_t point) { return InMask(point, U_GC_MN_MASK); }
bool IsPunctuationPoint(char32_t point) { return InMask(point, U_GC_P_MASK); }
bool IsControlPoint(char32_t point) { return InMask(point, U_GC_C_MASK); }

bool IsHanPoint(char32_t point) {
  return u_hasBinaryProperty(static_cast<UChar32>(point), UCHAR_UNIFIED_IDEOGRAPH) ||
         (point >= 0xF900 && point <= 0xFAFF) || (point >= 0x2F800 && point <= 0x2FA1F);
}

}  // namespace msearch
