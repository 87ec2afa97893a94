#include "media/film_frame.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace msearch::media {
namespace {

// Rather decode on than go back to a key frame when the next moment is this near.
constexpr double kStrideSeconds = 10;

// Pixels that aren't square make a frame wider or lower; only widened, so that nothing is lost.
double PixelAspect(const AVStream& stream, const AVFrame* frame) {
  AVRational ratio = stream.sample_aspect_ratio;
  if (ratio.num <= 0 || ratio.den <= 0) ratio = stream.codecpar->sample_aspect_ratio;
  if ((ratio.num <= 0 || ratio.den <= 0) && frame != nullptr) ratio = frame->sample_aspect_ratio;
  if (ratio.num <= 0 || ratio.den <= 0) return 1;
  return std::clamp(av_q2d(ratio), 0.25, 4.0);
}

std::pair<double, double> SquareSize(double width, double height, double aspect) {
  return aspect >= 1 ? std::pair(width * aspect, height) : std::pair(width, height / aspect);
}

// Matrices for colours: as told, else as is usual for the size.
int ColorMatrix(const AVFrame& frame) {
  switch (frame.colorspace) {
    case AVCOL_SPC_BT709:
      return SWS_CS_ITU709;
    case AVCOL_SPC_BT2020_NCL:
    case AVCOL_SPC_BT2020_CL:
      return SWS_CS_BT2020;
    case AVCOL_SPC_SMPTE240M:
      return SWS_CS_SMPTE240M;
    case AVCOL_SPC_BT470BG:
    case AVCOL_SPC_SMPTE170M:
      return SWS_CS_ITU601;
    default:
      return frame.height >= 720 ? SWS_CS_ITU709 : SWS_CS_ITU601;
  }
}

// The formats with names of their own for full range are the same as those without.
AVPixelFormat Plain(AVPixelFormat format, bool* full_range) {
  switch (format) {
    case AV_PIX_FMT_YUVJ420P:
      *full_range = true;
      return AV_PIX_FMT_YUV420P;
    case AV_PIX_FMT_YUVJ422P:
      *full_range = true;
      return AV_PIX_FMT_YUV422P;
    case AV_PIX_FMT_YUVJ444P:
      *full_range = true;
      return AV_PIX_FMT_YUV444P;
    case AV_PIX_FMT_YUVJ440P:
      *full_range = true;
      return AV_PIX_FMT_YUV440P;
    default:
      return format;
  }
}

Result<Raster> Scale(const AVFrame& frame, uint32_t width, uint32_t height) {
  const FfmpegLibrary& ffmpeg = *Ffmpeg();
  bool full_range = frame.color_range == AVCOL_RANGE_JPEG;
  const AVPixelFormat format = Plain(static_cast<AVPixelFormat>(frame.format), &full_range);
  const av::Scaler scaler(ffmpeg.sws_getContext(
      frame.width, frame.height, format, static_cast<int>(width), static_cast<int>(height),
      AV_PIX_FMT_RGB0, SWS_AREA, nullptr, nullptr, nullptr));
  if (!scaler) return Error{Code::kUnsupported, "film: pixels of an unknown layout"};
  ffmpeg.sws_setColorspaceDetails(scaler.get(), ffmpeg.sws_getCoefficients(ColorMatrix(frame)),
                                  full_range ? 1 : 0, ffmpeg.sws_getCoefficients(SWS_CS_DEFAULT), 1,
                                  0, 1 << 16, 1 << 16);
  // The scaler writes whole vectors, so rows end a little behind their pixels.
  const size_t stride = (size_t{width} * 4 + 63) / 64 * 64;
  std::vector<uint8_t, Uninitialized<uint8_t>> rows(stride * height + 64);
  uint8_t* planes[4] = {rows.data()};
  const int strides[4] = {static_cast<int>(stride)};
  if (ffmpeg.sws_scale(scaler.get(), frame.data, frame.linesize, 0, frame.height, planes,
                       strides) <= 0) {
    return Error{Code::kCorrupt, "film: a frame can't be scaled"};
  }
  Raster raster(width, height);
  for (uint32_t y = 0; y < height; ++y) {
    std::memcpy(raster.row(y), rows.data() + y * stride, size_t{width} * 4);
  }
  return raster;
}

// One plane of planar pixels, averaged into the grid. `shift` brings values to 8 bits.
template <typename Value>
void Average(const uint8_t* data, ptrdiff_t stride, int width, int height, int step, int shift,
             uint8_t* cells) {
  constexpr int kColumns = FrameLook::kColumns;
  constexpr int kRows = FrameLook::kRows;
  for (int row = 0; row < kRows; ++row) {
    const int top = height * row / kRows;
    const int bottom = std::max(top + 1, height * (row + 1) / kRows);
    std::array<uint64_t, kColumns> sums{};
    int lines = 0;
    for (int y = top; y < std::min(bottom, height); y += step, ++lines) {
      const auto* line = reinterpret_cast<const Value*>(data + y * stride);
      for (int column = 0; column < kColumns; ++column) {
        const int left = width * column / kColumns;
        const int right = std::max(left + 1, width * (column + 1) / kColumns);
        uint32_t sum = 0;
        for (int x = left; x < std::min(right, width); ++x) sum += line[x];
        sums[column] += sum;
      }
    }
    for (int column = 0; column < kColumns; ++column) {
      const int left = width * column / kColumns;
      const int right = std::max(left + 1, width * (column + 1) / kColumns);
      const uint64_t count = static_cast<uint64_t>(std::min(right, width) - left) * lines;
      cells[row * kColumns + column] =
          count == 0
              ? 0
              : static_cast<uint8_t>(std::min<uint64_t>(255, (sums[column] / count) >> shift));
    }
  }
}

bool IsPlanarYuv(const AVPixFmtDescriptor& format) {
  constexpr uint64_t kOther = AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_BE | AV_PIX_FMT_FLAG_PAL |
                              AV_PIX_FMT_FLAG_BITSTREAM | AV_PIX_FMT_FLAG_HWACCEL |
                              AV_PIX_FMT_FLAG_FLOAT;
  if ((format.flags & kOther) != 0) return false;
  for (int i = 0; i < std::min<int>(3, format.nb_components); ++i) {
    const AVComponentDescriptor& part = format.comp[i];
    if (part.plane != i || part.offset != 0 || part.shift != 0 || part.depth < 8 ||
        part.step != (part.depth > 8 ? 2 : 1)) {
      return false;
    }
  }
  return format.nb_components == 1 || format.nb_components >= 3;
}

void LookAtPlanes(const AVFrame& frame, const AVPixFmtDescriptor& format, FrameLook* look) {
  const int planes = format.nb_components >= 3 ? 3 : 1;
  look->cells.fill(128);
  for (int i = 0; i < planes; ++i) {
    const int width = i == 0 ? frame.width : AV_CEIL_RSHIFT(frame.width, format.log2_chroma_w);
    const int height = i == 0 ? frame.height : AV_CEIL_RSHIFT(frame.height, format.log2_chroma_h);
    const int step = std::max(1, height / 120);
    uint8_t* cells = look->cells.data() + i * FrameLook::kColumns * FrameLook::kRows;
    const int depth = format.comp[i].depth;
    if (depth > 8) {
      Average<uint16_t>(frame.data[i], frame.linesize[i], width, height, step, depth - 8, cells);
    } else {
      Average<uint8_t>(frame.data[i], frame.linesize[i], width, height, step, 0, cells);
    }
  }
}

}  // namespace

