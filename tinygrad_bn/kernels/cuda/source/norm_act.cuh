// Batch normalisation and an activation, in both orders and both ways; and an activation alone.
//
// Forward: `statistics` reads x; then `output` reads x and writes the result. Backward: `gradient_sums` reads the result's
// gradient and x; then `input_gradient` reads both again and writes the gradient of x. What lies between the two
// operations is computed again, in registers. The second kernel of a pair walks backwards: it begins with what the first
// one read last, which the cache still has. `wide` says that rows and addresses allow WIDE numbers at once.

template <class A, class B> constexpr bool is_same = false;
template <class A> constexpr bool is_same<A, A> = true;

// Rows that a thread has on their way from memory at the same time: as many as the registers allow. Those of 16-bit
// numbers are small. PAIRS are rows of two arrays; FOUND is for the statistics.
constexpr int AT_ONCE = Activation::is_cheap || sizeof(scalar) == 2 ? 4 : 2, PAIRS_AT_ONCE = AT_ONCE / 2;
constexpr int FOUND_AT_ONCE =
    !is_same<Activation, activations::identity> ? 2 : is_same<scalar, half_storage> ? 3 : 4;

struct Parameters { real p, q; };

__device__ __forceinline__ real activated(real x, Parameters of) { return Activation::value(x, of.p, of.q); }

// The slope at x, where the activation is y.
__device__ __forceinline__ real slope(real x, real y, Parameters of) {
  return Activation::slope(Activation::from_output ? y : x, of.p, of.q);
}

// Activation of the normalised x. `before` gives what is normalised; `grad_after` the gradient of the normalisation's
// output from that of the result; `grad_before` the gradient of x from that of what is normalised.
struct Convention {
  static __device__ __forceinline__ real before(real x, Parameters) { return x; }
  static __device__ __forceinline__ real after(real normalized, Parameters of) { return activated(normalized, of); }
  static __device__ __forceinline__ real grad_after(real grad, real normalized, Parameters of) {
    return grad * slope(normalized, activated(normalized, of), of);
  }
  static __device__ __forceinline__ real grad_before(real grad, real, real, Parameters) { return grad; }
};

// The normalised activation of x.
struct Swap {
  static __device__ __forceinline__ real before(real x, Parameters of) { return activated(x, of); }
  static __device__ __forceinline__ real after(real normalized, Parameters) { return normalized; }
  static __device__ __forceinline__ real grad_after(real grad, real, Parameters) { return grad; }
  static __device__ __forceinline__ real grad_before(real grad, real x, real activation, Parameters of) {
    return grad * slope(x, activation, of);
  }
};

// What the normalisation does to the channels of a thread.
template <int width> struct Normalization {
  Reals<width> mean, scale, shift;

  __device__ Normalization(
      const real* means, const real* variances, const real* weights, const real* biases, real eps, int channel) {
#pragma unroll
    for (int i = 0; i < width; ++i) {
      mean.at[i] = means[channel + i];
      scale.at[i] = 1 / ::sqrt(variances[channel + i] + eps) * (weights ? weights[channel + i] : 1);
      shift.at[i] = biases ? biases[channel + i] : 0;
    }
  }

  // The mean is taken off first: in x * scale + constant the digits of a mean that is far from zero would be lost.
  __device__ __forceinline__ real operator()(real x, int i) const {
    return (x - mean.at[i]) * scale.at[i] + shift.at[i];
  }
};

