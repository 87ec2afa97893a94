// The format is that of ITU-T T.81, annex F.2.2. Bits are kept left-aligned in a word of 64.

#include "media/jpeg_entropy.h"

// Needs jpeglib.h.
#define JPEG_INTERNALS
#include <jpegint.h>

#include <algorithm>
#include <cstring>

namespace msearch::media {
namespace {

constexpr uint32_t kWindowBits = 11;  // looked up at once; larger tables leave the first cache
constexpr size_t kWindows = size_t{1} << kWindowBits;
constexpr uint32_t kCodeBitsMax = 16;
constexpr uint32_t kEndOfBlock = DCTSIZE2;  // a step beyond the last coefficient
constexpr size_t kTables = NUM_HUFF_TBLS;
constexpr int kBlocksMax = D_MAX_BLOCKS_IN_MCU;

// Of the k-th coefficient its place in a block; the last for steps beyond it.
constexpr std::array<uint8_t, 2 * DCTSIZE2> kPlaces = [] {
  constexpr uint8_t kZigzag[DCTSIZE2] = {
      0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
      41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
      30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};
  std::array<uint8_t, 2 * DCTSIZE2> places{};
  places.fill(DCTSIZE2 - 1);
  std::copy(std::begin(kZigzag), std::end(kZigzag), places.begin());
  return places;
}();

struct Symbol {
  uint8_t bits = 0;  // of the code; 0: longer than a window
  uint8_t value = 0;
};

// How far a coefficient's symbol leads from one to the next.
uint32_t StepOf(uint8_t value) {
  const uint32_t run = value >> 4;
  if ((value & 15) != 0) return run + 1;
  return run == 15 ? 16 : kEndOfBlock;
}

// A coefficient whose code and value lie within a window; of an end or a run of zeros the value is
// zero, and may be stored where the step leads, for nothing else is there.
struct Coefficient {
  int16_t value = 0;
  uint8_t bits = 0;  // 0: they don't
  uint8_t step = 0;
};

// T.81, figure F.12. Without a branch, which nobody could predict: the sign is that of the first
// bit. REQUIRES: 1 <= size <= 15
inline int Extended(int value, uint32_t size) {
  const int low = (value >> (size - 1)) - 1;
  return value + (low & (1 - (1 << size)));
}

// What a window begins with: the first symbol, and as many whole ones as it holds the codes of,
// each with the bits of its value. 0: the first code is longer than a window.
class Skip {
 public:
  void Add(uint32_t step, uint32_t all) {
    const uint32_t steps_before = steps();
    const uint32_t to = steps_before + step;
    const bool first = packed_ == 0;
    const uint32_t head = first ? all << 18 | to << 23 : packed_ & ~uint32_t{0x3FFFF};
    packed_ = all | to << 5 | steps_before << 12 | head;
  }
  bool none() const { return packed_ == 0; }
  uint32_t bits() const { return packed_ & 31; }
  uint32_t steps() const { return packed_ >> 5 & 127; }
  uint32_t before() const { return packed_ >> 12 & 63; }  // steps of all but the last
  uint32_t first_bits() const { return packed_ >> 18 & 31; }
  uint32_t first_step() const { return packed_ >> 23; }

 private:
  uint32_t packed_ = 0;
};

struct Table {
  std::array<Symbol, kWindows> symbols{};
  std::array<Coefficient, kWindows> coefficients{};
  std::array<Skip, kWindows> skips{};
  // For codes of more bits: the largest of each length, and where its values begin.
  std::array<int32_t, kCodeBitsMax + 1> largest{};
  std::array<int32_t, kCodeBitsMax + 1> offset{};
  std::array<uint8_t, 256> values{};

  explicit Table(const JHUFF_TBL& from);

