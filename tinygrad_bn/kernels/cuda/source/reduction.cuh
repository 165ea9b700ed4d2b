// Walking over rows of channels, (R, C) in memory, and merging what the threads found, always in the same order.
//
// The grid is (tiles of columns, parts of the rows) and the block (threads across, lanes), as `launch.tiling` says. A
// column is what a thread reads at once: `width` neighbouring channels, WIDE or one.

constexpr int THREADS = 512, WARP = 32;

// 16 bytes; of the 16-bit formats half of that, for what is computed from eight numbers would not fit into the registers.
constexpr int WIDE = sizeof(scalar) == 8 ? 2 : 4;

constexpr int at_most_16(int bytes) { return bytes < 16 ? bytes : 16; }

// Numbers side by side in memory, read and written at once.
template <class Number, int width> struct alignas(at_most_16(width * sizeof(Number))) Pack { Number at[width]; };

template <int width> using Stored = Pack<scalar, width>;
template <int width> using Reals = Pack<real, width>;

// What a thread works at: one column, and every lane-th row of its block's part.
template <int width> struct Place {
  bool has_column;
  int count;          // its rows; none where it has no column
  int channel;        // the column's first
  long long first;    // where its first number is
  int pitch;          // from a row of its to the next

  __device__ Place(long long rows, int channels, long long part) {
    channel = (blockIdx.x * blockDim.x + threadIdx.x) * width;
    has_column = channel < channels;
    if (!has_column) channel = 0;
    const long long begin = blockIdx.y * part + threadIdx.y;
    const long long end = (blockIdx.y + 1) * part;
    const long long left = (end < rows ? end : rows) - begin;
    count = has_column && left > 0 ? int((left - 1) / blockDim.y) + 1 : 0;
    first = begin * channels + channel;
    pitch = blockDim.y * channels;
  }

  __device__ __forceinline__ long long operator[](int row) const { return first + (long long)row * pitch; }

  // Calls step(row, number) for all rows, `at_once` at a time, which the compiler sees, or fewer at the end.
  template <int at_once, class Step> __device__ __forceinline__ void forwards(Step step) const {
    int row = 0;
#pragma unroll 1
    for (; row + at_once <= count; row += at_once) step(row, at_once);
    if (at_once > 1 && row < count) step(row, count - row);
  }

  template <int at_once, class Step> __device__ __forceinline__ void backwards(Step step) const {
    int row = count / at_once * at_once;
    if (at_once > 1 && row < count) step(row, count - row);
#pragma unroll 1
    for (row -= at_once; row >= 0; row -= at_once) step(row, at_once);
  }

  template <int at_once> __device__ __forceinline__ void load(
      Stored<width> (&packs)[at_once], const scalar* from, int row, int number) const {
#pragma unroll
    for (int k = 0; k < at_once; ++k)
      if (k < number) packs[k] = *reinterpret_cast<const Stored<width>*>(from + (*this)[row + k]);
  }

  __device__ __forceinline__ void store(scalar* to, int row, const Reals<width>& values) const {
    Stored<width> pack;
#pragma unroll
    for (int i = 0; i < width; ++i) narrow(pack.at[i], values.at[i]);
    *reinterpret_cast<Stored<width>*>(to + (*this)[row]) = pack;
  }
};

// How many values there are, their mean, and the sum of the squared deviations from it (Chan et al. 1979). The mean has
// two parts, `rest` being what the first one cannot hold: means are subtracted from each other, and where they are large
// against the deviations, their last digits decide.
template <int width> struct Moments {
  static constexpr int vectors = 3;
  real count;
  Reals<width> mean, rest, squares;

  static __device__ Moments none() {
    Moments result;
    result.count = 0;
#pragma unroll
    for (int i = 0; i < width; ++i) result.mean.at[i] = result.rest.at[i] = result.squares.at[i] = 0;
    return result;
  }

  __device__ __forceinline__ void merge(const Moments& other) {
    Reals<width> differences;
#pragma unroll
    for (int i = 0; i < width; ++i) {
      if (!(count > 0)) mean.at[i] = other.mean.at[i];
      differences.at[i] = (other.mean.at[i] - mean.at[i]) + (other.rest.at[i] - rest.at[i]);
    }
    add(other.count, differences, other.squares);
  }

  // Merges values whose mean differs by `differences`, and the sum of whose squared deviations from it is `theirs`.
  __device__ __forceinline__ void add(real number, const Reals<width>& differences, const Reals<width>& theirs) {
    const real total = count + number;
    const real share = total > 0 ? number / total : 0;
    const real both = count * share;
#pragma unroll
    for (int i = 0; i < width; ++i) {
      const real difference = differences.at[i];
      const real step = difference * share + rest.at[i];
      const real after = mean.at[i] + step, stepped = after - mean.at[i];
      rest.at[i] = (mean.at[i] - (after - stepped)) + (step - stepped);  // what `after` lacks (Knuth's two-sum)
      mean.at[i] = after;
      squares.at[i] += theirs.at[i] + difference * difference * both;
    }
    count = total;
  }

  __device__ Moments of_lane_above(int distance) const {
    Moments result;
    result.count = __shfl_down_sync(0xffffffffu, count, distance);
#pragma unroll
    for (int i = 0; i < width; ++i) {
      result.mean.at[i] = __shfl_down_sync(0xffffffffu, mean.at[i], distance);
      result.rest.at[i] = __shfl_down_sync(0xffffffffu, rest.at[i], distance);
      result.squares.at[i] = __shfl_down_sync(0xffffffffu, squares.at[i], distance);
    }
    return result;
  }

  __device__ void put(Reals<width>* to, int distance) const {
    to[0] = mean;
    to[distance] = rest;
    to[2 * distance] = squares;
  }

  static __device__ Moments get(const Reals<width>* from, int distance, real count) {
    return {count, from[0], from[distance], from[2 * distance]};
  }
};

