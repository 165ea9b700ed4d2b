// Maximum and average pooling of channels-last images (N, H, W, C), both ways.
//
// A thread writes the channels of one pixel that it can write at once, and writes each pixel once. On the ways back it
// looks up which windows contain its pixel: nothing is filled with zeros first, no two threads add to the same number,
// and overlapping windows add up in the order of the window's elements. `wide` says that rows of channels and addresses
// allow 16 bytes at once; `items` counts the threads' pixels and channels, below 2^32.

constexpr int POOL_THREADS = 256;

// [0] is vertical, [1] horizontal. There are `windows` windows along an image of so many pixels, `length`.
struct Pooling { int kernel[2], stride[2], padding[2], dilation[2], length[2], windows[2]; };

// What a thread writes, of images with so many rows, columns and channels.
template <int width> struct Spot {
  unsigned image, row, column, channel;
  long long at;  // its first number
  bool exists;

  __device__ Spot(unsigned items, unsigned rows, unsigned columns, unsigned channels) {
    unsigned item = blockIdx.x * blockDim.x + threadIdx.x;
    exists = item < items;
    at = (long long)item * width;
    const unsigned packs = channels / width;
    channel = item % packs * width;
    item /= packs;
    column = item % columns;
    item /= columns;
    row = item % rows;
    image = item / rows;
  }
};

// Where a pixel's channels begin, in images with so many rows, columns and channels.
template <int width> __device__ __forceinline__ long long place_of(
    const Spot<width>& spot, int row, int column, const int (&size)[2], int channels) {
  return (((long long)spot.image * size[0] + row) * size[1] + column) * channels + spot.channel;
}

template <int width> __device__ __forceinline__ Stored<width> read(const scalar* from) {
  return *reinterpret_cast<const Stored<width>*>(from);
}

template <int width> __device__ __forceinline__ void write(scalar* to, const Reals<width>& values) {
  Stored<width> pack;
#pragma unroll
  for (int i = 0; i < width; ++i) narrow(pack.at[i], values.at[i]);
  *reinterpret_cast<Stored<width>*>(to) = pack;
}

template <int width> __device__ __forceinline__ Reals<width> zeros() {
  Reals<width> result;
#pragma unroll
  for (int i = 0; i < width; ++i) result.at[i] = 0;
  return result;
}

// The first element of a window that is inside the image, the one that the reference takes where none is.
__device__ __forceinline__ int first_inside(const Pooling& of, int axis, int start) {
  const int first = start < 0 ? (of.dilation[axis] - 1 - start) / of.dilation[axis] : 0;
  return first < of.kernel[axis] ? first : of.kernel[axis] - 1;
}

// Calls step(row, column, element) for the elements of a window that are inside the image, row by row.
template <class Step> __device__ __forceinline__ void for_elements(const Pooling& of, int row, int column, Step step) {
  for (int i = 0; i < of.kernel[0]; ++i) {
    const int y = row + i * of.dilation[0];
    if (y < 0 || y >= of.length[0]) continue;
    for (int j = 0; j < of.kernel[1]; ++j) {
      const int x = column + j * of.dilation[1];
      if (x >= 0 && x < of.length[1]) step(y, x, i * of.kernel[1] + j);
    }
  }
}

// Calls step(window, element) for the windows along an axis that contain a position, element by element.
template <class Step>
__device__ __forceinline__ void for_windows(const Pooling& of, int axis, int position, Step step) {
  const int from_start = position + of.padding[axis], stride = of.stride[axis], dilation = of.dilation[axis];
  const int behind_first = from_start - (of.kernel[axis] - 1) * dilation;
  const int first = behind_first > 0 ? (behind_first + stride - 1) / stride : 0;
  int window = from_start / stride;
  if (window >= of.windows[axis]) window = of.windows[axis] - 1;
  for (; window >= first; --window) {
    const int offset = from_start - window * stride;
    if (dilation == 1 || offset % dilation == 0) step(window, offset / dilation);
  }
}

