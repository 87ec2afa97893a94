#include <algorithm>
#include <cmath>
#include <memory>

#include "base/file.h"
#include "base/strings.h"
#include "base/unicode.h"
#include "embedding/ctc.h"
#include "embedding/pack_kind.h"
#include "embedding/text_crop.h"
#include "embedding/text_map.h"
#include "embedding/text_order.h"
#include "embedding/text_reader.h"

// PaddleOCR's way: one network marks where text is, another reads each line. A first look at a
// small copy of the picture tells whether there is any text at all; only then is it looked at
// closely. Lines that stand on their side or upside down are read again, turned, when they make no
// sense otherwise.

namespace msearch::embedding {
namespace {

constexpr uint32_t kGlanceSide = 512;
constexpr uint32_t kLookSide = 1600;
constexpr uint32_t kSideStep = 32;  // of what the detector takes
constexpr uint32_t kLineHeight = 48;
constexpr uint32_t kLineWidthMin = 320;  // shorter lines were filled up in training
constexpr uint32_t kLineWidthMax = 3200;
constexpr float kTall = 1.5F;  // height to width from which a line is on its side
constexpr float kSure = 0.8F;  // no need to try it turned
constexpr float kConfidenceMin = 0.6F;
constexpr float kShortConfidenceMin = 0.85F;  // a single character is easily seen in a pattern
constexpr float kLikelySpace = 0.05F;
constexpr uint64_t kDictionaryBytesMax = 16 << 20;

constexpr PlaneScale kDetectionScale = {{0.485F, 0.456F, 0.406F}, {0.229F, 0.224F, 0.225F}};
constexpr PlaneScale kRecognitionScale = {{0.5F, 0.5F, 0.5F}, {0.5F, 0.5F, 0.5F}};

struct ReadQuad {
  TextQuad quad;
  std::vector<ReadCharacter> characters;
  float confidence = 0;
};

float MeanProbability(const std::vector<ReadCharacter>& characters) {
  float sum = 0;
  for (const ReadCharacter& character : characters) sum += character.probability;
  return characters.empty() ? 0 : sum / static_cast<float>(characters.size());
}

// Starting from another corner.
TextQuad Turned(const TextQuad& quad, size_t corner) {
  TextQuad out = quad;
  for (size_t i = 0; i < 4; ++i) out.corners[i] = quad.corners[(i + corner) % 4];
  return out;
}

// The upright box around the quad between two places of its length.
TextBox BoxOf(const TextQuad& quad, float from, float to, const PictureView& picture) {
  float left = 1e9F, top = 1e9F, right = -1e9F, bottom = -1e9F;
  for (float at : {from, to}) {
    for (const auto& [near, far] : {std::pair(0, 1), std::pair(3, 2)}) {
      const Point a = quad.corners[static_cast<size_t>(near)];
      const Point b = quad.corners[static_cast<size_t>(far)];
      const float x = a.x + at * (b.x - a.x), y = a.y + at * (b.y - a.y);
      left = std::min(left, x), right = std::max(right, x);
      top = std::min(top, y), bottom = std::max(bottom, y);
    }
  }
  const auto width = static_cast<float>(picture.width), height = static_cast<float>(picture.height);
  left = std::clamp(left / width, 0.0F, 1.0F), right = std::clamp(right / width, 0.0F, 1.0F);
  top = std::clamp(top / height, 0.0F, 1.0F), bottom = std::clamp(bottom / height, 0.0F, 1.0F);
  return {left, top, right - left, bottom - top};
}

bool SaysSomething(const std::string& text) {
  const std::u32string points = ToCodePoints(text);
  return std::any_of(points.begin(), points.end(),
                     [](char32_t c) { return IsLetterPoint(c) || IsNumberPoint(c); });
}

// Where a space was nearly as likely as none, between characters of scripts that have spaces.
std::vector<ReadCharacter> WithLikelySpaces(const std::vector<ReadCharacter>& characters) {
  auto spaced = [](const ReadCharacter& character) {
    const char32_t point = ToCodePoints(character.text)[0];
    return point < 0x2E80 && point != U' ';
  };
  std::vector<ReadCharacter> out;
  for (const ReadCharacter& character : characters) {
    if (character.text.empty()) continue;
    if (!out.empty() && character.space_before >= kLikelySpace && spaced(character) &&
        spaced(out.back())) {
      out.push_back({" ", (out.back().position + character.position) / 2, character.space_before});
    }
    out.push_back(character);
  }
  return out;
}

// Words are parted by spaces; each reaches half-way to the characters beside it.
SeenLine LineOf(const ReadQuad& read, const PictureView& picture) {
  SeenLine line;
  line.confidence = read.confidence;
  line.box = BoxOf(read.quad, 0, 1, picture);
  const std::vector<ReadCharacter>& characters = read.characters;
  SeenWord word;
  float begin = 0;
  auto end_word = [&](float end) {
    if (!word.text.empty()) {
      word.box = BoxOf(read.quad, begin, end, picture);
      line.words.push_back(std::move(word));
    }
    word = {};
  };
  for (size_t i = 0; i < characters.size(); ++i) {
    line.text += characters[i].text;
    const float before = i == 0 ? 0.0F : (characters[i - 1].position + characters[i].position) / 2;
    if (characters[i].text == " ") {
      end_word(before);
      continue;
    }
    if (word.text.empty()) begin = before;
    word.text += characters[i].text;
  }
  end_word(1);
  line.text = Trim(line.text);
  return line;
}

class PpOcr : public TextReader {
 public:
  static Result<std::unique_ptr<TextReader>> Load(const PackContext& context,
                                                  const SessionOptions& options) {
    auto reader = std::unique_ptr<PpOcr>(new PpOcr(context.key));
    const std::string folder = context.folder + "/";
    reader->detector_ = TRY(Session::Open(folder + "detection.onnx", options));
    reader->recogniser_ = TRY(Session::Open(folder + "recognition.onnx", options));
    const std::string dictionary = TRY(ReadFile(folder + "characters.txt", kDictionaryBytesMax));
    for (std::string_view character : Split(dictionary, '\n')) {
      if (character.ends_with('\r')) character.remove_suffix(1);
      reader->characters_.emplace_back(character);
    }
    if (!reader->characters_.empty() && reader->characters_.back().empty()) {
      reader->characters_.pop_back();
    }
    reader->characters_.emplace_back(" ");
    return std::unique_ptr<TextReader>(std::move(reader));
  }

