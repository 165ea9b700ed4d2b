// Softmax and cross-entropy of rows of logits, (R, C), both ways. A warp works at a row; the block is (WARP, ROWS).

constexpr int ROWS = 8;

#define WARPS extern "C" __global__ void __launch_bounds__(WARP* ROWS)

// The same in all lanes: the sums are of the same numbers in the same order.
template <class Number> __device__ __forceinline__ Number sum_of_warp(Number x) {
#pragma unroll
  for (int distance = WARP / 2; distance > 0; distance /= 2) x += __shfl_xor_sync(0xffffffffu, x, distance);
  return x;
}

// The largest logit of a row, and the sum of exp(logit - largest). NaN in a row makes the sum NaN.
struct Exponentials {
  real highest, total;

  __device__ __forceinline__ Exponentials(const scalar* row, int classes) {
    highest = widened(row[0]);
    for (int c = threadIdx.x; c < classes; c += WARP) highest = larger(widened(row[c]), highest);
#pragma unroll
    for (int distance = WARP / 2; distance > 0; distance /= 2)
      highest = larger(__shfl_xor_sync(0xffffffffu, highest, distance), highest);
    total = 0;
    for (int c = threadIdx.x; c < classes; c += WARP) total += ::exp(widened(row[c]) - highest);
    total = sum_of_warp(total);
  }

  static __device__ __forceinline__ real larger(real a, real b) { return a > b ? a : b; }
};

WARPS softmax(const scalar* x, long long rows, int classes, int logarithm, scalar* y) {
  const long long row = (long long)blockIdx.x * ROWS + threadIdx.y;
  if (row >= rows) return;
  x += row * classes;
  y += row * classes;
  const Exponentials of(x, classes);
  const real log_total = ::log(of.total);
  for (int c = threadIdx.x; c < classes; c += WARP) {
    const real shifted = widened(x[c]) - of.highest;
    narrow(y[c], logarithm ? shifted - log_total : ::exp(shifted) / of.total);
  }
}

// From the output y: of the softmax y * (grad - sum(grad * y)), of its logarithm grad - exp(y) * sum(grad).
WARPS softmax_gradient(
    const scalar* grad, const scalar* y, long long rows, int classes, int logarithm, scalar* grad_x) {
  const long long row = (long long)blockIdx.x * ROWS + threadIdx.y;
  if (row >= rows) return;
  grad += row * classes;
  y += row * classes;
  grad_x += row * classes;
  real total = 0;
  for (int c = threadIdx.x; c < classes; c += WARP)
    total += logarithm ? widened(grad[c]) : widened(grad[c]) * widened(y[c]);
  total = sum_of_warp(total);
  for (int c = threadIdx.x; c < classes; c += WARP) {
    const real output = widened(y[c]), g = widened(grad[c]);
    narrow(grad_x[c], logarithm ? g - ::exp(output) * total : output * (g - total));
  }
}

// Adds up what the block's warps have, warp by warp; thread (0, 0) gets it.
template <class Number> __device__ Number sum_of_block(Number of_warp) {
  __shared__ Number sums[ROWS];
  __syncthreads();
  if (threadIdx.x == 0) sums[threadIdx.y] = of_warp;
  __syncthreads();
  Number total = 0;
  for (int warp = 0; warp < ROWS; ++warp) total += sums[warp];
  return total;
}

constexpr int NONE = 0, MEAN = 1;

// -log softmax(x) at the class that each target names: for NONE one for each row, else their mean or sum, by the block
// that comes last. A target that names no class gives NaN. The grid is (1, blocks); `partials` has two numbers of each.
WARPS cross_entropy(
    const scalar* x, const long long* target, long long rows, int classes, long long ignored, int reduction,
    double* partials, unsigned* arrived, scalar* losses) {
  double sum = 0, count = 0;
  for (long long row = blockIdx.y * ROWS + threadIdx.y; row < rows; row += gridDim.y * ROWS) {
    const long long y = target[row];
    real loss = 0;
    if (y != ignored) {
      const scalar* logits = x + row * classes;
      const Exponentials of(logits, classes);
      const bool named = y >= 0 && y < classes;
      loss = named ? ::log(of.total) - (widened(logits[y]) - of.highest) : ::log(real(-1));
      count += 1;
    }
    sum += loss;
    if (reduction == NONE && threadIdx.x == 0) narrow(losses[row], loss);
  }
  if (reduction == NONE) return;
  sum = sum_of_block(sum);
  count = sum_of_block(count);
  if (gridDim.y > 1) {
    if (threadIdx.x == 0 && threadIdx.y == 0) {
      partials[2 * blockIdx.y] = sum;
      partials[2 * blockIdx.y + 1] = count;
    }
    if (!is_last_block(arrived)) return;
    sum = count = 0;
    for (int block = threadIdx.x; block < gridDim.y; block += WARP) {
      sum += partials[2 * block];
      count += partials[2 * block + 1];
    }
    sum = sum_of_warp(sum);
    count = sum_of_warp(count);
  }
  if (threadIdx.x == 0 && threadIdx.y == 0) narrow(losses[0], reduction == MEAN ? sum / count : sum);
}

// (softmax(x) - one_hot(target)) * grad, for MEAN divided by how many targets count. `step` is the distance between
// the rows' gradients, 0 where all share one.
WARPS cross_entropy_gradient(
    const scalar* grad, int step, const scalar* x, const long long* target, long long rows, int classes,
    long long ignored, int reduction, scalar* grad_x) {
  real divisor = 1;
  if (reduction == MEAN) {  // each block counts for itself: a second launch would take longer
    int count = 0;
    for (long long row = threadIdx.y * WARP + threadIdx.x; row < rows; row += WARP * ROWS)
      count += target[row] != ignored;
    divisor = sum_of_block(sum_of_warp(count));
  }
  for (long long row = blockIdx.x * ROWS + threadIdx.y; row < rows; row += gridDim.x * ROWS) {
    const long long y = target[row];
    const real share = y == ignored ? 0 : widened(grad[row * step]) / divisor;
    const scalar* logits = x + row * classes;
    const Exponentials of(logits, classes);
    for (int c = threadIdx.x; c < classes; c += WARP) {
      const real probability = ::exp(widened(logits[c]) - of.highest) / of.total;
      narrow(grad_x[row * classes + c], (c == y ? probability - 1 : probability) * share);
    }
  }
}