// `Number` is what winners are kept in.
template <int width, class Number> __device__ __forceinline__ void find_maxima(
    const scalar* x, unsigned items, int channels, const Pooling& of, scalar* y, Number* winner) {
  const Spot<width> spot(items, of.windows[0], of.windows[1], channels);
  if (!spot.exists) return;
  const int row = int(spot.row) * of.stride[0] - of.padding[0];
  const int column = int(spot.column) * of.stride[1] - of.padding[1];
  const int first = first_inside(of, 0, row) * of.kernel[1] + first_inside(of, 1, column);
  Reals<width> best;
  int which[width];
#pragma unroll
  for (int i = 0; i < width; ++i) {
    best.at[i] = __uint_as_float(0xff800000u);  // minus infinity
    which[i] = first;
  }
  for_elements(of, row, column, [&](int from_row, int from_column, int element) {
    const Stored<width> pack = read<width>(x + place_of(spot, from_row, from_column, of.length, channels));
#pragma unroll
    for (int i = 0; i < width; ++i) {
      const real value = widened(pack.at[i]);
      if (value > best.at[i] || value != value) {  // the last NaN wins, the first of equals
        best.at[i] = value;
        which[i] = element;
      }
    }
  });
  write<width>(y + spot.at, best);
  Pack<Number, width> winners;
#pragma unroll
  for (int i = 0; i < width; ++i) winners.at[i] = which[i];
  *reinterpret_cast<Pack<Number, width>*>(winner + spot.at) = winners;
}

template <int width, class Number> __device__ __forceinline__ void give_to_winners(
    const scalar* values, const Number* winner, unsigned items, int channels, const Pooling& of, scalar* out) {
  const Spot<width> spot(items, of.length[0], of.length[1], channels);
  if (!spot.exists) return;
  Reals<width> total = zeros<width>();
  for_windows(of, 0, spot.row, [&](int row, int i) {
    for_windows(of, 1, spot.column, [&](int column, int j) {
      const long long at = place_of(spot, row, column, of.windows, channels);
      const Stored<width> pack = read<width>(values + at);
      const Pack<Number, width> winners = *reinterpret_cast<const Pack<Number, width>*>(winner + at);
#pragma unroll
      for (int k = 0; k < width; ++k)
        if (winners.at[k] == i * of.kernel[1] + j) total.at[k] += widened(pack.at[k]);
    });
  });
  write<width>(out + spot.at, total);
}

template <class Number> __device__ __forceinline__ void read_winners(
    const scalar* x, const Number* winner, unsigned items, int channels, const Pooling& of, scalar* out) {
  const Spot<1> spot(items, of.windows[0], of.windows[1], channels);
  if (!spot.exists) return;
  const int element = winner[spot.at];
  const int row = int(spot.row) * of.stride[0] - of.padding[0] + element / of.kernel[1] * of.dilation[0];
  const int column = int(spot.column) * of.stride[1] - of.padding[1] + element % of.kernel[1] * of.dilation[1];
  const bool inside = row >= 0 && row < of.length[0] && column >= 0 && column < of.length[1];
  narrow(out[spot.at], inside ? widened(x[place_of(spot, row, column, of.length, channels)]) : real(0));
}

// How much each element of a window counts: a number for each window, or the same in all.
struct Share {
  const real* of_windows;
  real of_all;
  int columns;

  __device__ __forceinline__ real operator()(int row, int column) const {
    return of_windows ? of_windows[row * columns + column] : of_all;
  }
};

