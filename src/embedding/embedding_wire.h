// Embeddings and probes as frames between the processes of one program: figures in the head, the
// vectors' floats as parts. Both ends are of the same build, yet what comes in is checked.
#pragma once

#include <vector>

#include "base/child.h"
#include "embedding/embedder.h"

namespace msearch::embedding {

Frame ToFrame(const std::vector<Embedding>& embeddings);
Result<std::vector<Embedding>> EmbeddingsFromFrame(const Frame& frame);

Frame ToFrame(const std::vector<Probe>& probes);
Result<std::vector<Probe>> ProbesFromFrame(const Frame& frame);

// Floats as bytes and back; kCorrupt for a broken number of bytes.
std::string ToPart(const std::vector<float>& values);
Result<std::vector<float>> FromPart(const std::string& part);

}  // namespace msearch::embedding
