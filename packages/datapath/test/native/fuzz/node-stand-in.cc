#include "node-stand-in.h"

#include <openssl/crypto.h>
#include <openssl/err.h>

#include <algorithm>

#include "engine-values.h"
#include "system-error.h"

namespace i3io {
std::deque<Value> values;
std::mt19937_64 random_bits;
int64_t held = 0;
}  // namespace i3io

namespace {
bool has_thrown = false;
}  // namespace

using namespace i3io;

extern "C" {
napi_status napi_create_object(napi_env, napi_value* result) {
  *result = as_napi(values.emplace_back(Value::Kind::object));
  return napi_ok;
}
napi_status napi_get_null(napi_env, napi_value* result) {
  *result = as_napi(values.emplace_back(Value::Kind::null));
  return napi_ok;
}
napi_status napi_type_tag_object(napi_env, napi_value value, const napi_type_tag* tag) {
  value_of(value)->tag = *tag;
  return napi_ok;
}
napi_status napi_check_object_type_tag(napi_env, napi_value value, const napi_type_tag* tag, bool* result) {
  const auto& found = value_of(value)->tag;
  *result = found && found->lower == tag->lower && found->upper == tag->upper;
  return napi_ok;
}
napi_status napi_wrap(napi_env, napi_value value, void* data, napi_finalize finalizer, void*, napi_ref*) {
  value_of(value)->data = data;
  value_of(value)->finalizer = finalizer;
  return napi_ok;
}
napi_status napi_unwrap(napi_env, napi_value value, void** result) {
  *result = value_of(value)->data;
  return napi_ok;
}
}

namespace i3io {

void Check::fail(const char*, const char*) {
  has_thrown = true;
  valid_ = false;
}
std::span<uint8_t> Check::bytes(napi_value value, const char* name) {
  if (valid_ && value_of(value)->kind != Value::Kind::bytes) fail(name, "");
  return valid_ ? std::span(value_of(value)->bytes) : std::span<uint8_t>();
}
std::span<uint8_t> Check::bytes_of(napi_value value, const char* name, size_t length, const char* what) {
  const std::span<uint8_t> found = bytes(value, name);
  if (valid_ && found.size() != length) fail(name, what);
  return valid_ ? found : std::span<uint8_t>();
}
napi_value Check::object(napi_value value, const char* name) {
  if (valid_ && value_of(value)->kind != Value::Kind::object) fail(name, "");
  return value;
}
Arguments::Arguments(napi_env, napi_callback_info info) {
  const auto& given = *reinterpret_cast<const std::vector<napi_value>*>(info);
  std::copy(given.begin(), given.end(), values_.begin());
}
napi_value make_bytes(napi_env, i3::Bytes bytes) { return as_napi(values.emplace_back(Buffer(bytes.begin(), bytes.end()))); }
napi_value make_boolean(napi_env, bool value) {
  Value& made = values.emplace_back(Value::Kind::boolean);
  made.is_true = value;
  return as_napi(made);
}
napi_value throw_system(napi_env, int, const char*, const char*) {
  has_thrown = true;
  return nullptr;
}

Buffer noise(size_t length) {
  Buffer made(length);
  for (uint8_t& byte : made) byte = static_cast<uint8_t>(random_bits());
  return made;
}

Buffer from_hex(std::string_view text) {
  const auto digit = [](char c) { return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10); };
  Buffer made(text.size() / 2);
  for (size_t n = 0; n < made.size(); n++) made[n] = static_cast<uint8_t>(digit(text[2 * n]) << 4 | digit(text[2 * n + 1]));
  return made;
}
Buffer joined(Buffer first, const Buffer& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}
Buffer changed(Buffer bytes) {
  const uint64_t bit = below(8 * bytes.size());
  bytes[bit / 8] = static_cast<uint8_t>(bytes[bit / 8] ^ 1U << bit % 8);
  return bytes;
}

Value* call(Binding binding, std::vector<napi_value> arguments) {
  arguments.resize(Arguments::capacity);
  has_thrown = false;
  const napi_value result = binding(nullptr, reinterpret_cast<napi_callback_info>(&arguments));
  CHECK(ERR_peek_error() == 0 && has_thrown == (result == nullptr));
  return value_of(result);
}
napi_value given(const Buffer& bytes) { return as_napi(values.emplace_back(Buffer(bytes))); }
std::optional<bool> truth(const Value* value) { return value == nullptr ? std::nullopt : std::optional(value->is_true); }
namespace {

void* counted_malloc(size_t size, const char*, int) {
  void* made = std::malloc(size);
  held += made == nullptr ? 0 : 1;
  return made;
}
void* counted_realloc(void* old, size_t size, const char*, int) {
  void* made = std::realloc(old, size);
  held += old == nullptr && made != nullptr ? 1 : 0;
  return made;
}
void counted_free(void* old, const char*, int) {
  held -= old == nullptr ? 0 : 1;
  std::free(old);
}

}  // namespace

int run_tests(int count, char** arguments, std::span<const Test> tests) {
  // Before its first allocation.
  if (CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free) != 1) return 1;
  random_bits.seed(count > 1 ? std::strtoull(arguments[1], nullptr, 10) : 1);
  for (const auto& [name, run] : tests) {
    std::printf("%s\n", name);
    std::fflush(stdout);
    run();
    values.clear();
  }
  std::printf("all passed\n");
  return 0;
}

void run_often(void (*once)()) {
  constexpr int warm_up = 20;
  constexpr int rounds = 600;
  int64_t before = 0;
  for (int n = 0; n < rounds; n++) {
    if (n == warm_up) before = held;
    once();
    values.clear();
  }
  CHECK(held == before);
}

}  // namespace i3io