template <int width> __device__ void find_statistics(
    const scalar* x, long long rows, int channels, long long part, Parameters of, real* partials, unsigned* arrived,
    real* mean, real* variance, real* running_mean, real* running_variance, real momentum, long long* batches) {
  const Place<width> place(rows, channels, part);
  Moments<width> found = Moments<width>::none();
  place.template forwards<FOUND_AT_ONCE>([&](int row, int number) {
    Stored<width> packs[FOUND_AT_ONCE];
    place.load(packs, x, row, number);
    Reals<width> values[FOUND_AT_ONCE];
#pragma unroll
    for (int k = 0; k < FOUND_AT_ONCE; ++k) {
      if (k >= number) continue;
#pragma unroll
      for (int i = 0; i < width; ++i) values[k].at[i] = activated(widened(packs[k].at[i]), of);
    }
    if (row == 0) found.mean = values[0];
    // The rows at hand in two passes, seen from the mean so far, and then merged: nothing cancels.
    const real share = 1 / real(number);
    Reals<width> differences, squares;
#pragma unroll
    for (int i = 0; i < width; ++i) {
      real center = 0, sum = 0;
#pragma unroll
      for (int k = 0; k < FOUND_AT_ONCE; ++k) {
        if (k >= number) continue;
        values[k].at[i] -= found.mean.at[i];
        center += values[k].at[i];
      }
      center *= share;
#pragma unroll
      for (int k = 0; k < FOUND_AT_ONCE; ++k) {
        if (k >= number) continue;
        const real deviation = values[k].at[i] - center;
        sum += deviation * deviation;
      }
      differences.at[i] = center - found.rest.at[i];
      squares.at[i] = sum;
    }
    found.add(number, differences, squares);
  });
  if (!merge_parts(found, rows, part, partials, arrived)) return;
  if (batches && blockIdx.x == 0 && threadIdx.x == 0 && threadIdx.y == 0) *batches += 1;
  if (!place.has_column || threadIdx.y > 0) return;
#pragma unroll
  for (int i = 0; i < width; ++i) {
    const int channel = place.channel + i;
    const real biased = found.squares.at[i] / found.count;
    mean[channel] = found.mean.at[i];
    variance[channel] = biased;
    if (running_mean) {
      const real unbiased = biased * (found.count / (found.count - 1));
      running_mean[channel] = (1 - momentum) * running_mean[channel] + momentum * found.mean.at[i];
      running_variance[channel] = (1 - momentum) * running_variance[channel] + momentum * unbiased;
    }
  }
}

template <class Order, int width> __device__ void write_output(
    const scalar* x, long long rows, int channels, long long part, Parameters of, const real* mean,
    const real* variance, const real* weight, const real* bias, real eps, scalar* y) {
  const Place<width> place(rows, channels, part);
  const Normalization<width> normalized(mean, variance, weight, bias, eps, place.channel);
  place.template backwards<AT_ONCE>([&](int row, int number) {
    Stored<width> packs[AT_ONCE];
    place.load(packs, x, row, number);
#pragma unroll
    for (int k = 0; k < AT_ONCE; ++k) {
      if (k >= number) continue;
      Reals<width> values;
#pragma unroll
      for (int i = 0; i < width; ++i)
        values.at[i] = Order::after(normalized(Order::before(widened(packs[k].at[i]), of), i), of);
      place.store(y, row + k, values);
    }
  });
}

template <class Order, int width> __device__ void find_gradient_sums(
    const scalar* grad, const scalar* x, long long rows, int channels, long long part, Parameters of, const real* mean,
    const real* variance, const real* weight, const real* bias, real eps, real* partials, unsigned* arrived,
    real* grad_weight, real* grad_bias) {
  const Place<width> place(rows, channels, part);
  const Normalization<width> normalized(mean, variance, weight, bias, eps, place.channel);
  Sums<width> found = Sums<width>::none();
  place.template forwards<PAIRS_AT_ONCE>([&](int row, int number) {
    Stored<width> packs[PAIRS_AT_ONCE], grads[PAIRS_AT_ONCE];
    place.load(packs, x, row, number);
    place.load(grads, grad, row, number);
#pragma unroll
    for (int k = 0; k < PAIRS_AT_ONCE; ++k) {
      if (k >= number) continue;
#pragma unroll
      for (int i = 0; i < width; ++i) {
        const real value = Order::before(widened(packs[k].at[i]), of);
        const real grad_out = Order::grad_after(widened(grads[k].at[i]), normalized(value, i), of);
        found.first.at[i] += grad_out;
        found.second.at[i] += grad_out * (value - normalized.mean.at[i]);
      }
    }
  });
  if (!merge_parts(found, rows, part, partials, arrived)) return;
  if (!place.has_column || threadIdx.y > 0) return;
#pragma unroll
  for (int i = 0; i < width; ++i) {
    grad_bias[place.channel + i] = found.first.at[i];
    grad_weight[place.channel + i] = found.second.at[i] / ::sqrt(variance[place.channel + i] + eps);
  }
}

