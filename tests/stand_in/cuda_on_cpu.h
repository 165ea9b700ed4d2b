// CUDA C++ on a CPU, for tests: what a kernel finds declared. The threads of a block are run by fibers.cpp.
#pragma once

#define CUDA_ON_CPU 1
#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) alignas(n)
#define __restrict__ __restrict
#define __shared__ thread_local  // static by itself, one block of memory for all of a module's variables
#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")

using size_t = decltype(sizeof(0));

#define VECTOR2(T, name) struct alignas(2 * sizeof(T)) name { T x, y; }; \
  inline name make_##name(T x, T y) { return {x, y}; }
#define VECTOR3(T, name) struct name { T x, y, z; }; inline name make_##name(T x, T y, T z) { return {x, y, z}; }
#define VECTOR4(T, name) struct alignas(4 * sizeof(T) < 16 ? 4 * sizeof(T) : 16) name { T x, y, z, w; }; \
  inline name make_##name(T x, T y, T z, T w) { return {x, y, z, w}; }
#define VECTORS(T, name) VECTOR2(T, name##2) VECTOR3(T, name##3) VECTOR4(T, name##4)
VECTORS(signed char, char) VECTORS(unsigned char, uchar) VECTORS(short, short) VECTORS(unsigned short, ushort)
VECTORS(int, int) VECTORS(unsigned, uint) VECTORS(long, long) VECTORS(unsigned long, ulong)
VECTORS(long long, longlong) VECTORS(unsigned long long, ulonglong) VECTORS(float, float) VECTORS(double, double)
struct dim3 { unsigned x = 1, y = 1, z = 1; };

extern "C" {
extern uint3 threadIdx, blockIdx;  // not const: a compiler keeps what is constant
extern dim3 blockDim, gridDim;
int cuda_on_cpu_barrier(int value, const char* file, int line, int what);
void cuda_on_cpu_shuffle(unsigned mask, void* value, int size, int source, const char* file, int line);
unsigned cuda_on_cpu_ballot(unsigned mask, int predicate, const char* file, int line);
int cuda_on_cpu_lane();
unsigned cuda_on_cpu_active();
[[noreturn]] void cuda_on_cpu_fail(const char* message, const char* file, int line);
}
constexpr int warpSize = 32;

// -- synchronisation ---------------------------------------------------------------------------------------

#define CALL_SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(CALL_SITE) { cuda_on_cpu_barrier(0, file, line, 0); }
inline int __syncthreads_count(int x, CALL_SITE) { return cuda_on_cpu_barrier(x != 0, file, line, 0); }
inline int __syncthreads_or(int x, CALL_SITE) { return cuda_on_cpu_barrier(x != 0, file, line, 1); }
inline int __syncthreads_and(int x, CALL_SITE) { return cuda_on_cpu_barrier(x != 0, file, line, 2); }
inline void __syncwarp(unsigned mask = 0xffffffffu, CALL_SITE) { cuda_on_cpu_ballot(mask, 0, file, line); }
inline unsigned __ballot_sync(unsigned mask, int x, CALL_SITE) { return cuda_on_cpu_ballot(mask, x, file, line); }
inline int __any_sync(unsigned mask, int x, CALL_SITE) { return cuda_on_cpu_ballot(mask, x, file, line) != 0; }
inline int __all_sync(unsigned mask, int x, CALL_SITE) { return cuda_on_cpu_ballot(mask, !x, file, line) == 0; }
inline unsigned __activemask() { return cuda_on_cpu_active(); }
inline void __threadfence() {}
inline void __threadfence_block() {}

template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32, CALL_SITE) {
  const int first = cuda_on_cpu_lane() & ~(width - 1);
  cuda_on_cpu_shuffle(mask, &value, sizeof(T), first + (lane & (width - 1)), file, line);
  return value;
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, CALL_SITE) {
  const int lane = cuda_on_cpu_lane();
  const bool inside = (lane & (width - 1)) + delta < unsigned(width);
  cuda_on_cpu_shuffle(mask, &value, sizeof(T), inside ? lane + delta : lane, file, line);
  return value;
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, CALL_SITE) {
  const int lane = cuda_on_cpu_lane();
  const bool inside = unsigned(lane & (width - 1)) >= delta;
  cuda_on_cpu_shuffle(mask, &value, sizeof(T), inside ? lane - delta : lane, file, line);
  return value;
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, CALL_SITE) {
  const int lane = cuda_on_cpu_lane(), other = lane ^ bits;
  const bool inside = (other & ~(width - 1)) <= (lane & ~(width - 1));
  cuda_on_cpu_shuffle(mask, &value, sizeof(T), inside ? other : lane, file, line);
  return value;
}

