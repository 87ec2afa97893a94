/* The dot products of NumKong that the program uses, each the best that this processor can run.
 * NumKong's headers are compiled into numkong_dots.c only, and of them only these kernels: its own
 * dispatch library takes two minutes to compile, this a second. */
#ifndef THIRD_PARTY_NUMKONG_DOTS_H
#define THIRD_PARTY_NUMKONG_DOTS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* `count` has NumKong's own size type. */
struct numkong_dots {
  /* Sums in 32-bit integers: exact up to 131,071 elements. */
  void (*i8)(const int8_t* a, const int8_t* b, unsigned long long count, int32_t* result);
  /* bfloat16 as its bit pattern; sums in float. */
  void (*bf16)(const uint16_t* a, const uint16_t* b, unsigned long long count, float* result);
  /* Multiplies and sums in double. */
  void (*f32)(const float* a, const float* b, unsigned long long count, double* result);
};

/* Asks the processor what it can run: keep the answer. */
struct numkong_dots numkong_find_dots(void);

#ifdef __cplusplus
}
#endif

#endif