 private:
  void MakeCoefficients();
  void MakeSkips();
};

Table::Table(const JHUFF_TBL& from) {
  std::copy(std::begin(from.huffval), std::end(from.huffval), values.begin());
  int32_t code = 0;
  int32_t next = 0;
  for (uint32_t bits = 1; bits <= kCodeBitsMax; ++bits) {
    offset[bits] = next - code;
    // The library has seen to it that there are at most 256 codes, and none too large.
    for (int i = 0; i < from.bits[bits] && next < 256; ++i, ++code, ++next) {
      if (bits > kWindowBits) continue;
      const size_t begin = static_cast<size_t>(code) << (kWindowBits - bits);
      const size_t count = size_t{1} << (kWindowBits - bits);
      if (begin + count > kWindows) continue;
      std::fill_n(symbols.begin() + static_cast<ptrdiff_t>(begin), count,
                  Symbol{static_cast<uint8_t>(bits), values[next]});
    }
    largest[bits] = from.bits[bits] > 0 ? code - 1 : -1;
    code <<= 1;
  }
  MakeCoefficients();
  MakeSkips();
}

void Table::MakeCoefficients() {
  for (size_t window = 0; window < kWindows; ++window) {
    const Symbol symbol = symbols[window];
    const uint32_t size = symbol.value & 15U;
    const uint32_t bits = symbol.bits + size;
    if (symbol.bits == 0 || bits > kWindowBits) continue;
    int value = 0;
    if (size > 0) {
      const size_t rest = window >> (kWindowBits - bits) & ((size_t{1} << size) - 1);
      value = Extended(static_cast<int>(rest), size);
    }
    coefficients[window] = {static_cast<int16_t>(value), static_cast<uint8_t>(bits),
                            static_cast<uint8_t>(StepOf(symbol.value))};
  }
}

void Table::MakeSkips() {
  for (size_t window = 0; window < kWindows; ++window) {
    Skip& skip = skips[window];
    uint32_t at = 0;
    while (at < kWindowBits) {
      const Symbol symbol = symbols[(window << at) & (kWindows - 1)];
      // Of what lies beyond the window only the bits of a value may be missing.
      if (symbol.bits == 0 || at + symbol.bits > kWindowBits) break;
      const uint32_t step = StepOf(symbol.value);
      if (skip.steps() >= kEndOfBlock - 1 && !skip.none()) break;
      at += symbol.bits + (symbol.value & 15);
      skip.Add(step, at);
      if (step == kEndOfBlock) break;
    }
  }
}

// Most files have the same tables, and making one takes as long as decoding some hundred blocks.
std::shared_ptr<const Table> TableOf(const JHUFF_TBL& from) {
  struct Made {
    JHUFF_TBL from;
    std::shared_ptr<const Table> table;
  };
  thread_local std::array<Made, 2 * kTables> made;
  thread_local size_t next = 0;
  for (const Made& one : made) {
    if (one.table != nullptr &&
        std::equal(std::begin(from.bits), std::end(from.bits), one.from.bits) &&
        std::equal(std::begin(from.huffval), std::end(from.huffval), one.from.huffval)) {
      return one.table;
    }
  }
  Made& one = made[next++ % made.size()];
  one = {from, std::make_shared<const Table>(from)};
  return one.table;
}

// The next bits of the scan. Below `count` of them, `word` may hold those that follow, which are
// read again.
struct Bits {
  uint64_t word = 0;
  uint32_t count = 0;
  uint32_t invented = 0;  // zeros behind the last, where a marker stands
  const uint8_t* next = nullptr;
  const uint8_t* end = nullptr;
  bool ended = false;
  bool failed = false;

  void Drop(uint32_t bits) {
    word <<= bits;
    count -= bits;
  }
  uint64_t Peek(uint32_t bits) const { return word >> (64 - bits); }

