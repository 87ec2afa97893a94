// Films and sounds made by the ffmpeg program, in a temporary folder.
#pragma once

#include <string>
#include <vector>

namespace msearch::test {

// The bytes of the file with this extension that ffmpeg makes of these arguments. Empty, with a
// failed expectation, when it can't.
std::string MadeByFfmpeg(const std::string& arguments, const std::string& extension);

// A lavfi graph for -filter_complex whose output [v] shows one scene after the other, each unlike
// its neighbours: bars, a fractal, a test card, colours. `seconds` has an entry for each scene.
std::string Scenes(const std::vector<double>& seconds, int width = 320, int height = 180,
                   int rate = 25);

}  // namespace msearch::test
