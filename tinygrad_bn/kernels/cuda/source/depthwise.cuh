// Depthwise convolution with kernels of 3x3, in which every channel is an image of its own, and its gradients.
//
// Blocks share the pixels of the result (of the output's gradient, for the weight's) as in reduction.cuh, where a row is
// a pixel. A thread has the nine weights of its channels, or the nine sums of their gradients, in registers; neighbouring
// pixels read the same values, which the cache then has. Nothing is padded, and everything is written once.

namespace depthwise {

constexpr int SIDE = 3;
constexpr int TAPS = SIDE * SIDE;

// One axis of a convolution: how the kernel moves along it, and how long it is in the image that is read.
struct Axis { int stride, before, dilation, length; };

// Where the taps of one axis meet the image that is read; -1 where they do not.
struct Met { int at[SIDE]; };

// For a position of the convolution's output.
__device__ __forceinline__ Met met_by_output(int position, Axis axis) {
  Met result;
#pragma unroll
  for (int tap = 0; tap < SIDE; ++tap) {
    const int to = position * axis.stride - axis.before + tap * axis.dilation;
    result.at[tap] = 0 <= to && to < axis.length ? to : -1;
  }
  return result;
}

// For a position of the convolution's input: the outputs that read it.
__device__ __forceinline__ Met met_by_input(int position, Axis axis) {
  Met result;
#pragma unroll
  for (int tap = 0; tap < SIDE; ++tap) {
    const int moved = position + axis.before - tap * axis.dilation;
    const int to = moved / axis.stride;
    result.at[tap] = moved >= 0 && to * axis.stride == moved && to < axis.length ? to : -1;
  }
  return result;
}

// What a pixel reads of the images (N, height, width, C) that its taps meet.
struct Reach {
  long long line;  // the first of its image
  Met rows, columns;

  __device__ __forceinline__ bool meets(int i, int j) const { return rows.at[i] >= 0 && columns.at[j] >= 0; }

