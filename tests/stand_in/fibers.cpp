// Runs CUDA kernels on a CPU: the threads of a block are fibers, resumed in a random order that repeats.
//
// A fiber runs until it waits, for its block or for its warp, or until it ends. When all of them wait or have ended,
// those whose partners have arrived go on. If none can, the kernel would hang on a GPU: that is an error here.

#include <dlfcn.h>
#include <link.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

struct uint3 { unsigned x, y, z; };

extern "C" {
uint3 threadIdx, blockIdx, blockDim, gridDim;
}

namespace {

constexpr int MOST_THREADS = 1024;
constexpr size_t STACK = 128 << 10;
constexpr int WARP = 32;
constexpr unsigned char POISON = 0xff;

enum State : char { READY, AT_BARRIER, AT_WARP, ENDED };

struct Fiber {
  Context context;
  State state;
  const char* file;
  int line;
  // what it gives and takes where it waits
  unsigned mask;
  int value, what, source, size;
  unsigned char given[16], taken[16];
  unsigned ballot;
};

Fiber fibers[MOST_THREADS];
int order[MOST_THREADS];
unsigned char* stacks;
Fiber* running;
int threads;
uint64_t random_state;
void (*kernel)(void**);
void** arguments;
char* message;
size_t message_size;
bool failed;
sigjmp_buf outside;
thread_local bool launching;  // in this thread

uint64_t random_below(uint64_t n) {
  random_state ^= random_state >> 12;
  random_state ^= random_state << 25;
  random_state ^= random_state >> 27;
  return (random_state * 2685821657736338717ull >> 32) % n;
}

void say(const char* format, ...) {
  if (failed) return;
  failed = true;
  va_list list;
  va_start(list, format);
  const int n = vsnprintf(message, message_size, format, list);
  va_end(list);
  if (running && n > 0 && size_t(n) < message_size)
    snprintf(message + n, message_size - n, " in thread (%u, %u, %u) of block (%u, %u, %u)", threadIdx.x, threadIdx.y,
             threadIdx.z, blockIdx.x, blockIdx.y, blockIdx.z);
}

// -- switching ---------------------------------------------------------------------------------------------

Context scheduler;

void leave() { switch_to(running->context, scheduler); }

void begin() {
  kernel(arguments);
  running->state = ENDED;
  leave();
}

void set_thread(int i) {
  threadIdx = {i % blockDim.x, i / blockDim.x % blockDim.y, i / (blockDim.x * blockDim.y)};
}

int number_of(const Fiber* fiber) { return int(fiber - fibers); }

void wait(State state, const char* file, int line) {
  running->state = state;
  running->file = file;
  running->line = line;
  leave();
}

// -- who may go on -----------------------------------------------------------------------------------------

bool same_place(const Fiber& a, const Fiber& b) { return a.line == b.line && strcmp(a.file, b.file) == 0; }

void give_and_take(int first, unsigned group) {
  unsigned ballot = 0;
  for (int lane = 0; lane < WARP; ++lane)
    if (group >> lane & 1 && fibers[first + lane].value) ballot |= 1u << lane;
  for (int lane = 0; lane < WARP; ++lane) {
    if (!(group >> lane & 1)) continue;
    Fiber& fiber = fibers[first + lane];
    fiber.ballot = ballot;
    const bool there = fiber.source >= 0 && fiber.source < WARP && group >> fiber.source & 1;
    if (there) memcpy(fiber.taken, fibers[first + fiber.source].given, sizeof fiber.taken);
    else memset(fiber.taken, POISON, sizeof fiber.taken);
    fiber.state = READY;
  }
}

bool release_warps() {
  bool any = false;
  for (int first = 0; first < threads; first += WARP) {
    const int lanes = threads - first < WARP ? threads - first : WARP;
    unsigned live = 0;
    for (int lane = 0; lane < lanes; ++lane)
      if (fibers[first + lane].state != ENDED) live |= 1u << lane;
    for (int lane = 0; lane < lanes; ++lane) {
      const Fiber& leader = fibers[first + lane];
      if (leader.state != AT_WARP) continue;
      const unsigned group = leader.mask & live;
      bool complete = true;
      for (int other = 0; other < lanes && complete; ++other)
        if (group >> other & 1) {
          const Fiber& fiber = fibers[first + other];
          complete = fiber.state == AT_WARP && fiber.mask == leader.mask && same_place(fiber, leader);
        }
      if (complete) {
        give_and_take(first, group);
        any = true;
      }
    }
  }
  return any;
}

bool release_block() {
  const Fiber* one = nullptr;
  int count = 0, live = 0;
  for (int i = 0; i < threads; ++i) {
    const Fiber& fiber = fibers[i];
    if (fiber.state == ENDED) continue;
    if (!one) one = &fiber;
    if (fiber.state != AT_BARRIER || one->state != AT_BARRIER || !same_place(fiber, *one)) {
      running = nullptr;
      say("threads of block (%u, %u, %u) wait for each other at different places: thread %d at %s:%d (%s), thread %d at "
          "%s:%d (%s)", blockIdx.x, blockIdx.y, blockIdx.z, number_of(one), one->file, one->line,
          one->state == AT_BARRIER ? "block" : "warp", i, fiber.file, fiber.line,
          fiber.state == AT_BARRIER ? "block" : "warp");
      return false;
    }
    ++live;
    count += fiber.value;
  }
  for (int i = 0; i < threads; ++i) {
    Fiber& fiber = fibers[i];
    if (fiber.state == ENDED) continue;
    fiber.value = fiber.what == 0 ? count : fiber.what == 1 ? count > 0 : count == live;
    fiber.state = READY;
  }
  return live > 0;
}

void run_block() {
  for (int i = 0; i < threads; ++i) {
    fibers[i].state = READY;
    prepare(fibers[i].context, stacks + i * STACK, STACK, begin);
  }
  for (int live = threads; live > 0;) {
    bool warps = false;
    for (int i = threads - 1; i > 0; --i) {
      const int j = int(random_below(i + 1)), kept = order[i];
      order[i] = order[j];
      order[j] = kept;
    }
    for (int k = 0; k < threads; ++k) {
      Fiber& fiber = fibers[order[k]];
      if (fiber.state != READY) continue;
      running = &fiber;
      set_thread(order[k]);
      switch_to(scheduler, fiber.context);
      if (failed) return;
      live -= fiber.state == ENDED;
      warps |= fiber.state == AT_WARP;
    }
    if (warps && release_warps()) continue;
    if (live > 0 && !release_warps() && !release_block()) return;
  }
}

// -- faults ------------------------------------------------------------------------------------------------

const int SIGNALS[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
struct sigaction before[4];

void caught(int number) {
  if (!launching) {  // not ours: let it happen again without us
    signal(number, SIG_DFL);
    return;
  }
  say(number == SIGFPE ? "an integer was divided by zero" : number == SIGILL ? "an illegal instruction was reached"
      : "an illegal memory address was used");
  siglongjmp(outside, 1);
}

// -- where a module's shared memory is ---------------------------------------------------------------------

struct Region { const char* inside; char* begin; size_t size; };

int look_at(dl_phdr_info* info, size_t, void* wanted) {
  Region* region = static_cast<Region*>(wanted);
  if (!info->dlpi_tls_data) return 0;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    if (info->dlpi_phdr[i].p_type != PT_TLS) continue;
    char* begin = static_cast<char*>(info->dlpi_tls_data);
    if (region->inside < begin || region->inside >= begin + info->dlpi_phdr[i].p_memsz) continue;
    region->begin = begin;
    region->size = info->dlpi_phdr[i].p_memsz;
    return 1;
  }
  return 0;
}

void all_blocks(const unsigned* grid, const char* shared) {
  Region region = {shared, nullptr, 0};
  dl_iterate_phdr(look_at, &region);
  for (int i = 0; i < threads; ++i) order[i] = i;
  const uint64_t blocks = uint64_t(grid[0]) * grid[1] * grid[2];
  // Block number (start + i * step) modulo the number of blocks: every block once where the two have no common factor.
  uint64_t step = blocks > 2 ? 1 + random_below(blocks - 1) : 1;
  const auto common = [](uint64_t a, uint64_t b) {
    while (b) { const uint64_t rest = a % b; a = b; b = rest; }
    return a;
  };
  while (common(blocks, step) != 1) ++step;
  uint64_t block = random_below(blocks);
  for (uint64_t i = 0; i < blocks && !failed; ++i) {
    blockIdx = {unsigned(block % grid[0]), unsigned(block / grid[0] % grid[1]), unsigned(block / grid[0] / grid[1])};
    if (region.begin) memset(region.begin, POISON, region.size);
    run_block();
    block = (block + step) % blocks;
  }
}

}  // namespace

