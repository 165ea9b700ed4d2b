// The value and the slope of every activation: what `kernels/reference/activations.py` says, for one element.
//
// `slope` takes the activation's output where `from_output` says so, else its input, like the reference's formula.
// `is_cheap` says that both take few registers. p and q are the activation's parameters, in the order of `kernels/cuda/activations.py`. Comparisons are written such
// that NaN ends where the reference's ends: minimum and maximum of it are NaN, and it is neither inside nor outside.
// The structs have the names of the reference's formulas; so the language's own functions need their `::` here.

namespace activations {

struct of_input { static constexpr bool from_output = false, is_cheap = false; };
struct of_output { static constexpr bool from_output = true, is_cheap = false; };

constexpr real lecun_scale = 1.7159, lecun_rate = 2.0 / 3.0;
constexpr real selu_scale = 1.0507009873554805, selu_alpha = 1.6732632423543772;
constexpr real sqrt_half = 0.70710678118654752, sqrt_2_over_pi = 0.79788456080286536;
constexpr real half = 0.5, third = 1.0 / 3.0, sixth = 1.0 / 6.0, gelu_cubic = 0.044715;

__device__ __forceinline__ real at_least(real x, real limit) { return x < limit ? limit : x; }
__device__ __forceinline__ real at_most(real x, real limit) { return x > limit ? limit : x; }
__device__ __forceinline__ real logistic(real x) { return 1 / (1 + ::exp(-x)); }
__device__ __forceinline__ real smooth_ramp(real x, real beta, real threshold) {
  return beta * x > threshold ? x : ::log1p(::exp(beta * x)) / beta;
}

struct identity : of_input {
  static constexpr bool is_cheap = true;
  static __device__ real value(real x, real, real) { return x; }
  static __device__ real slope(real, real, real) { return 1; }
};

struct tanh : of_output {
  static __device__ real value(real x, real, real) { return ::tanh(x); }
  static __device__ real slope(real y, real, real) { return 1 - y * y; }
};

struct lecun_tanh : of_output {
  static __device__ real value(real x, real, real) { return lecun_scale * ::tanh(lecun_rate * x); }
  static __device__ real slope(real y, real, real) { return lecun_rate * (lecun_scale - y * y * (1 / lecun_scale)); }
};

struct penalized_tanh : of_input {
  static __device__ real value(real x, real scale, real) { return ::tanh(x) * (x > 0 ? 1 : scale); }
  static __device__ real slope(real x, real scale, real) {
    const real t = ::tanh(x);
    return (x > 0 ? 1 : scale) * (1 - t * t);
  }
};

struct shifted_tanh : of_output {
  static __device__ real value(real x, real shift, real) { return ::tanh(x + shift); }
  static __device__ real slope(real y, real, real) { return 1 - y * y; }
};

struct softsign : of_output {
  static __device__ real value(real x, real, real) { return x / (1 + ::fabs(x)); }
  static __device__ real slope(real y, real, real) {
    const real rest = 1 - ::fabs(y);
    return rest * rest;
  }
};

struct sigmoid : of_output {
  static __device__ real value(real x, real, real) { return logistic(x); }
  static __device__ real slope(real y, real, real) { return y * (1 - y); }
};

struct hardtanh : of_input {
  static constexpr bool is_cheap = true;
  static __device__ real value(real x, real low, real high) { return at_most(at_least(x, low), high); }
  static __device__ real slope(real x, real low, real high) { return x > low && x < high ? 1 : 0; }
};

struct hardsigmoid : of_input {
  static __device__ real value(real x, real, real) { return at_most(at_least(x * sixth + half, 0), 1); }
  static __device__ real slope(real x, real, real) { return x > -3 && x < 3 ? sixth : 0; }
};

struct relu6 : of_input {
  static constexpr bool is_cheap = true;
  static __device__ real value(real x, real, real) { return at_most(at_least(x, 0), 6); }
  static __device__ real slope(real x, real, real) { return x > 0 && x < 6 ? 1 : 0; }
};

struct arctan : of_input {
  static __device__ real value(real x, real, real) { return ::atan(x); }
  static __device__ real slope(real x, real, real) { return 1 / (1 + x * x); }
};

struct erf : of_input {
  static __device__ real value(real x, real, real) { return ::erf(x); }
  static __device__ real slope(real x, real, real) { return real(1.1283791670955126) * ::exp(-x * x); }
};

struct relu : of_output {
  static constexpr bool is_cheap = true;
  static __device__ real value(real x, real, real) { return at_least(x, 0); }
  static __device__ real slope(real y, real, real) { return y > 0 ? 1 : 0; }
};

struct leaky_relu : of_input {
  static constexpr bool is_cheap = true;
  static __device__ real value(real x, real negative_slope, real) { return x > 0 ? x : negative_slope * x; }
  static __device__ real slope(real x, real negative_slope, real) { return x > 0 ? 1 : negative_slope; }
};

struct elu : of_input {
  static __device__ real value(real x, real alpha, real) { return x > 0 ? x : alpha * ::expm1(x); }
  static __device__ real slope(real x, real alpha, real) { return x > 0 ? 1 : alpha * ::exp(x); }
};

struct selu : of_input {
  static __device__ real value(real x, real, real) { return selu_scale * elu::value(x, selu_alpha, 0); }
  static __device__ real slope(real x, real, real) { return selu_scale * elu::slope(x, selu_alpha, 0); }
};

struct celu : of_input {
  static __device__ real value(real x, real alpha, real) { return x > 0 ? x : alpha * ::expm1(x / alpha); }
  static __device__ real slope(real x, real alpha, real) { return x > 0 ? 1 : ::exp(x / alpha); }
};

struct gelu : of_input {
  static __device__ real value(real x, real, real) { return half * x * (1 + ::erf(x * sqrt_half)); }
  static __device__ real slope(real x, real, real) {
    const real density = ::exp(-half * x * x) * (half * sqrt_2_over_pi);
    return half * (1 + ::erf(x * sqrt_half)) + x * density;
  }
};

struct gelu_tanh : of_input {
  static __device__ real inner(real x) { return ::tanh(sqrt_2_over_pi * (x + gelu_cubic * x * x * x)); }
  static __device__ real value(real x, real, real) { return half * x * (1 + inner(x)); }
  static __device__ real slope(real x, real, real) {
    const real t = inner(x);
    return half * (1 + t) + half * x * (1 - t * t) * sqrt_2_over_pi * (1 + 3 * gelu_cubic * x * x);
  }
};

struct silu : of_input {
  static __device__ real value(real x, real, real) { return x * logistic(x); }
  static __device__ real slope(real x, real, real) {
    const real s = logistic(x);
    return s * (1 + x * (1 - s));
  }
};

struct mish : of_input {
  static __device__ real value(real x, real, real) { return x * ::tanh(smooth_ramp(x, 1, 20)); }
  static __device__ real slope(real x, real, real) {
    const real t = ::tanh(smooth_ramp(x, 1, 20));
    return t + x * logistic(x) * (1 - t * t);
  }
};

struct softplus : of_input {
  static __device__ real value(real x, real beta, real threshold) { return smooth_ramp(x, beta, threshold); }
  static __device__ real slope(real x, real beta, real threshold) {
    return beta * x > threshold ? 1 : logistic(beta * x);
  }
};

struct hardswish : of_input {
  static __device__ real value(real x, real, real) { return x * at_most(at_least(x + 3, 0), 6) * sixth; }
  static __device__ real slope(real x, real, real) { return x <= -3 ? 0 : x >= 3 ? 1 : x * third + half; }
};

}  // namespace activations

using Activation = activations::ACTIVATION;