  // The number of the pixel under a tap; of any pixel, where there is none.
  __device__ __forceinline__ long long pixel(int i, int j, int width) const {
    return meets(i, j) ? (line + rows.at[i]) * width + columns.at[j] : 0;
  }
};

// The pixels that a thread works at, of images (N, height, width): every lane-th of its block's part.
template <int wide> struct Pixels {
  int channel;  // the first of its channels
  bool has_channel;
  long long first;  // its first pixel
  int count;        // none where it has no channel
  int line, column, height, width;

  __device__ Pixels(long long pixels, int channels, long long part, int height, int width)
      : height(height), width(width) {
    channel = (blockIdx.x * blockDim.x + threadIdx.x) * wide;
    has_channel = channel < channels;
    if (!has_channel) channel = 0;
    first = blockIdx.y * part + threadIdx.y;
    const long long end = (blockIdx.y + 1) * part;
    const long long left = (end < pixels ? end : pixels) - first;
    count = has_channel && left > 0 ? int((left - 1) / blockDim.y) + 1 : 0;
    line = int(first / width);
    column = int(first - (long long)line * width);
  }

  __device__ __forceinline__ long long operator[](int number) const {
    return first + (long long)number * blockDim.y;
  }

  template <Met (*met)(int, Axis)>
  __device__ __forceinline__ Reach reach(int number, Axis vertical, Axis horizontal) const {
    const int along = column + number * blockDim.y;
    const int lines = line + along / width, image = lines / height;
    return {
        (long long)image * vertical.length, met(lines - image * height, vertical),
        met(along % width, horizontal)};
  }
};

template <int wide> __device__ __forceinline__ Stored<wide> pack_at(const scalar* from) {
  return *reinterpret_cast<const Stored<wide>*>(from);
}

// What a thread reads for one pixel. All loads are under way before the first value is used: none is behind a branch.
template <int wide> struct Window {
  Stored<wide> under[TAPS];

  __device__ __forceinline__ Window(const scalar* x, const Reach& reach, int width, int channels) {
#pragma unroll
    for (int tap = 0; tap < TAPS; ++tap)
      under[tap] = pack_at<wide>(x + reach.pixel(tap / SIDE, tap % SIDE, width) * channels);
  }

  __device__ __forceinline__ real value(const Reach& reach, int tap, int channel) const {
    return reach.meets(tap / SIDE, tap % SIDE) ? widened(under[tap].at[channel]) : real(0);
  }
};

// Writes, for each pixel of images (height, width), the sum of what its taps meet times their weights, and a bias.
template <int wide, Met (*met)(int, Axis)>
__device__ void correlate(
    const scalar* x, const scalar* weight, const scalar* bias, scalar* out, int channels, int height, int width,
    Axis vertical, Axis horizontal, long long pixels, long long part) {
  const Pixels<wide> of(pixels, channels, part, height, width);
  Reals<wide> start, taps[TAPS];
#pragma unroll
  for (int c = 0; c < wide; ++c) {
    const int channel = of.channel + c;
    start.at[c] = bias ? widened(bias[channel]) : real(0);
#pragma unroll
    for (int tap = 0; tap < TAPS; ++tap) taps[tap].at[c] = widened(weight[(long long)channel * TAPS + tap]);
  }
#pragma unroll 1
  for (int number = 0; number < of.count; ++number) {
    const Reach reach = of.template reach<met>(number, vertical, horizontal);
    const Window<wide> window(x + of.channel, reach, horizontal.length, channels);
    Stored<wide> result;
#pragma unroll
    for (int c = 0; c < wide; ++c) {
      real sum = start.at[c];
#pragma unroll
      for (int tap = 0; tap < TAPS; ++tap) sum += window.value(reach, tap, c) * taps[tap].at[c];
      narrow(result.at[c], sum);
    }
    *reinterpret_cast<Stored<wide>*>(out + of[number] * channels + of.channel) = result;
  }
}

// A sum for each channel of a column.
template <int width> struct Sum {
  Reals<width> sum;

  static __device__ Sum none() {
    Sum result;
#pragma unroll
    for (int c = 0; c < width; ++c) result.sum.at[c] = 0;
    return result;
  }

  __device__ __forceinline__ void merge(const Sum& other) {
#pragma unroll
    for (int c = 0; c < width; ++c) sum.at[c] += other.sum.at[c];
  }

  __device__ Sum of_lane_above(int distance) const {
    Sum result;
#pragma unroll
    for (int c = 0; c < width; ++c) result.sum.at[c] = __shfl_down_sync(0xffffffffu, sum.at[c], distance);
    return result;
  }
};

// Writes what each block finds of the weight's gradient to partials (parts, 9, C).
template <int wide>
__device__ void sum_products(
    const scalar* x, const scalar* grad, real* partials, int channels, int out_height, int out_width, Axis vertical,
    Axis horizontal, long long pixels, long long part) {
  __shared__ Sum<wide> shared[THREADS / 2];
  const Pixels<wide> of(pixels, channels, part, out_height, out_width);
  Sum<wide> sums[TAPS];
#pragma unroll
  for (int tap = 0; tap < TAPS; ++tap) sums[tap] = Sum<wide>::none();
#pragma unroll 1
  for (int number = 0; number < of.count; ++number) {
    const Reach reach = of.template reach<met_by_output>(number, vertical, horizontal);
    const Stored<wide> factor = pack_at<wide>(grad + of[number] * channels + of.channel);
    const Window<wide> window(x + of.channel, reach, horizontal.length, channels);
#pragma unroll
    for (int tap = 0; tap < TAPS; ++tap) {
#pragma unroll
      for (int c = 0; c < wide; ++c)
        sums[tap].sum.at[c] += window.value(reach, tap, c) * widened(factor.at[c]);
    }
  }
  real* of_block = partials + (long long)blockIdx.y * TAPS * channels + of.channel;
#pragma unroll
  for (int tap = 0; tap < TAPS; ++tap) {
    merge_lanes(sums[tap], shared);
    if (threadIdx.y == 0 && of.has_channel) {
#pragma unroll
      for (int c = 0; c < wide; ++c) of_block[(long long)tap * channels + c] = sums[tap].sum.at[c];
    }
  }
}

// x (N, H, W, C) and weight (C, 1, 3, 3), with a bias (C,) or none, to out (N, OH, OW, C).
extern "C" __global__ void __launch_bounds__(THREADS) depthwise_conv2d(
    const scalar* x, const scalar* weight, const scalar* bias, scalar* out, int channels, int height, int width,
    int out_height, int out_width, int row_stride, int column_stride, int top, int left, int row_dilation,
    int column_dilation, long long pixels, long long part, int is_wide) {
  const Axis vertical{row_stride, top, row_dilation, height};
  const Axis horizontal{column_stride, left, column_dilation, width};
  if (is_wide)
    correlate<WIDE, met_by_output>(
        x, weight, bias, out, channels, out_height, out_width, vertical, horizontal, pixels, part);
  else
    correlate<1, met_by_output>(
        x, weight, bias, out, channels, out_height, out_width, vertical, horizontal, pixels, part);
}

// The output's gradient (N, OH, OW, C) and weight (C, 1, 3, 3) to the input's gradient (N, H, W, C).
extern "C" __global__ void __launch_bounds__(THREADS) depthwise_input_grad(
    const scalar* grad, const scalar* weight, scalar* out, int channels, int height, int width, int out_height,
    int out_width, int row_stride, int column_stride, int top, int left, int row_dilation, int column_dilation,
    long long pixels, long long part, int is_wide) {
  const Axis vertical{row_stride, top, row_dilation, out_height};
  const Axis horizontal{column_stride, left, column_dilation, out_width};
  if (is_wide)
    correlate<WIDE, met_by_input>(
        grad, weight, nullptr, out, channels, height, width, vertical, horizontal, pixels, part);
  else
    correlate<1, met_by_input>(
        grad, weight, nullptr, out, channels, height, width, vertical, horizontal, pixels, part);
}

// x (N, H, W, C) and the output's gradient (N, OH, OW, C) to partials (parts, 9, C) of the weight's gradient.
extern "C" __global__ void __launch_bounds__(THREADS) depthwise_weight_grad(
    const scalar* x, const scalar* grad, real* partials, int channels, int height, int width, int out_height,
    int out_width, int row_stride, int column_stride, int top, int left, int row_dilation, int column_dilation,
    long long pixels, long long part, int is_wide) {
  const Axis vertical{row_stride, top, row_dilation, height};
  const Axis horizontal{column_stride, left, column_dilation, width};
  if (is_wide)
    sum_products<WIDE>(
        x, grad, partials, channels, out_height, out_width, vertical, horizontal, pixels, part);
  else
    sum_products<1>(x, grad, partials, channels, out_height, out_width, vertical, horizontal, pixels, part);
}

// Adds up partials (parts, 9, C) to the weight's gradient (C, 1, 3, 3). The grid is (tiles of channels, 9 taps).
extern "C" __global__ void __launch_bounds__(THREADS) depthwise_weight_grad_sum(
    const real* partials, scalar* out, int channels, int parts) {
  __shared__ Sum<1> shared[THREADS / 2];
  const int channel = blockIdx.x * blockDim.x + threadIdx.x;
  const bool has_channel = channel < channels;
  Sum<1> sum = Sum<1>::none();
  for (int block = threadIdx.y; has_channel && block < parts; block += blockDim.y)
    sum.sum.at[0] += partials[((long long)block * TAPS + blockIdx.y) * channels + channel];
  merge_lanes(sum, shared);
  if (threadIdx.y == 0 && has_channel) narrow(out[(long long)channel * TAPS + blockIdx.y], sum.sum.at[0]);
}

}  // namespace depthwise