  const std::string& key() const override { return key_; }
  const DeviceInfo& device() const override { return detector_->device(); }

  Result<std::vector<SeenLine>> Read(const PictureView& picture) override {
    if (picture.width == 0 || picture.height == 0 ||
        picture.rgb.size() != size_t{picture.width} * picture.height * 3) {
      return Error{Code::kInvalid, "picture: " + std::to_string(picture.rgb.size()) +
                                       " bytes of pixels for another size"};
    }
    std::vector<TextQuad> quads = TRY(Detect(picture, kGlanceSide));
    if (!quads.empty() && std::max(picture.width, picture.height) > kGlanceSide) {
      quads = TRY(Detect(picture, kLookSide));
    }
    std::vector<SeenLine> lines;
    std::vector<TextBox> boxes;  // in pixels
    for (const TextQuad& quad : quads) {
      const ReadQuad read = TRY(ReadLine(picture, quad));
      const SeenLine line = LineOf(read, picture);
      const bool is_short = ToCodePoints(line.text).size() < 2;
      if (line.confidence < (is_short ? kShortConfidenceMin : kConfidenceMin)) continue;
      if (!SaysSomething(line.text)) continue;
      lines.push_back(line);
      const auto width = static_cast<float>(picture.width);
      const auto height = static_cast<float>(picture.height);
      boxes.push_back({line.box.x * width, line.box.y * height, line.box.width * width,
                       line.box.height * height});
    }
    std::vector<SeenLine> out;
    for (size_t i : ReadingOrder(boxes)) out.push_back(std::move(lines[i]));
    return out;
  }

