// Formats that are read with software which a machine may lack: what tells the machines that can
// open a file from those that can't. JPEG, BMP, plain text, Markdown and subtitles are read
// everywhere.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace msearch::media {

struct Format {
  std::string_view name;      // in settings and names of queues: "pdf"
  std::string_view title;     // in sentences: "PDF documents"
  std::string_view software;  // that reads it, as packages are called
};

std::span<const Format> Formats();
const Format* FindFormat(std::string_view name);  // null: none is called so

// The name of the format that a file of this name should have; empty: one that every machine reads,
// or none known.
std::string_view FormatOfName(std::string_view path);
// The same by a media type, as Prepared::mime.
std::string_view FormatOfMime(std::string_view mime);
// The same by the first bytes of an open file, as the codec child will take it.
std::string_view FormatOf(const Fd& file, std::string_view name);

// Whose software is on this machine, as a codec child finds it: it starts one with these arguments
// (see Codec), which ends before this returns.
Result<std::vector<std::string>> InstalledFormats(std::vector<std::string> child_arguments);

// The child's side.
std::vector<std::string> FindInstalledFormats();

}  // namespace msearch::media