// Two sums.
template <int width> struct Sums {
  static constexpr int vectors = 2;
  Reals<width> first, second;

  static __device__ Sums none() {
    Sums result;
#pragma unroll
    for (int i = 0; i < width; ++i) result.first.at[i] = result.second.at[i] = 0;
    return result;
  }

  __device__ __forceinline__ void merge(const Sums& other) {
#pragma unroll
    for (int i = 0; i < width; ++i) {
      first.at[i] += other.first.at[i];
      second.at[i] += other.second.at[i];
    }
  }

  __device__ Sums of_lane_above(int distance) const {
    Sums result;
#pragma unroll
    for (int i = 0; i < width; ++i) {
      result.first.at[i] = __shfl_down_sync(0xffffffffu, first.at[i], distance);
      result.second.at[i] = __shfl_down_sync(0xffffffffu, second.at[i], distance);
    }
    return result;
  }

  __device__ void put(Reals<width>* to, int distance) const {
    to[0] = first;
    to[distance] = second;
  }

  static __device__ Sums get(const Reals<width>* from, int distance, real) { return {from[0], from[distance]}; }
};

// Merges what the block's lanes have; the threads of lane 0 get it. `shared` has room for THREADS / 2.
template <class Found> __device__ void merge_lanes(Found& found, Found* shared) {
  const int across = blockDim.x;
  const int thread = threadIdx.y * across + threadIdx.x;
  for (int distance = WARP / 2; distance >= across; distance /= 2) found.merge(found.of_lane_above(distance));
  const int warp = thread / WARP;
  const bool leads = thread % WARP < across;
#pragma unroll 1
  for (int half = THREADS / WARP / 2; half > 0; half /= 2) {
    if (leads && warp >= half && warp < 2 * half) shared[(warp - half) * across + threadIdx.x] = found;
    __syncthreads();
    if (leads && warp < half) found.merge(shared[warp * across + threadIdx.x]);
    __syncthreads();
  }
}

// Whether this block is the last of its tile of columns to come here; it sees what the others wrote before they came.
__device__ __forceinline__ bool is_last_block(unsigned* arrived) {
  __shared__ bool last;
  __syncthreads();
  if (threadIdx.x == 0 && threadIdx.y == 0) {
    __threadfence();
    last = atomicAdd(arrived, 1u) == gridDim.y - 1;
    if (last) *arrived = 0;
    __threadfence();
  }
  __syncthreads();
  return last;
}

// Merges what all threads of a tile of columns have. True in one block of the tile, whose threads of lane 0 get it.
// `partials` has room for the vectors of each thread across the grid, and part; `arrived` has a zero for each tile.
template <int width, template <int> class Kind>
__device__ bool merge_parts(
    Kind<width>& found, long long rows, long long part, real* partials, unsigned* arrived) {
  __shared__ Kind<width> shared[THREADS / 2];
  merge_lanes(found, shared);
  if (gridDim.y == 1) return true;
  const int across = blockDim.x, stride = Kind<width>::vectors * across;
  Reals<width>* of_tile = reinterpret_cast<Reals<width>*>(partials) + (long long)blockIdx.x * gridDim.y * stride;
  of_tile += threadIdx.x;
  if (threadIdx.y == 0) found.put(of_tile + blockIdx.y * stride, across);
  if (!is_last_block(arrived + blockIdx.x)) return false;
  found = Kind<width>::none();
  for (int block = threadIdx.y; block < gridDim.y; block += blockDim.y) {
    const long long left = rows - block * part;
    found.merge(Kind<width>::get(of_tile + block * stride, across, left < part ? left : part));
  }
  merge_lanes(found, shared);
  return true;
}
