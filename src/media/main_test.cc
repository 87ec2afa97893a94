#include "media/codec.h"
#include "support/child_main.h"
#include "support/sandbox_probe.h"

int main(int argc, char** argv) {
  return msearch::test::Main(argc, argv,
                             {{"codec", msearch::media::ServeCodec},
                              {"sandbox-probe", msearch::media::ServeSandboxProbe}});
}