// -- what kernels call -------------------------------------------------------------------------------------

extern "C" int cuda_on_cpu_barrier(int value, const char* file, int line, int what) {
  running->value = value;
  running->what = what;
  wait(AT_BARRIER, file, line);
  return running->value;
}

static void wait_in_warp(unsigned mask, const char* file, int line) {
  if (!(mask >> (number_of(running) % WARP) & 1)) {
    say("%s:%d: the mask %08x leaves out the thread that calls", file, line, mask);
    leave();
  }
  running->mask = mask;
  wait(AT_WARP, file, line);
}

extern "C" void cuda_on_cpu_shuffle(unsigned mask, void* value, int size, int source, const char* file, int line) {
  if (size > int(sizeof running->given)) {
    say("%s:%d: a shuffle of %d bytes", file, line, size);
    leave();
  }
  memcpy(running->given, value, size);
  running->source = source;
  running->value = 0;
  wait_in_warp(mask, file, line);
  memcpy(value, running->taken, size);
}

extern "C" unsigned cuda_on_cpu_ballot(unsigned mask, int predicate, const char* file, int line) {
  running->value = predicate != 0;
  running->source = -1;
  wait_in_warp(mask, file, line);
  return running->ballot;
}

extern "C" int cuda_on_cpu_lane() { return number_of(running) % WARP; }

