/* The order is that of NumKong's own dispatch tables (c/dispatch_*.c): each line overrules those
 * above it. The NK_TARGET_* come from CMake: what every supported compiler can emit for the
 * architecture, whatever machine compiles it. */
#include "numkong_dots.h"

#define NK_DYNAMIC_DISPATCH 0
/* g++ 12 has no arithmetic on native half floats; their bit patterns are all that is needed. */
#define NK_NATIVE_F16 0
#define NK_NATIVE_BF16 0
#include <numkong/capabilities.h>
#include <numkong/dot.h>

struct numkong_dots numkong_find_dots(void) {
  struct numkong_dots dots = {nk_dot_i8_serial, nk_dot_bf16_serial, nk_dot_f32_serial};
#if NK_TARGET_X8664_ || NK_TARGET_ARM64_
  const nk_capability_t able = nk_capabilities_available();
#endif
#if NK_TARGET_X8664_
  if (able & nk_cap_haswell_k) dots.i8 = nk_dot_i8_haswell;
  if (able & nk_cap_alder_k) dots.i8 = nk_dot_i8_alder;
  if (able & nk_cap_skylake_k) dots.i8 = nk_dot_i8_skylake;
  if (able & nk_cap_icelake_k) dots.i8 = nk_dot_i8_icelake;
  if (able & nk_cap_haswell_k) dots.bf16 = nk_dot_bf16_haswell;
  if (able & nk_cap_skylake_k) dots.bf16 = nk_dot_bf16_skylake;
  if (able & nk_cap_genoa_k) dots.bf16 = nk_dot_bf16_genoa;
  if (able & nk_cap_haswell_k) dots.f32 = nk_dot_f32_haswell;
  if (able & nk_cap_skylake_k) dots.f32 = nk_dot_f32_skylake;
#elif NK_TARGET_ARM64_
  if (able & nk_cap_neonsdot_k) dots.i8 = nk_dot_i8_neonsdot;
  if (able & nk_cap_neon_k) dots.bf16 = nk_dot_bf16_neon;
  if (able & nk_cap_neonbfdot_k) dots.bf16 = nk_dot_bf16_neonbfdot;
  if (able & nk_cap_neon_k) dots.f32 = nk_dot_f32_neon;
#endif
  return dots;
}
