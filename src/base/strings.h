// Text helpers. Everything that leaves a file name or a document is UTF-8 or treated as bytes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace msearch {

std::string HexEncode(std::string_view bytes);
std::optional<std::string> HexDecode(std::string_view hex);
std::string Base64Encode(std::string_view bytes);
// Standard alphabet, padding optional, white space skipped; nothing for anything else.
std::optional<std::string> Base64Decode(std::string_view text);

// `count` bytes from the operating system's generator.
std::string RandomBytes(size_t count);

std::vector<std::string_view> Split(std::string_view text, char separator);
std::string_view Trim(std::string_view text);
std::string Join(const std::vector<std::string>& parts, std::string_view separator);
std::string AsciiLower(std::string_view text);

bool IsUtf8(std::string_view bytes);
// Invalid sequences become U+FFFD.
std::string SanitizeUtf8(std::string_view bytes);
// Unicode normalisation (NFKC) and case folding, for comparing and indexing words.
std::string FoldCase(std::string_view utf8);
// At most `bytes_max` bytes, never cutting a code point.
std::string_view TruncateUtf8(std::string_view utf8, size_t bytes_max);

// "*", "?" and "[...]" within one path component; "**" any number of components. A pattern
// without a slash matches the last component anywhere.
bool GlobMatch(std::string_view pattern, std::string_view path);

// The candidate nearest to `word` by edit distance, if it's near enough to be a misspelling.
std::optional<std::string> NearestWord(std::string_view word,
                                       const std::vector<std::string>& candidates);

}  // namespace msearch
