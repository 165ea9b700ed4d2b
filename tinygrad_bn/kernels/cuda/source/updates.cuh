// Optimisers: one launch changes all parameters.
//
// A table, passed by value, says where each parameter is, its gradient, and what is remembered of it. So gradients are
// read where they were written, wherever that is. The elements of an entry are cut into pieces, which are counted
// through all entries; a block changes one piece.

constexpr int UPDATE_THREADS = 256, PIECE = 4096;

// `numbers` are what all parameters share, such as the learning rate.
template <int columns, int number_count> struct Table {
  static constexpr int entries = (4096 - 64 - 8 * number_count) / (8 * columns + 8);  // arguments may take 4096 bytes
  double numbers[number_count];
  scalar* at[columns][entries];
  int size[entries];
  int end[entries];  // the piece behind an entry's last one
  int count;
};

constexpr int PARAMETER = 0, GRADIENT = 1;

// Stochastic gradient descent without a velocity.
struct PlainDescent {
  static constexpr int columns = 2;
  real rate, weight_decay;

  __device__ __forceinline__ void operator()(real (&of)[columns]) const {
    const real step = weight_decay != 0 ? of[GRADIENT] + weight_decay * of[PARAMETER] : of[GRADIENT];
    of[PARAMETER] -= rate * step;
  }
};

// With one; it looks ahead along it if `look_ahead` is not negative.
struct Descent {
  static constexpr int columns = 3, VELOCITY = 2;
  real rate, weight_decay, momentum, fresh, look_ahead;
  bool is_first;

  __device__ __forceinline__ void operator()(real (&of)[columns]) const {
    const real step = weight_decay != 0 ? of[GRADIENT] + weight_decay * of[PARAMETER] : of[GRADIENT];
    const real velocity = is_first ? step : momentum * of[VELOCITY] + fresh * step;
    of[VELOCITY] = velocity;
    of[PARAMETER] -= rate * (look_ahead >= 0 ? step + look_ahead * velocity : velocity);
  }
};

struct Adam {
  static constexpr int columns = 4, MEAN = 2, SQUARE = 3;
  real rate, correction, kept, weight_decay, mean_decay, mean_fresh, square_decay, square_fresh, eps;

  __device__ __forceinline__ void operator()(real (&of)[columns]) const {
    const real step = weight_decay != 0 ? of[GRADIENT] + weight_decay * of[PARAMETER] : of[GRADIENT];
    of[MEAN] = mean_decay * of[MEAN] + mean_fresh * step;
    of[SQUARE] = square_decay * of[SQUARE] + square_fresh * (step * step);
    of[PARAMETER] = kept * of[PARAMETER] - rate * (of[MEAN] / (::sqrt(of[SQUARE]) * correction + eps));
  }
};

// Changes the elements low .. high of an entry.
template <int width, class Rule>
__device__ __forceinline__ void change(
    const Rule& rule, scalar* const (&at)[Rule::columns], unsigned low, unsigned high) {
  constexpr int at_once = 2;
  constexpr unsigned step = UPDATE_THREADS * width;
  for (unsigned i = low + threadIdx.x * width; i < high; i += at_once * step) {
    Stored<width> packs[at_once][Rule::columns];
#pragma unroll
    for (int k = 0; k < at_once; ++k)
      if (i + k * step < high)
#pragma unroll
        for (int column = 0; column < Rule::columns; ++column)
          packs[k][column] = *reinterpret_cast<const Stored<width>*>(at[column] + (i + k * step));
#pragma unroll
    for (int k = 0; k < at_once; ++k) {
      if (i + k * step >= high) continue;
#pragma unroll
      for (int lane = 0; lane < width; ++lane) {
        real of[Rule::columns];
#pragma unroll
        for (int column = 0; column < Rule::columns; ++column) of[column] = widened(packs[k][column].at[lane]);
        rule(of);
#pragma unroll
        for (int column = 0; column < Rule::columns; ++column) narrow(packs[k][column].at[lane], of[column]);
      }
#pragma unroll
      for (int column = 0; column < Rule::columns; ++column)
        if (column != GRADIENT) *reinterpret_cast<Stored<width>*>(at[column] + (i + k * step)) = packs[k][column];
    }
  }
}

