// Switching between stacks: one thread of the operating system runs as many.

#include <stddef.h>

#if defined(__x86_64__)

struct Context { void* stack_pointer; };

extern "C" void cuda_on_cpu_switch(void** save, void* load);
asm(R"(
.text
.globl cuda_on_cpu_switch
.hidden cuda_on_cpu_switch
.type cuda_on_cpu_switch, @function
cuda_on_cpu_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
)");

// Goes on where `to` has stopped, until somebody switches to `from`.
inline void switch_to(Context& from, Context& to) { cuda_on_cpu_switch(&from.stack_pointer, to.stack_pointer); }

// Makes a context that begins with a function, which never returns, on a stack that is aligned to 16 bytes.
inline void prepare(Context& context, unsigned char* stack, size_t size, void (*begin)()) {
  void** top = reinterpret_cast<void**>(stack + size) - 2;
  *--top = nullptr;  // where it would return to; keeps the alignment that a call would leave
  *--top = reinterpret_cast<void*>(begin);
  context.stack_pointer = top - 6;
}

#else

#include <ucontext.h>

struct Context { ucontext_t all; };

inline void switch_to(Context& from, Context& to) { swapcontext(&from.all, &to.all); }

inline void prepare(Context& context, unsigned char* stack, size_t size, void (*begin)()) {
  getcontext(&context.all);
  context.all.uc_stack.ss_sp = stack;
  context.all.uc_stack.ss_size = size;
  context.all.uc_link = nullptr;
  makecontext(&context.all, begin, 0);
}

#endif