int FilmOrientation(const AVStream& stream) {
  size_t size = 0;
  const uint8_t* data =
      Ffmpeg()->av_stream_get_side_data(&stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
  if (data == nullptr || size < 9 * sizeof(int32_t)) return 1;
  int32_t matrix[9];
  std::memcpy(matrix, data, sizeof matrix);
  // A point (x, y) is shown at (a x + c y, b x + d y).
  const double a = matrix[0], b = matrix[1], c = matrix[3], d = matrix[4];
  if (std::abs(a) + std::abs(d) >= std::abs(b) + std::abs(c)) {
    if (a >= 0) return d >= 0 ? 1 : 4;
    return d >= 0 ? 2 : 3;
  }
  if (b >= 0) return c >= 0 ? 5 : 6;
  return c >= 0 ? 8 : 7;
}

std::pair<uint32_t, uint32_t> FilmSize(const AVStream& stream) {
  if (stream.codecpar->width <= 0 || stream.codecpar->height <= 0) return {0, 0};
  auto [width, height] =
      SquareSize(stream.codecpar->width, stream.codecpar->height, PixelAspect(stream, nullptr));
  if (SwapsSides(FilmOrientation(stream))) std::swap(width, height);
  return {static_cast<uint32_t>(std::lround(width)), static_cast<uint32_t>(std::lround(height))};
}

Result<Raster> FrameRaster(const AVFrame& frame, const AVStream& stream, uint32_t shorter_side_min,
                           uint32_t longer_side_min) {
  if (frame.width <= 0 || frame.height <= 0) return Error{Code::kCorrupt, "film: an empty frame"};
  const auto [width, height] = SquareSize(frame.width, frame.height, PixelAspect(stream, &frame));
  const double scale = std::min(1.0, std::max(shorter_side_min / std::min(width, height),
                                              longer_side_min / std::max(width, height)));
  auto scaled = [&](double side) {
    return static_cast<uint32_t>(std::max<long>(1, std::lround(side * scale)));
  };
  return Upright(TRY(Scale(frame, scaled(width), scaled(height))), FilmOrientation(stream));
}

std::optional<FrameLook> LookAt(const AVFrame& frame) {
  const AVPixFmtDescriptor* format =
      Ffmpeg()->av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
  if (format == nullptr || frame.width <= 0 || frame.height <= 0 || frame.data[0] == nullptr) {
    return std::nullopt;
  }
  FrameLook look;
  if (IsPlanarYuv(*format)) {
    LookAtPlanes(frame, *format, &look);
    return look;
  }
  // Other layouts are rare: let the scaler make the grid, a little finer, of planes.
  const av::Scaler scaler(Ffmpeg()->sws_getContext(
      frame.width, frame.height, static_cast<AVPixelFormat>(frame.format), FrameLook::kColumns * 4,
      FrameLook::kRows * 4, AV_PIX_FMT_YUV444P, SWS_AREA, nullptr, nullptr, nullptr));
  if (!scaler) return std::nullopt;
  const av::Frame small = av::MakeFrame();
  small->width = FrameLook::kColumns * 4;
  small->height = FrameLook::kRows * 4;
  small->format = AV_PIX_FMT_YUV444P;
  if (Ffmpeg()->av_frame_get_buffer(small.get(), 64) < 0 ||
      Ffmpeg()->sws_scale(scaler.get(), frame.data, frame.linesize, 0, frame.height, small->data,
                          small->linesize) <= 0) {
    return std::nullopt;
  }
  LookAtPlanes(*small, *Ffmpeg()->av_pix_fmt_desc_get(AV_PIX_FMT_YUV444P), &look);
  return look;
}

double Difference(const FrameLook& a, const FrameLook& b) {
  constexpr int kCells = FrameLook::kColumns * FrameLook::kRows;
  int brightness = 0;
  int color = 0;
  for (int i = 0; i < kCells; ++i) brightness += std::abs(a.cells[i] - b.cells[i]);
  for (int i = kCells; i < 3 * kCells; ++i) color += std::abs(a.cells[i] - b.cells[i]);
  return (brightness + color * 0.5) / kCells;
}

double Contrast(const FrameLook& look) {
  constexpr int kCells = FrameLook::kColumns * FrameLook::kRows;
  double mean = 0;
  for (int i = 0; i < kCells; ++i) mean += look.cells[i];
  mean /= kCells;
  double spread = 0;
  for (int i = 0; i < kCells; ++i) spread += (look.cells[i] - mean) * (look.cells[i] - mean);
  return std::sqrt(spread / kCells);
}

FrameReader::FrameReader(AvFile& file, av::Codec codec)
    : file_(&file),
      codec_(std::move(codec)),
      packet_(av::MakePacket()),
      frame_(av::MakeFrame()),
      found_(av::MakeFrame()) {}

Result<FrameReader> FrameReader::Make(AvFile& file, uint64_t pixels_max) {
  return FrameReader(file, TRY(file.Decoder(*file.video(), pixels_max)));
}

void FrameReader::Rewind(double seconds) {
  Ffmpeg()->avcodec_flush_buffers(codec_.get());
  // Containers without an index guess where to begin: a little earlier is safer.
  if (!file_->Seek(seconds, *file_->video())) file_->Seek(0, *file_->video());
}

Result<> FrameReader::Find(double seconds, bool exact) {
  const AVStream& stream = *file_->video();
  const bool onward = exact && in_stride_ && seconds >= found_seconds_ - 0.001 &&
                      seconds - found_seconds_ < kStrideSeconds;
  if (onward && found_seconds_ >= seconds - 0.001) return Ok{};
  bool found = false;
  auto take = [&](AVFrame* frame) {
    const int64_t time = frame->best_effort_timestamp;
    found_seconds_ = time == AV_NOPTS_VALUE ? seconds : file_->Seconds(time, stream);
    Ffmpeg()->av_frame_unref(found_.get());
    Ffmpeg()->av_frame_move_ref(found_.get(), frame);
    found = true;
    return exact && found_seconds_ < seconds - 0.001;
  };
  // When the guess was beyond the moment, once more from further before.
  for (const double before : {0.0, 5.0, 1e9}) {
    if (!onward || before > 0) Rewind(seconds - before);
    found = false;
    bool more = true;
    bool begun = false;
    while (more && file_->Read(stream, packet_.get())) {
      if (!exact && !begun) {
        const bool early =
            packet_->pts != AV_NOPTS_VALUE && file_->Seconds(packet_->pts, stream) < seconds - 0.02;
        if ((packet_->flags & AV_PKT_FLAG_KEY) == 0 || early) continue;
        begun = true;
      }
      more = DecodePacket(codec_.get(), packet_.get(), frame_.get(), take);
      // A key frame stands alone: no need of more packets to get it out.
      if (!exact && more) more = DecodePacket(codec_.get(), nullptr, frame_.get(), take);
      if (!exact && !found && more) Ffmpeg()->avcodec_flush_buffers(codec_.get());
    }
    in_stride_ = exact && !more;
    if (more) DecodePacket(codec_.get(), nullptr, frame_.get(), take);
    if (found && (found_seconds_ <= seconds + 1.5 || seconds <= 0)) break;
  }
  if (!found) return Error{Code::kNotFound, "film: no frame there"};
  return Ok{};
}

}  // namespace msearch::media
