// How byte-pair vocabularies (GPT-2, CLIP, Whisper) write bytes: each as one printable character.
#pragma once

#include <array>
#include <string>

namespace msearch::embedding {

// The UTF-8 of each byte's character: printable Latin-1 characters stand for themselves, the other
// bytes for the characters from U+0100 on.
std::array<std::string, 256> ByteCharacters();

}  // namespace msearch::embedding