extern "C" unsigned cuda_on_cpu_active() {
  const int first = number_of(running) / WARP * WARP;
  unsigned active = 0;
  for (int lane = 0; lane < WARP && first + lane < threads; ++lane)
    if (fibers[first + lane].state != ENDED) active |= 1u << lane;
  return active;
}

extern "C" [[noreturn]] void cuda_on_cpu_fail(const char* text, const char* file, int line) {
  say("%s:%d: %s", file, line, text);
  leave();
  abort();
}

// What the compiler's checks (-fsanitize=alignment,bounds) call when they find something.
struct Place { const char* file; unsigned line, column; };

extern "C" void __ubsan_handle_type_mismatch_v1_abort(Place* place, void* address) {
  say("%s:%u: the address %p is not aligned for what is read or written there", place->file, place->line, address);
  leave();
}

extern "C" void __ubsan_handle_out_of_bounds_abort(Place* place, void* index) {
  say("%s:%u: index %ld is outside the array", place->file, place->line, long(index));
  leave();
}

// -- what Python calls -------------------------------------------------------------------------------------

// Returns 0, or 1 with the reason in `text`. One launch at a time. `flush`: numbers too small for a full mantissa are
// zeros, as CuPy has it for floats (-ftz=true), and a CPU for floats and doubles alike.
extern "C" int cuda_on_cpu_launch(void (*run)(void**), void** values, const unsigned* grid, const unsigned* block,
                                  uint64_t seed, const char* shared, int flush, char* text, size_t text_size) {
  if (!stacks) {
    void* memory = mmap(nullptr, STACK * MOST_THREADS, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      snprintf(text, text_size, "no memory for the threads' stacks");
      return 1;
    }
    stacks = static_cast<unsigned char*>(memory);
  }
  kernel = run;
  arguments = values;
  gridDim = {grid[0], grid[1], grid[2]};
  blockDim = {block[0], block[1], block[2]};
  threads = int(block[0] * block[1] * block[2]);
  random_state = seed * 0x9e3779b97f4a7c15ull | 1;
  message = text;
  message_size = text_size;
  failed = false;
  running = nullptr;

  static char handler_stack[64 << 10];
  stack_t ours = {}, theirs = {};
  ours.ss_sp = handler_stack;
  ours.ss_size = sizeof handler_stack;
  sigaltstack(&ours, &theirs);
  struct sigaction action = {};
  action.sa_handler = caught;
  action.sa_flags = SA_ONSTACK | SA_NODEFER;
  for (int i = 0; i < 4; ++i) sigaction(SIGNALS[i], &action, &before[i]);
  launching = true;
#if defined(__x86_64__)
  const unsigned control = _mm_getcsr();
  if (flush) _mm_setcsr(control | 0x8040);
#endif
  if (sigsetjmp(outside, 1) == 0) all_blocks(grid, shared);
#if defined(__x86_64__)
  _mm_setcsr(control);
#endif
  launching = false;
  for (int i = 0; i < 4; ++i) sigaction(SIGNALS[i], &before[i], nullptr);
  sigaltstack(&theirs, nullptr);
  return failed;
}