 private:
  explicit PpOcr(std::string key) : key_(std::move(key)) {}

  // In the picture's coordinates.
  Result<std::vector<TextQuad>> Detect(const PictureView& picture, uint32_t side_max) const {
    const auto longer = static_cast<float>(std::max(picture.width, picture.height));
    const float scale = std::min(1.0F, static_cast<float>(side_max) / longer);
    auto side = [&](uint32_t length) {
      const float steps = std::round(static_cast<float>(length) * scale / kSideStep);
      return kSideStep * static_cast<uint32_t>(std::max(1.0F, steps));
    };
    const uint32_t width = side(picture.width), height = side(picture.height);
    const std::vector<float> planes = ResizeToPlanes(picture, width, height, kDetectionScale);
    const TensorView input{
        detector_->inputs()[0], TensorView::Type::kFloat, {1, 3, height, width}, planes.data()};
    const auto outputs = TRY(detector_->RunHeld({&input, 1}, {detector_->outputs()[0]}));
    if (outputs[0].values().size() != size_t{width} * height) {
      return Error{Code::kInternal, "text detector: an output of another size"};
    }
    std::vector<TextQuad> quads = FindTextQuads(outputs[0].values(), width, height);
    for (TextQuad& quad : quads) {
      for (Point& corner : quad.corners) {
        corner.x *= static_cast<float>(picture.width) / static_cast<float>(width);
        corner.y *= static_cast<float>(picture.height) / static_cast<float>(height);
      }
    }
    return quads;
  }

  Result<ReadQuad> ReadLine(const PictureView& picture, const TextQuad& quad) const {
    // As it is, then on either side when it is tall, else upside down.
    const std::vector<size_t> turns = quad.height() > kTall * quad.width()
                                          ? std::vector<size_t>{0, 1, 3}
                                          : std::vector<size_t>{0, 2};
    ReadQuad best;
    for (size_t turn : turns) {
      ReadQuad read{Turned(quad, turn), {}, 0};
      read.characters = TRY(Recognise(picture, read.quad));
      read.confidence = MeanProbability(read.characters);
      if (turn == 0 || read.confidence > best.confidence) best = std::move(read);
      if (best.confidence >= kSure) break;
    }
    return best;
  }

  Result<std::vector<ReadCharacter>> Recognise(const PictureView& picture,
                                               const TextQuad& quad) const {
    const float ratio = quad.width() / std::max(quad.height(), 1.0F);
    const auto width = static_cast<uint32_t>(
        std::clamp(std::ceil(ratio * kLineHeight), 8.0F, static_cast<float>(kLineWidthMax)));
    const uint32_t padded = std::max(width, kLineWidthMin);
    const std::vector<float> planes =
        CropToPlanes(picture, quad, width, padded, kLineHeight, kRecognitionScale);
    const TensorView input{recogniser_->inputs()[0],
                           TensorView::Type::kFloat,
                           {1, 3, kLineHeight, padded},
                           planes.data()};
    const auto outputs = TRY(recogniser_->RunHeld({&input, 1}, {recogniser_->outputs()[0]}));
    if (outputs[0].shape().size() != 3 ||
        outputs[0].shape()[2] != static_cast<int64_t>(characters_.size() + 1)) {
      return Error{Code::kInternal, "text recogniser: it reads other characters than listed"};
    }
    std::vector<ReadCharacter> characters = DecodeCtc(outputs[0].values(), characters_);
    // Positions are of the line, not of what fills it up.
    for (ReadCharacter& character : characters) {
      character.position = std::min(
          1.0F, character.position * static_cast<float>(padded) / static_cast<float>(width));
    }
    return WithLikelySpaces(characters);
  }

  const std::string key_;
  std::unique_ptr<Session> detector_, recogniser_;
  std::vector<std::string> characters_;
};

}  // namespace

const PackKind& PpOcrKind() {
  static const PackKind kind = {.name = "pp-ocr",
                                .version = 1,
                                .purpose = PackPurpose::kText,
                                .load_text_reader = PpOcr::Load};
  return kind;
}

}  // namespace msearch::embedding