// The block's lanes share the rows of a window; they are added up row by row within a lane, and then lane by lane.
template <int width> __device__ __forceinline__ void average(
    const scalar* x, unsigned items, int channels, const Pooling& of, Share share_of, scalar* y) {
  __shared__ Reals<width> of_lanes[POOL_THREADS];
  const Spot<width> spot(items, of.windows[0], of.windows[1], channels);
  const int row = int(spot.row) * of.stride[0] - of.padding[0];
  const int column = int(spot.column) * of.stride[1] - of.padding[1];
  const int first = column < 0 ? 0 : column;
  const int end = column + of.kernel[1] < of.length[1] ? column + of.kernel[1] : of.length[1];
  Reals<width> total = zeros<width>();
  for (int i = threadIdx.y; i < of.kernel[0] && spot.exists; i += blockDim.y) {
    if (row + i < 0 || row + i >= of.length[0]) continue;
    const scalar* from = x + place_of(spot, row + i, first, of.length, channels);
    Reals<width> of_row = zeros<width>();
#pragma unroll 4
    for (int j = first; j < end; ++j, from += channels) {
      const Stored<width> pack = read<width>(from);
#pragma unroll
      for (int k = 0; k < width; ++k) of_row.at[k] += widened(pack.at[k]);
    }
#pragma unroll
    for (int k = 0; k < width; ++k) total.at[k] += of_row.at[k];
  }
  if (blockDim.y > 1) {
    of_lanes[threadIdx.y * blockDim.x + threadIdx.x] = total;
    __syncthreads();
    for (int lane = 1; lane < blockDim.y; ++lane)
#pragma unroll
      for (int k = 0; k < width; ++k) total.at[k] += of_lanes[lane * blockDim.x + threadIdx.x].at[k];
  }
  if (!spot.exists || threadIdx.y > 0) return;
  const real share = share_of(spot.row, spot.column);
#pragma unroll
  for (int k = 0; k < width; ++k) total.at[k] *= share;
  write<width>(y + spot.at, total);
}

template <int width> __device__ __forceinline__ void share_out(
    const scalar* grad, unsigned items, int channels, const Pooling& of, Share share_of, scalar* out) {
  const Spot<width> spot(items, of.length[0], of.length[1], channels);
  if (!spot.exists) return;
  Reals<width> total = zeros<width>();
  for_windows(of, 0, spot.row, [&](int row, int) {
    for_windows(of, 1, spot.column, [&](int column, int) {
      const Stored<width> pack = read<width>(grad + place_of(spot, row, column, of.windows, channels));
      const real share = share_of(row, column);
#pragma unroll
      for (int k = 0; k < width; ++k) total.at[k] += widened(pack.at[k]) * share;
    });
  });
  write<width>(out + spot.at, total);
}

#define POOL extern "C" __global__ void __launch_bounds__(POOL_THREADS, 4)

// Two kernels of the winners' type `Number`, and of both widths, with a name's ending.
#define OF_WINNERS(ending, Number) \
  POOL max_pool_##ending( \
      const scalar* x, unsigned items, int channels, Pooling of, int wide, scalar* y, Number* winner) { \
    if (wide) find_maxima<WIDE>(x, items, channels, of, y, winner); \
    else find_maxima<1>(x, items, channels, of, y, winner); \
  } \
  POOL max_pool_scatter_##ending( \
      const scalar* values, unsigned items, int channels, Pooling of, int wide, scalar* out, const Number* winner) { \
    if (wide) give_to_winners<WIDE>(values, winner, items, channels, of, out); \
    else give_to_winners<1>(values, winner, items, channels, of, out); \
  } \
  POOL max_pool_gather_##ending( \
      const scalar* x, unsigned items, int channels, Pooling of, int, scalar* out, const Number* winner) { \
    read_winners(x, winner, items, channels, of, out); \
  }

OF_WINNERS(bytes, unsigned char)
OF_WINNERS(ints, int)

POOL avg_pool(
    const scalar* x, unsigned items, int channels, Pooling of, int wide, scalar* y, const real* shares, real share) {
  const Share by{shares, share, of.windows[1]};
  if (wide) average<WIDE>(x, items, channels, of, by, y);
  else average<1>(x, items, channels, of, by, y);
}

POOL avg_pool_gradient(
    const scalar* grad, unsigned items, int channels, Pooling of, int wide, scalar* out, const real* shares, real share) {
  const Share by{shares, share, of.windows[1]};
  if (wide) share_out<WIDE>(grad, items, channels, of, by, out);
  else share_out<1>(grad, items, channels, of, by, out);
}
