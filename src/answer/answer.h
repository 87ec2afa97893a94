// What an answer is made of: passages of the library, the claims taken from them, and citations
// that lead back to file, page, time or place in a picture.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "answer/question.h"
#include "base/json.h"
#include "base/result.h"

namespace msearch::answer {

// A part of the library that may hold the answer.
struct Passage {
  int64_t media_id = 0;
  int64_t segment_id = 0;
  uint32_t segment_index = 0;
  std::string type;  // of the media: "image", "video", "audio", "document"
  std::string kind;  // of the segment: "passage", "speech", "text", "picture", ...; may be empty
  std::string root;
  std::string path;
  std::string text;
  struct Label {
    std::string text;
    double probability = 0;
  };
  std::vector<Label> labels;  // what a picture shows
  std::optional<double> start_time;
  std::optional<double> end_time;
  std::optional<int64_t> page;
  struct Box {
    std::string text;
    std::vector<double> place;  // x, y, width, height as fractions
  };
  std::vector<Box> boxes;  // of text in a picture
  double words = 0;        // how well it has the question's words, in the manner of BM25
  double meaning = 0;      // the model's confidence that it is about the question
  bool strong = false;     // by the model's own calibration
};

struct Evidence {
  std::vector<Passage> passages;  // best first
  std::vector<double> rarity;     // of each term of the question
  std::string notice;             // what couldn't be asked, and why
};

// How retrieval is reached: over HTTP by workers, directly in tests.
using Retriever = std::function<Result<Evidence>(const Question& question, const Json& filters,
                                                 size_t limit, std::stop_token stop)>;

struct Citation {
  Passage passage;
  std::string quote;
  std::vector<double> box;  // around what is quoted; empty: none
};
// A citation of this quote, with the box around the lines of it.
Citation Cite(const Passage& passage, const std::string& quote);

struct Claim {
  std::string text;
  std::vector<int> citations;  // numbers of citations, from 1
};

struct Answer {
  std::string mode = "extractive";  // or "generated"
  bool found = false;               // else: not in your library
  double confidence = 0;            // 0 to 1
  std::string text;
  std::vector<Claim> claims;
  std::vector<Citation> citations;
  std::vector<Citation> nearest;  // when not found: what came nearest
  std::string notice;             // "generated answers are off: ..."
  std::string model;              // that generated it
};

Json ToJson(const Passage& passage);
Json ToJson(const Answer& answer, const Question& question);
// From a hit of POST /api/passages.
Passage PassageFromJson(const Json& json);

// The sentence that says that nothing was found, in the question's language.
std::string NotInLibrary(const Question& question);

}  // namespace msearch::answer