  // The buffer is the library's while somebody else reads.
  void Borrow(const jpeg_source_mgr& source) {
    next = source.next_input_byte;
    end = next + source.bytes_in_buffer;
  }
  void Return(jpeg_source_mgr* source) const {
    source->next_input_byte = next;
    source->bytes_in_buffer = static_cast<size_t>(end - next);
  }
};

bool Next(j_decompress_ptr info, Bits* bits, uint8_t* byte) {
  if (bits->next == bits->end) {
    bits->Return(info->src);
    if (!info->src->fill_input_buffer(info)) return false;
    bits->Borrow(*info->src);
    if (bits->next == bits->end) return false;
  }
  *byte = *bits->next++;
  return true;
}

// Byte by byte, where 0xFF is near or the buffer ends.
[[gnu::noinline]] Bits FilledSlowly(j_decompress_ptr info, Bits bits) {
  bits.word &= bits.count == 0 ? 0 : ~uint64_t{0} << (64 - bits.count);
  while (bits.count <= 56) {
    uint8_t byte = 0;
    if (!bits.ended) {
      bits.failed |= !Next(info, &bits, &byte);
      if (byte == 0xFF) {
        uint8_t marker = 0xFF;
        while (marker == 0xFF && !bits.failed) bits.failed |= !Next(info, &bits, &marker);
        if (marker != 0) {
          bits.ended = true;
          info->unread_marker = marker;
        }
      }
    }
    if (bits.ended) {
      byte = 0;
      bits.invented += 8;
    }
    bits.word |= uint64_t{byte} << (56 - bits.count);
    bits.count += 8;
  }
  return bits;
}

// Afterwards there are at least 56 bits.
inline void Fill(j_decompress_ptr info, Bits& bits) {
  if (bits.end - bits.next >= 8 && !bits.ended) [[likely]] {
    uint64_t word;
    std::memcpy(&word, bits.next, sizeof(word));
    if (((~word - 0x0101010101010101) & word & 0x8080808080808080) == 0) [[likely]] {  // no 0xFF
      bits.word |= __builtin_bswap64(word) >> bits.count;
      bits.next += (63 - bits.count) >> 3;
      bits.count |= 56;
      return;
    }
  }
  bits = FilledSlowly(info, bits);
}

// A symbol whose code is longer than a window. False: there's no such code.
bool TakeLong(const Table& table, Bits& bits, uint8_t* value) {
  for (uint32_t size = kWindowBits + 1; size <= kCodeBitsMax; ++size) {
    const auto code = static_cast<int32_t>(bits.Peek(size));
    if (code > table.largest[size]) continue;
    const int32_t place = code + table.offset[size];
    if (place < 0 || place > 255) return false;
    bits.Drop(size);
    *value = table.values[static_cast<size_t>(place)];
    return true;
  }
  return false;
}

inline bool TakeSymbol(const Table& table, Bits& bits, uint8_t* value) {
  const Symbol symbol = table.symbols[bits.Peek(kWindowBits)];
  if (symbol.bits == 0) return TakeLong(table, bits, value);
  bits.Drop(symbol.bits);
  *value = symbol.value;
  return true;
}

inline int TakeValue(Bits& bits, uint32_t size) {
  if (size == 0) return 0;
  const auto value = static_cast<int>(bits.Peek(size));
  bits.Drop(size);
  return Extended(value, size);
}

// REQUIRES: as many bits as a symbol may have.
inline bool SkipOne(const Table& table, Bits& bits, uint32_t* k) {
  uint8_t value = 0;
  if (!TakeSymbol(table, bits, &value)) return false;
  bits.Drop(value & 15U);
  *k += StepOf(value);
  return true;
}

// All but the first coefficient, for nothing.
inline bool SkipBlock(j_decompress_ptr info, const Table& table, Bits& bits) {
  uint32_t k = 1;
  while (true) {
    Fill(info, bits);
    // As often as the bits last.
    for (int i = 0; i < 2; ++i) {
      const Skip skip = table.skips[bits.Peek(kWindowBits)];
      if (skip.none() || k + skip.before() >= DCTSIZE2) [[unlikely]] {
        // A long code; or the block ends within the window, and what follows isn't of it.
        if (i > 0) break;
        if (!SkipOne(table, bits, &k)) return false;
      } else {
        bits.Drop(skip.bits());
        k += skip.steps();
      }
      if (k >= DCTSIZE2) return true;
    }
  }
}

// All but the first coefficient.
inline bool ReadBlock(j_decompress_ptr info, const Table& table, Bits& bits, JBLOCK& block) {
  uint32_t k = 1;
  while (true) {
    Fill(info, bits);
    for (int i = 0; i < 4; ++i) {
      const Coefficient one = table.coefficients[bits.Peek(kWindowBits)];
      if (one.bits == 0) [[unlikely]] {
        if (i > 0) break;
        uint8_t symbol = 0;
        if (!TakeSymbol(table, bits, &symbol)) return false;
        k += StepOf(symbol);
        block[kPlaces[k - 1]] = static_cast<JCOEF>(TakeValue(bits, symbol & 15U));
      } else {
        bits.Drop(one.bits);
        k += one.step;
        block[kPlaces[k - 1]] = one.value;
      }
      if (k >= DCTSIZE2) return true;
    }
  }
}

}  // namespace

struct JpegEntropy::State {
  struct Block {
    std::shared_ptr<const Table> dc;
    std::shared_ptr<const Table> ac;
    int component = 0;
    bool whole = false;  // all coefficients are needed
  };