// Changes the piece of this block.
template <class Rule, class Entries> __device__ __forceinline__ void change_piece(const Entries& table, Rule rule) {
  const int piece = blockIdx.x;
  int entry = 0;
  for (int behind = table.count; entry < behind;) {
    const int middle = (entry + behind) / 2;
    if (table.end[middle] <= piece) entry = middle + 1; else behind = middle;
  }
  const unsigned size = table.size[entry];
  const unsigned low = (piece - table.end[entry] + (size + PIECE - 1) / PIECE) * PIECE;
  const unsigned high = low + PIECE < size ? low + PIECE : size;
  scalar* at[Rule::columns];
  unsigned long long addresses = 0;
#pragma unroll
  for (int column = 0; column < Rule::columns; ++column) {
    at[column] = table.at[column][entry];
    addresses |= reinterpret_cast<unsigned long long>(at[column]);
  }
  const unsigned wide = addresses % 16 ? low : high - (high - low) % WIDE;
  change<WIDE>(rule, at, low, wide);
  change<1>(rule, at, wide, high);
}

// b to the power of n.
__device__ __forceinline__ double power(double b, long long n) {
  double result = 1;
  for (; n > 0; n >>= 1, b *= b)
    if (n & 1) result *= b;
  return result;
}

#define UPDATE extern "C" __global__ void __launch_bounds__(UPDATE_THREADS)

// Numbers are read from `live` where it is given: what changes from replay to replay of a captured step lies there. Where
// `skip` is given and true, nothing changes; `taken` then counts the steps, this one included, that were not skipped.
UPDATE sgd(
    const Table<3, 6> table, const double* live, const bool* skip, const long long* taken) {
  if (skip && *skip) return;
  const auto number = [&](int i) { return live ? live[i] : table.numbers[i]; };
  const real rate = number(0), weight_decay = number(1);
  if (!table.at[Descent::VELOCITY][0]) {
    change_piece(table, PlainDescent{rate, weight_decay});
    return;
  }
  const bool is_first = taken ? *taken == 1 : number(5) != 0;
  change_piece(table, Descent{rate, weight_decay, real(number(2)), real(number(3)), real(number(4)), is_first});
}

UPDATE adam(
    const Table<4, 12> table, const double* live, const bool* skip, const long long* taken) {
  if (skip && *skip) return;
  const auto number = [&](int i) { return live ? live[i] : table.numbers[i]; };
  double rate = number(0), correction = number(1);
  if (taken) {
    rate = number(9) / (1 - power(number(10), *taken));
    correction = 1 / ::sqrt(1 - power(number(11), *taken));
  }
  change_piece(
      table, Adam{real(rate), real(correction), real(number(2)), real(number(3)), real(number(4)), real(number(5)),
                  real(number(6)), real(number(7)), real(number(8))});
}

// Divides gradients by the scale of the loss, and sets `overflowed` if any is not finite; it is not cleared.
struct Unscaling {
  static constexpr int columns = 1;
  real inverse;
  bool* overflowed;

  __device__ __forceinline__ void operator()(real (&of)[columns]) const {
    if (!(of[0] - of[0] == 0)) *overflowed = true;
    of[0] *= inverse;
  }
};

UPDATE unscale(const Table<1, 1> table, const float* scale, bool* overflowed) {
  change_piece(table, Unscaling{real(float(1 / double(*scale))), overflowed});
}

// The scale after a step; `streak` counts steps in a row that have not overflowed.
extern "C" __global__ void adapt_scale(
    float* scale, int* streak, const bool* overflowed, double growth, double backoff, int interval) {
  if (*overflowed) {
    *scale = float(*scale * backoff);
    *streak = 0;
  } else if (*streak + 1 == interval) {
    const float larger = float(*scale * growth);
    if (larger - larger == 0) *scale = larger;
    *streak = 0;
  } else {
    *streak += 1;
  }
}

extern "C" __global__ void count_step(const bool* skip, long long* taken) {
  if (!*skip) *taken += 1;
}
