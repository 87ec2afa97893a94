#include "media/codec.h"
#include "support/child_main.h"
#include "support/sandbox_probe.h"

#if defined(__SANITIZE_ADDRESS__)
// The encoder that makes HEIC test pictures frees less than it takes.
extern "C" const char* __lsan_default_suppressions() { return "leak:libx265\n"; }
#endif

int main(int argc, char** argv) {
  return msearch::test::Main(argc, argv,
                             {{"codec", msearch::media::ServeCodec},
                              {"sandbox-probe", msearch::media::ServeSandboxProbe}});
}