// -- atomics: of integers only, for sums of floats would depend on the order ---------------------------------

#define ATOMICS(T) \
  inline T atomicAdd(T* at, T x) { T old = *at; *at = old + x; return old; } \
  inline T atomicExch(T* at, T x) { T old = *at; *at = x; return old; } \
  inline T atomicMax(T* at, T x) { T old = *at; if (x > old) *at = x; return old; } \
  inline T atomicMin(T* at, T x) { T old = *at; if (x < old) *at = x; return old; } \
  inline T atomicOr(T* at, T x) { T old = *at; *at = old | x; return old; } \
  inline T atomicAnd(T* at, T x) { T old = *at; *at = old & x; return old; } \
  inline T atomicCAS(T* at, T compare, T x) { T old = *at; if (old == compare) *at = x; return old; }
ATOMICS(int)
ATOMICS(unsigned)
ATOMICS(unsigned long long)
inline int atomicSub(int* at, int x) { return atomicAdd(at, -x); }
inline unsigned atomicSub(unsigned* at, unsigned x) { return atomicAdd(at, 0u - x); }
inline unsigned atomicInc(unsigned* at, unsigned last) { unsigned old = *at; *at = old >= last ? 0 : old + 1; return old; }
inline unsigned atomicDec(unsigned* at, unsigned last) {
  unsigned old = *at;
  *at = old == 0 || old > last ? last : old - 1;
  return old;
}

// -- memory ------------------------------------------------------------------------------------------------

template <class T> T __ldg(const T* at) { return *at; }
template <class T> T __ldcs(const T* at) { return *at; }
template <class T> T __ldcg(const T* at) { return *at; }
template <class T> void __stcs(T* at, T value) { *at = value; }
template <class T> void __stcg(T* at, T value) { *at = value; }

// -- arithmetic --------------------------------------------------------------------------------------------