// `of_batch` says that mean and variance are the batch's own; else they are constants, and no gradient goes through them.
template <class Order, int width> __device__ void write_input_gradient(
    const scalar* grad, const scalar* x, long long rows, int channels, long long part, Parameters of, const real* mean,
    const real* variance, const real* weight, const real* bias, real eps, const real* grad_weight,
    const real* grad_bias, int of_batch, scalar* grad_x) {
  const Place<width> place(rows, channels, part);
  const Normalization<width> normalized(mean, variance, weight, bias, eps, place.channel);
  Reals<width> through_mean, through_variance;
#pragma unroll
  for (int i = 0; i < width; ++i) {
    const int channel = place.channel + i;
    through_mean.at[i] = grad_bias[channel] / rows;
    through_variance.at[i] = grad_weight[channel] / ::sqrt(variance[channel] + eps) / rows;
  }
  place.template backwards<PAIRS_AT_ONCE>([&](int row, int number) {
    Stored<width> packs[PAIRS_AT_ONCE], grads[PAIRS_AT_ONCE];
    place.load(packs, x, row, number);
    place.load(grads, grad, row, number);
#pragma unroll
    for (int k = 0; k < PAIRS_AT_ONCE; ++k) {
      if (k >= number) continue;
      Reals<width> values;
#pragma unroll
      for (int i = 0; i < width; ++i) {
        const real input = widened(packs[k].at[i]);
        const real value = Order::before(input, of);
        real grad_in = Order::grad_after(widened(grads[k].at[i]), normalized(value, i), of);
        if (of_batch) {
          grad_in -= (value - normalized.mean.at[i]) * through_variance.at[i];
          grad_in -= through_mean.at[i];
        }
        values.at[i] = Order::grad_before(grad_in * normalized.scale.at[i], input, value, of);
      }
      place.store(grad_x, row + k, values);
    }
  });
}

template <int number> struct Width { static constexpr int value = number; };

// Calls a function for the order and the width that the arguments of a kernel say.
template <class Body> __device__ __forceinline__ void chosen(int wide, int swap, Body body) {
  if (wide) {
    if (swap) body(Swap{}, Width<WIDE>{}); else body(Convention{}, Width<WIDE>{});
  } else {
    if (swap) body(Swap{}, Width<1>{}); else body(Convention{}, Width<1>{});
  }
}

// Two blocks on a multiprocessor leave 64 registers to a thread; doubles take two each.
constexpr int RESIDENT = sizeof(real) == 8 ? 1 : 2;

// Mean and biased variance of the activation of x; moves the running averages, too, where they are given.
extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT) statistics(
    const scalar* x, long long rows, int channels, long long part, int wide, real p, real q, real* partials,
    unsigned* arrived, real* mean, real* variance, real* running_mean, real* running_variance, real momentum,
    long long* batches) {
  chosen(wide, false, [&](auto, auto width) {
    find_statistics<width.value>(
        x, rows, channels, part, {p, q}, partials, arrived, mean, variance, running_mean, running_variance, momentum,
        batches);
  });
}

extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT) output(
    const scalar* x, long long rows, int channels, long long part, int wide, int swap, real p, real q,
    const real* mean, const real* variance, const real* weight, const real* bias, real eps, scalar* y) {
  chosen(wide, swap, [&](auto order, auto width) {
    write_output<decltype(order), width.value>(
        x, rows, channels, part, {p, q}, mean, variance, weight, bias, eps, y);
  });
}

extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT) gradient_sums(
    const scalar* grad, const scalar* x, long long rows, int channels, long long part, int wide, int swap, real p,
    real q, const real* mean, const real* variance, const real* weight, const real* bias, real eps, real* partials,
    unsigned* arrived, real* grad_weight, real* grad_bias) {
  chosen(wide, swap, [&](auto order, auto width) {
    find_gradient_sums<decltype(order), width.value>(
        grad, x, rows, channels, part, {p, q}, mean, variance, weight, bias, eps, partials, arrived, grad_weight,
        grad_bias);
  });
}

extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT) input_gradient(
    const scalar* grad, const scalar* x, long long rows, int channels, long long part, int wide, int swap, real p,
    real q, const real* mean, const real* variance, const real* weight, const real* bias, real eps,
    const real* grad_weight, const real* grad_bias, int of_batch, scalar* grad_x) {
  chosen(wide, swap, [&](auto order, auto width) {
    write_input_gradient<decltype(order), width.value>(
        grad, x, rows, channels, part, {p, q}, mean, variance, weight, bias, eps, grad_weight, grad_bias, of_batch,
        grad_x);
  });
}


// Of a thread of the kernels below.
constexpr int PACKS = 4;

template <int width> __device__ void activate_packs(const scalar* x, long long count, Parameters of, scalar* y) {
  const Stored<width>* from = reinterpret_cast<const Stored<width>*>(x);
  Stored<width>* to = reinterpret_cast<Stored<width>*>(y);
  const long long first = (long long)blockIdx.x * blockDim.x * PACKS + threadIdx.x;
  Stored<width> packs[PACKS];
#pragma unroll
  for (int k = 0; k < PACKS; ++k)
    if (first + k * blockDim.x < count) packs[k] = from[first + k * blockDim.x];
#pragma unroll
  for (int k = 0; k < PACKS; ++k) {
    if (first + k * blockDim.x >= count) continue;
#pragma unroll
    for (int i = 0; i < width; ++i) narrow(packs[k].at[i], activated(widened(packs[k].at[i]), of));
    to[first + k * blockDim.x] = packs[k];
  }
}

template <int width> __device__ void activate_gradient_packs(
    const scalar* grad, const scalar* source, long long count, Parameters of, scalar* grad_x) {
  const Stored<width>* from = reinterpret_cast<const Stored<width>*>(source);
  const Stored<width>* grad_from = reinterpret_cast<const Stored<width>*>(grad);
  Stored<width>* to = reinterpret_cast<Stored<width>*>(grad_x);
  const long long first = (long long)blockIdx.x * blockDim.x * PACKS + threadIdx.x;
  Stored<width> packs[PACKS], grads[PACKS];
#pragma unroll
  for (int k = 0; k < PACKS; ++k) {
    if (first + k * blockDim.x >= count) continue;
    packs[k] = from[first + k * blockDim.x];
    grads[k] = grad_from[first + k * blockDim.x];
  }
#pragma unroll
  for (int k = 0; k < PACKS; ++k) {
    if (first + k * blockDim.x >= count) continue;
#pragma unroll
    for (int i = 0; i < width; ++i)
      narrow(grads[k].at[i], widened(grads[k].at[i]) * Activation::slope(widened(packs[k].at[i]), of.p, of.q));
    to[first + k * blockDim.x] = grads[k];
  }
}

// The activation of numbers in any order. What is left beside whole packs is less than a block's work.
extern "C" __global__ void __launch_bounds__(THREADS) activate(
    const scalar* x, long long count, int wide, real p, real q, scalar* y) {
  const long long packed = wide ? count / WIDE * WIDE : 0;
  activate_packs<WIDE>(x, packed / WIDE, {p, q}, y);
  activate_packs<1>(x + packed, count - packed, {p, q}, y + packed);
}

// Gradient of x from that of the activation; `source` is the activation or x, whichever the slope is computed from.
extern "C" __global__ void __launch_bounds__(THREADS) activate_gradient(
    const scalar* grad, const scalar* source, long long count, int wide, real p, real q, scalar* grad_x) {
  const long long packed = wide ? count / WIDE * WIDE : 0;
  activate_gradient_packs<WIDE>(grad, source, packed / WIDE, {p, q}, grad_x);
  activate_gradient_packs<1>(grad + packed, source + packed, count - packed, {p, q}, grad_x + packed);
}
