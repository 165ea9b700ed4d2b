// What arrays are stored in, SCALAR, and what is computed in, `real`: float, or double where arrays are double.
// The 16-bit formats are spelled out here, so that no header of CUDA is needed to compile.

struct half_storage { unsigned short bits; };
struct bfloat16_storage { unsigned short bits; };

template <class Stored> struct computed_in { using type = float; };
template <> struct computed_in<double> { using type = double; };

using scalar = SCALAR;
using real = computed_in<scalar>::type;

#ifndef HALF_CONVERSIONS  // defined where no PTX can be had: in tests, on a CPU
__device__ __forceinline__ float half_to_float(unsigned short bits) {
  float result;
  asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(bits));
  return result;
}

// To the nearest, ties to even.
__device__ __forceinline__ unsigned short float_to_half(float x) {
  unsigned short result;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result) : "f"(x));
  return result;
}
#endif

__device__ __forceinline__ float widened(float x) { return x; }
__device__ __forceinline__ double widened(double x) { return x; }

__device__ __forceinline__ float widened(half_storage x) { return half_to_float(x.bits); }
__device__ __forceinline__ float widened(bfloat16_storage x) { return __uint_as_float(unsigned(x.bits) << 16); }

__device__ __forceinline__ void narrow(float& to, float x) { to = x; }
__device__ __forceinline__ void narrow(double& to, double x) { to = x; }

__device__ __forceinline__ void narrow(half_storage& to, float x) { to.bits = float_to_half(x); }

// To the nearest, ties to even; NaN stays NaN.
__device__ __forceinline__ void narrow(bfloat16_storage& to, float x) {
  const unsigned bits = __float_as_uint(x);
  const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
  to.bits = is_nan ? 0x7fff : (unsigned short)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}
