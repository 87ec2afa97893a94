// Pulls a model pack into a folder, for set-ups that need the models before the program runs:
//   pull_pack MANIFESTS MODELS RUNTIME NAME [SOURCE]

#include <cstdio>

#include "embedding/model_packs.h"

int main(int argc, char** argv) {
  using namespace msearch::embedding;
  if (argc < 5) {
    std::fprintf(stderr, "usage: pull_pack MANIFESTS MODELS RUNTIME NAME [SOURCE]\n");
    return 2;
  }
  const ModelPacks packs({argv[1], argv[2], argv[3]});
  std::string last;
  const auto pulled = packs.Pull(argv[4], argc > 5 ? argv[5] : "", [&](const PullProgress& now) {
    const std::string line = now.stage + " " + now.file;
    if (line != last) std::fprintf(stderr, "%s\n", line.c_str());
    last = line;
  });
  if (!pulled.ok()) {
    std::fprintf(stderr, "%s\n", pulled.message().c_str());
    return 1;
  }
  const auto status = packs.Status(argv[4]);
  std::fprintf(stderr, "%s: %s\n", argv[4],
               status.ok() ? status->state.c_str() : status.message().c_str());
  return status.ok() && status->state == "ready" ? 0 : 1;
}
