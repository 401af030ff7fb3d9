// What parts of the addon (src/native/p256.cc, netlink.cc) need of node, and of their checks: values, calls as JavaScript makes them, noise, what OpenSSL
// holds, and the run of the tests. Each test prints its name; the first that fails ends the program.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <optional>
#include <random>
#include <span>
#include <string_view>
#include <vector>

#include "check.h"

#define CHECK(condition)                                                                  \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      std::printf("failed at line %d: %s\n", __LINE__, #condition);                       \
      std::exit(1);                                                                       \
    }                                                                                     \
  } while (false)

namespace i3io {

using Buffer = std::vector<uint8_t>;

// What node keeps: values until they go, and whether something was thrown.
struct Value {
  enum class Kind { bytes, boolean, null, object };
  Kind kind;
  Buffer bytes;
  bool is_true = false;
  std::optional<napi_type_tag> tag;
  void* data = nullptr;
  napi_finalize finalizer = nullptr;

  explicit Value(Kind made) : kind(made) {}
  explicit Value(Buffer made) : kind(Kind::bytes), bytes(std::move(made)) {}
  Value(const Value&) = delete;
  Value& operator=(const Value&) = delete;
  ~Value() {
    if (finalizer != nullptr) finalizer(nullptr, data, nullptr);
  }
};
extern std::deque<Value> values;

inline Value* value_of(napi_value value) { return reinterpret_cast<Value*>(value); }
inline napi_value as_napi(Value& value) { return reinterpret_cast<napi_value>(&value); }

extern std::mt19937_64 random_bits;
inline uint64_t below(uint64_t bound) { return random_bits() % bound; }
Buffer noise(size_t length);
Buffer from_hex(std::string_view text);
// One bit is another.
Buffer changed(Buffer bytes);
Buffer joined(Buffer first, const Buffer& second);

// The functions as JavaScript has them; nullptr: they threw. What they leave in OpenSSL's queue of errors would be read by node's next call.
using Binding = napi_value (*)(napi_env, napi_callback_info);
Value* call(Binding binding, std::vector<napi_value> arguments);
napi_value given(const Buffer& bytes);
std::optional<bool> truth(const Value* value);

// Allocations that OpenSSL holds: they must not grow from call to call.
extern int64_t held;

struct Test {
  const char* name;
  void (*run)();
};
// In this order, with the seed of the command line; the status of main.
int run_tests(int count, char** arguments, std::span<const Test> tests);
// `once` again and again: what OpenSSL holds stays the same.
void run_often(void (*once)());

}  // namespace i3io
