// What a picture is, without a language model: what it shows, its colours, the text in it, where
// and when it was taken, and what in the library is like it; and a description composed of these.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "answer/controller_client.h"
#include "answer/language_model.h"
#include "answer/request.h"
#include "embedding/embedder.h"
#include "media/codec.h"

namespace msearch::answer {

struct NamedColor {
  std::string name;  // "dark blue" is "blue": twelve names
  std::string chinese;
  double share = 0;  // of the picture
  uint32_t rgb = 0;  // the mean of what has this name
};
// The colours that a person would name, most of the picture first; those of less than 4 % are
// left out.
std::vector<NamedColor> NameColors(const media::View& view);

// Text found in a picture; the box as fractions, [x, y, w, h].
struct FoundText {
  std::string text;
  double confidence = 0;
  std::vector<double> box;
};

// What analysing needs from the process that does it.
struct AnalysisParts {
  std::shared_ptr<media::Codec> codec;  // used by one analysis at a time
  media::PrepareOptions prepare;        // limits; pixels are set here
  std::shared_ptr<ControllerClient> controller;
  std::shared_ptr<LanguageModel> model;
  // How the named model wants pictures, and what it sees in one.
  std::function<Result<embedding::ImageInputSpec>(const std::string& model)> input;
  std::function<Result<std::vector<embedding::Label>>(const std::string& model,
                                                      const std::string& rgb)>
      labels;
  // Whether pictures of this format are opened here; one that isn't is left to another worker.
  // Empty: there is no other.
  std::function<bool(std::string_view format)> opens;
  // Reads text in pictures; empty where no reader is there.
  std::function<Result<std::vector<FoundText>>(const media::View& view)> read_text;
};

using Progressed =
    std::function<void(double fraction, const std::string& stage, const std::string& message)>;

// The result of an analysis as JSON. Parts that fail say so in "notices"; only a picture that can't
// be had or decoded fails as a whole. `elsewhere` is set when it failed because another worker has
// to open it.
Result<Json> Analyze(const AnalysisParts& parts, const Request& request, const Progressed& progress,
                     std::stop_token stop, bool* elsewhere);

// From what an analysis found, in words.
std::string ComposeDescription(const Json& analysis, bool chinese);

}  // namespace msearch::answer
