// Code points and their properties, for tokenizers and dictionaries. Thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace msearch {

// Invalid sequences become U+FFFD.
std::u32string ToCodePoints(std::string_view utf8);
std::string FromCodePoints(std::u32string_view points);
void AppendUtf8(std::string& out, char32_t point);

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };
std::string NormalizeUnicode(std::string_view utf8, NormalForm form);
// The Unicode default lower case, of no language in particular.
std::string LowerCase(std::string_view utf8);

bool IsSpacePoint(char32_t point);        // White_Space, including U+00A0
bool IsLetterPoint(char32_t point);       // general category L*
bool IsNumberPoint(char32_t point);       // N*
bool IsMarkPoint(char32_t point);         // Mn: combines with the letter before it
bool IsPunctuationPoint(char32_t point);  // P*
bool IsControlPoint(char32_t point);      // C*: control, format, unassigned, private, surrogate
// Chinese characters (also in Japanese and Korean text): written without spaces between words.
bool IsHanPoint(char32_t point);

}  // namespace msearch
