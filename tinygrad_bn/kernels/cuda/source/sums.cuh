// Sums: of each column of rows (R, C), as the gradients of biases are, and of two arrays, as residual branches are joined.

template <int width> __device__ __forceinline__ void sum_columns(
    const scalar* x, long long rows, int channels, long long part, real* partials, unsigned* arrived, scalar* sums) {
  constexpr int at_once = 4;
  const Place<width> place(rows, channels, part);
  Sums<width> found = Sums<width>::none();  // the second sum stays zero
  place.template forwards<at_once>([&](int row, int number) {
    Stored<width> packs[at_once];
    place.load(packs, x, row, number);
#pragma unroll
    for (int k = 0; k < at_once; ++k) {
      if (k >= number) continue;
#pragma unroll
      for (int i = 0; i < width; ++i) found.first.at[i] += widened(packs[k].at[i]);
    }
  });
  if (!merge_parts(found, rows, part, partials, arrived) || !place.has_column || threadIdx.y > 0) return;
#pragma unroll
  for (int i = 0; i < width; ++i) narrow(sums[place.channel + i], found.first.at[i]);
}

extern "C" __global__ void __launch_bounds__(THREADS) column_sums(
    const scalar* x, long long rows, int channels, long long part, int wide, real* partials, unsigned* arrived,
    scalar* sums) {
  if (wide) sum_columns<WIDE>(x, rows, channels, part, partials, arrived, sums);
  else sum_columns<1>(x, rows, channels, part, partials, arrived, sums);
}

template <int width> __device__ __forceinline__ void add(
    const scalar* a, const scalar* b, long long size, scalar* out) {
  const long long i = (long long)blockIdx.x * THREADS + threadIdx.x;
  if (i * width >= size) return;
  const Stored<width> first = reinterpret_cast<const Stored<width>*>(a)[i];
  const Stored<width> second = reinterpret_cast<const Stored<width>*>(b)[i];
  Stored<width> sum;
#pragma unroll
  for (int k = 0; k < width; ++k) narrow(sum.at[k], widened(first.at[k]) + widened(second.at[k]));
  reinterpret_cast<Stored<width>*>(out)[i] = sum;
}

extern "C" __global__ void __launch_bounds__(THREADS) add_arrays(
    const scalar* a, const scalar* b, long long size, int wide, scalar* out) {
  if (wide) add<WIDE>(a, b, size, out);
  else add<1>(a, b, size, out);
}