  std::array<Block, kBlocksMax> blocks;
  int blocks_count = 0;
  std::array<int, MAX_COMPS_IN_SCAN> last{};
  unsigned until_restart = 0;
  unsigned next_restart = 0;
  Bits bits;

  bool Restart(j_decompress_ptr info, Bits* at);
};

JpegEntropy::JpegEntropy() : state_(std::make_unique<State>()) {}
JpegEntropy::~JpegEntropy() = default;

bool JpegEntropy::Install(j_decompress_ptr info, boolean (*decode)(j_decompress_ptr, JBLOCKROW*)) {
  State& state = *state_;
  const bool suits =
      !info->progressive_mode && !info->arith_code && !jpeg_has_multiple_scans(info) &&
      info->comps_in_scan == info->num_components && info->comps_in_scan <= MAX_COMPS_IN_SCAN &&
      info->data_precision == 8 && info->blocks_in_MCU <= kBlocksMax;
  if (!suits) return false;
  for (int i = 0; i < info->blocks_in_MCU; ++i) {
    State::Block& block = state.blocks[static_cast<size_t>(i)];
    block.component = info->MCU_membership[i];
    const jpeg_component_info& component = *info->cur_comp_info[block.component];
    const auto dc = static_cast<size_t>(component.dc_tbl_no);
    const auto ac = static_cast<size_t>(component.ac_tbl_no);
    if (dc >= kTables || ac >= kTables) return false;
    if (info->dc_huff_tbl_ptrs[dc] == nullptr || info->ac_huff_tbl_ptrs[ac] == nullptr)
      return false;
    block.dc = TableOf(*info->dc_huff_tbl_ptrs[dc]);
    block.ac = TableOf(*info->ac_huff_tbl_ptrs[ac]);
    block.whole = component.component_needed && component.DCT_scaled_size > 1;
  }
  state.blocks_count = info->blocks_in_MCU;
  state.until_restart = info->restart_interval;
  info->entropy->decode_mcu = decode;
  return true;
}

bool JpegEntropy::State::Restart(j_decompress_ptr info, Bits* at) {
  // What is left of the last byte is padding; a whole byte more would be data too many, which the
  // library would step over.
  if (at->count - at->invented >= 8) return false;
  auto marker = static_cast<uint8_t>(info->unread_marker);
  if (!at->ended) {
    if (!Next(info, at, &marker) || marker != 0xFF) return false;
    while (marker == 0xFF) {
      if (!Next(info, at, &marker)) return false;
    }
  }
  if (marker != JPEG_RST0 + next_restart) return false;
  info->unread_marker = 0;
  next_restart = (next_restart + 1) % 8;
  until_restart = info->restart_interval;
  last.fill(0);
  Bits anew;
  anew.next = at->next;
  anew.end = at->end;
  *at = anew;
  return true;
}

bool JpegEntropy::Decode(j_decompress_ptr info, JBLOCKROW* blocks) {
  State& state = *state_;
  Bits bits = state.bits;
  bits.Borrow(*info->src);
  if (info->restart_interval > 0 && state.until_restart == 0 && !state.Restart(info, &bits)) {
    return false;
  }
  for (int i = 0; i < state.blocks_count; ++i) {
    const State::Block& block = state.blocks[static_cast<size_t>(i)];
    Fill(info, bits);
    uint8_t size = 0;
    if (!TakeSymbol(*block.dc, bits, &size) || size > 15) return false;
    int& last = state.last[static_cast<size_t>(block.component)];
    last += TakeValue(bits, size);
    if (last < INT16_MIN || last > INT16_MAX) return false;
    if (blocks[i] != nullptr) (*blocks[i])[0] = static_cast<JCOEF>(last);
    const bool done = block.whole && blocks[i] != nullptr
                          ? ReadBlock(info, *block.ac, bits, *blocks[i])
                          : SkipBlock(info, *block.ac, bits);
    if (!done) return false;
  }
  bits.Return(info->src);
  state.bits = bits;
  --state.until_restart;
  // Zeros that nobody wrote were taken for data.
  return !bits.failed && bits.count >= bits.invented;
}

}  // namespace msearch::media
