/*
 * A preloaded library: the process's monotonic clock goes SLOW_CLOCK times slower than the machine's. A trigger lives 30 s, and a million of them
 * take longer to insert; with this they are all alive at once, in a server that is the real one.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

typedef int (*clock_function)(clockid_t, struct timespec *);

int clock_gettime(clockid_t clock, struct timespec *out) {
  static clock_function real;
  static int64_t first, factor;
  if (real == NULL) {
    const clock_function found = (clock_function)dlsym(RTLD_NEXT, "clock_gettime");
    const char *text = getenv("SLOW_CLOCK");
    struct timespec begun;
    found(CLOCK_MONOTONIC, &begun);
    first = begun.tv_sec * INT64_C(1000000000) + begun.tv_nsec;
    factor = text == NULL || atoi(text) < 1 ? 1 : atoi(text);
    real = found;
  }
  const int result = real(clock, out);
  if (result != 0 || (clock != CLOCK_MONOTONIC && clock != CLOCK_MONOTONIC_RAW && clock != CLOCK_MONOTONIC_COARSE)) return result;
  const int64_t since = out->tv_sec * INT64_C(1000000000) + out->tv_nsec - first, shown = first + (since < 0 ? 0 : since / factor);
  out->tv_sec = shown / INT64_C(1000000000);
  out->tv_nsec = shown % INT64_C(1000000000);
  return 0;
}
