// Included before all of QuickJS. QuickJS has no stack limit for WASI, so a deep recursion would be a
// trap, which no script can catch. clang knows the stack there as everywhere else, so QuickJS does not
// see that it is compiled for WASI; the headers of wasi-libc do.
#include <wasi/api.h>
#undef __wasi__