#define MATH1(name) extern "C" double name(double) noexcept; extern "C" float name##f(float) noexcept; \
  inline float name(float x) { return name##f(x); }
#define MATH2(name) extern "C" double name(double, double) noexcept; extern "C" float name##f(float, float) noexcept; \
  inline float name(float x, float y) { return name##f(x, y); }
MATH1(sqrt) MATH1(cbrt) MATH1(exp) MATH1(exp2) MATH1(expm1) MATH1(log) MATH1(log2) MATH1(log10) MATH1(log1p)
MATH1(sin) MATH1(cos) MATH1(tan) MATH1(asin) MATH1(acos) MATH1(atan) MATH1(sinh) MATH1(cosh) MATH1(tanh)
MATH1(asinh) MATH1(acosh) MATH1(atanh) MATH1(erf) MATH1(erfc) MATH1(floor) MATH1(ceil) MATH1(rint) MATH1(trunc)
MATH1(round) MATH1(fabs) MATH1(nearbyint)
MATH2(pow) MATH2(atan2) MATH2(fmin) MATH2(fmax) MATH2(fmod) MATH2(copysign) MATH2(hypot)
extern "C" double fma(double, double, double) noexcept;
extern "C" float fmaf(float, float, float) noexcept;
inline float fma(float x, float y, float z) { return fmaf(x, y, z); }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline float rsqrt(float x) { return rsqrtf(x); }
inline float normcdff(float x) { return float(0.5 * erfc(-double(x) * 0.70710678118654752440)); }
inline double normcdf(double x) { return 0.5 * erfc(-x * 0.70710678118654752440); }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __fadd_rn(float x, float y) { return x + y; }
inline float __fsub_rn(float x, float y) { return x - y; }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
inline double __dadd_rn(double x, double y) { return x + y; }
inline double __dmul_rn(double x, double y) { return x * y; }
inline double __fma_rn(double x, double y, double z) { return fma(x, y, z); }
template <class T> bool isnan(T x) { return __builtin_isnan(x); }
template <class T> bool isinf(T x) { return __builtin_isinf(x); }
template <class T> bool isfinite(T x) { return __builtin_isfinite(x); }
template <class T> bool signbit(T x) { return __builtin_signbit(x); }

#define ORDERED(T) inline T min(T a, T b) { return b < a ? b : a; } inline T max(T a, T b) { return a < b ? b : a; }
ORDERED(int) ORDERED(unsigned) ORDERED(long) ORDERED(unsigned long) ORDERED(long long) ORDERED(unsigned long long)
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
inline int abs(int x) { return x < 0 ? -x : x; }
inline long abs(long x) { return x < 0 ? -x : x; }
inline long long abs(long long x) { return x < 0 ? -x : x; }
inline float abs(float x) { return fabsf(x); }
inline double abs(double x) { return fabs(x); }

template <class To, class From> To cuda_on_cpu_bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "");
  To to;
  __builtin_memcpy(&to, &from, sizeof(To));
  return to;
}
inline float __uint_as_float(unsigned x) { return cuda_on_cpu_bits<float>(x); }
inline float __int_as_float(int x) { return cuda_on_cpu_bits<float>(x); }
inline unsigned __float_as_uint(float x) { return cuda_on_cpu_bits<unsigned>(x); }
inline int __float_as_int(float x) { return cuda_on_cpu_bits<int>(x); }
inline double __longlong_as_double(long long x) { return cuda_on_cpu_bits<double>(x); }
inline long long __double_as_longlong(double x) { return cuda_on_cpu_bits<long long>(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline unsigned __umulhi(unsigned x, unsigned y) { return unsigned((unsigned long long)(x) * y >> 32); }
inline int __mul24(int x, int y) { return x * y; }
inline int __float2int_rn(float x) { return int(rintf(x)); }

// What source/scalars.cuh says in PTX.
#define HALF_CONVERSIONS
inline float half_to_float(unsigned short bits) {
  const unsigned sign = unsigned(bits & 0x8000) << 16, magnitude = bits & 0x7fff;
  if (magnitude < 0x400) return copysignf(float(magnitude) * 0x1p-24f, __uint_as_float(sign));
  return __uint_as_float(sign | (magnitude << 13) + (magnitude < 0x7c00 ? 112u << 23 : 224u << 23));
}
inline unsigned short float_to_half(float x) {
  const unsigned sign = __float_as_uint(x) >> 16 & 0x8000, magnitude = __float_as_uint(x) & 0x7fffffff;
  if (magnitude > 0x7f800000) return 0x7fff;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;  // from 65520 on
  if (magnitude < 0x38800000) return sign | unsigned(rintf(fabsf(x) * 0x1p24f));
  return sign | (magnitude + 0xfff + (magnitude >> 13 & 1) - (112u << 23)) >> 13;
}

// -- what Python is told about a kernel, and how it calls one ------------------------------------------------

namespace cuda_on_cpu {

// kind and of: 'p'ointer, 'i'nteger, 'f'loating, 's'tructure, 'v'oid; size, of_size: bytes.
struct Parameter { char kind, of; int size, of_size; };

template <class T> constexpr char kind_of = __is_class(T) ? 's' : 'i';
template <> constexpr char kind_of<float> = 'f';
template <> constexpr char kind_of<double> = 'f';
template <> constexpr char kind_of<void> = 'v';
template <class T> struct plain { using type = T; };
template <class T> struct plain<const T> { using type = T; };
template <class T> constexpr int size_of = sizeof(T);
template <> constexpr int size_of<void> = 1;

template <class T> struct described {
  static constexpr Parameter value = {kind_of<T>, 0, sizeof(T), 0};
};
template <class T> struct described<T*> {
  using target = typename plain<T>::type;
  static constexpr Parameter value = {'p', kind_of<target>, sizeof(T*), size_of<target>};
};

template <int... I> struct indices {};
template <int N, int... I> struct first_indices : first_indices<N - 1, N - 1, I...> {};
template <int... I> struct first_indices<0, I...> { using type = indices<I...>; };

template <auto kernel> struct launcher;
template <class... P, void (*kernel)(P...)> struct launcher<kernel> {
  static constexpr int count = sizeof...(P);
  static constexpr Parameter parameters[count + 1] = {described<typename plain<P>::type>::value..., {}};
  template <int... I> static void unpack(void** arguments, indices<I...>) {
    kernel(*static_cast<typename plain<P>::type*>(arguments[I])...);
  }
  static void run(void** arguments) { unpack(arguments, typename first_indices<count>::type()); }
};

struct Kernel { const char* name; void (*run)(void**); const Parameter* parameters; int count, most_threads; };

constexpr int first(int threads, ...) { return threads; }

}  // namespace cuda_on_cpu
