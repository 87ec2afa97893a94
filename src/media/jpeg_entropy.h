// Huffman decoding of baseline JPEGs in place of libjpeg-turbo's, behind the library's own
// interface for it (jpegint.h): the library goes on to read headers, transform and convert.
//
// At an eighth of the size the library needs only the first of the 64 coefficients of most blocks,
// and reads the others one by one to drop them, which takes nine tenths of its time. Here a table
// says for the next bits how many whole coefficients they hold, so that several are stepped over at
// once. What is decoded is the same bit by bit.
//
// Only healthy data are decoded: at the first thing that isn't as it should be, the caller starts
// anew with the library's decoder, which is the judge of damaged files.
#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <memory>

// Needs the one above.
#include <jpeglib.h>

namespace msearch::media {

// Not thread-safe. No method throws or leaves anything to be destroyed, so that a caller may jump
// out of the library from within.
class JpegEntropy {
 public:
  JpegEntropy();
  ~JpegEntropy();
  JpegEntropy(const JpegEntropy&) = delete;
  JpegEntropy& operator=(const JpegEntropy&) = delete;

  // Makes the library call `decode` for each MCU of the one scan, which should call Decode. False,
  // and nothing changes, for files of another kind: progressive, arithmetic coding, several scans.
  // REQUIRES: jpeg_start_decompress(info) has returned; no row was read.
  bool Install(j_decompress_ptr info, boolean (*decode)(j_decompress_ptr, JBLOCKROW*));

  // The blocks of the next MCU. False at the first fault; then there's no going on.
  bool Decode(j_decompress_ptr info, JBLOCKROW* blocks);

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

}  // namespace msearch::media
