// The addon's P-256 (src/native/p256.cc) under the sanitizers, called as JavaScript calls it, by a stand-in for node: known answers, random keys both ways, what is
// changed by a bit, noise, wrong lengths and the ends of the ranges; buffers of exact length, no error of OpenSSL left behind, nothing it allocates kept. Each test
// prints its name; the first that fails ends the program.
#include "p256.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <string_view>
#include <vector>

#include "check.h"
#include "engine-values.h"
#include "system-error.h"

namespace {

using Buffer = std::vector<uint8_t>;

#define CHECK(condition)                                                                  \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      std::printf("failed at line %d: %s\n", __LINE__, #condition);                       \
      std::exit(1);                                                                       \
    }                                                                                     \
  } while (false)

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
std::deque<Value> values;
bool has_thrown = false;

Value* value_of(napi_value value) { return reinterpret_cast<Value*>(value); }
napi_value as_napi(Value& value) { return reinterpret_cast<napi_value>(&value); }

}  // namespace

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

namespace {

constexpr size_t scalar_bytes = 32;
constexpr size_t point_bytes = 64;
constexpr size_t signature_bytes = 64;

std::mt19937_64 random_bits;
uint64_t below(uint64_t bound) { return random_bits() % bound; }
Buffer noise(size_t length) {
  Buffer made(length);
  for (uint8_t& byte : made) byte = static_cast<uint8_t>(random_bits());
  return made;
}

// What OpenSSL holds: it must not grow from call to call. Set before its first allocation.
int64_t held = 0;
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

Buffer from_hex(std::string_view text) {
  const auto digit = [](char c) { return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10); };
  Buffer made(text.size() / 2);
  for (size_t n = 0; n < made.size(); n++) made[n] = static_cast<uint8_t>(digit(text[2 * n]) << 4 | digit(text[2 * n + 1]));
  return made;
}
Buffer of_text(std::string_view text) { return {text.begin(), text.end()}; }
Buffer joined(Buffer first, const Buffer& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}
Buffer changed(Buffer bytes) {
  const uint64_t bit = below(8 * bytes.size());
  bytes[bit / 8] = static_cast<uint8_t>(bytes[bit / 8] ^ 1U << bit % 8);
  return bytes;
}

struct Pair {
  Buffer scalar;
  Buffer point;
};
// By OpenSSL's own key generation, which the addon does not use.
Pair fresh() {
  EVP_PKEY* const key = EVP_EC_gen("P-256");
  BIGNUM* number = nullptr;
  Buffer octets(1 + point_bytes);
  size_t length = 0;
  CHECK(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &number) == 1);
  CHECK(EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, octets.data(), octets.size(), &length) == 1 && length == octets.size());
  Pair made{Buffer(scalar_bytes), Buffer(octets.begin() + 1, octets.end())};
  CHECK(BN_bn2binpad(number, made.scalar.data(), scalar_bytes) == static_cast<int>(scalar_bytes));
  BN_clear_free(number);
  EVP_PKEY_free(key);
  return made;
}

// The functions as JavaScript has them; nullopt: they threw. What they leave in OpenSSL's queue of errors would be read by node's next call.
using Binding = napi_value (*)(napi_env, napi_callback_info);
Value* call(Binding binding, std::vector<napi_value> arguments) {
  arguments.resize(Arguments::capacity);
  has_thrown = false;
  const napi_value result = binding(nullptr, reinterpret_cast<napi_callback_info>(&arguments));
  CHECK(ERR_peek_error() == 0 && has_thrown == (result == nullptr));
  return value_of(result);
}
napi_value given(const Buffer& bytes) { return as_napi(values.emplace_back(Buffer(bytes))); }
std::optional<bool> truth(const Value* value) { return value == nullptr ? std::nullopt : std::optional(value->is_true); }
std::optional<Buffer> content(const Value* value) { return value == nullptr || value->kind != Value::Kind::bytes ? std::nullopt : std::optional(value->bytes); }

std::optional<bool> is_point(const Buffer& point) { return truth(call(p256_is_point, {given(point)})); }
std::optional<bool> verifies(const Buffer& point, const Buffer& message, const Buffer& signature) { return truth(call(p256_verify, {given(point), given(message), given(signature)})); }
// nullptr: it threw.
Value* open_key(const Buffer& scalar, const Buffer& point) { return call(p256_open_key, {given(scalar), given(point)}); }
Value* secret(Value* key, const Buffer& point) { return call(p256_secret, {as_napi(*key), given(point)}); }
std::optional<Buffer> sign(Value* key, const Buffer& message) { return content(call(p256_sign, {as_napi(*key), given(message)})); }

const Buffer order = from_hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
const Buffer field = from_hex("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff");

void known_answers() {
  // RFC 5903 §8.1.
  const Buffer i = from_hex("c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433");
  const Buffer gi = from_hex("dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c37725811805271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3");
  const Buffer gr = from_hex("d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf6356fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab");
  Value* key = open_key(i, gi);
  CHECK(key != nullptr && content(secret(key, gr)) == from_hex("d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de"));
  // RFC 6979 §A.2.5, SHA-384.
  const Buffer point = from_hex("60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb67903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299");
  const Buffer signature = from_hex("0eafea039b20e9b42309fb1d89e213057cbf973dc0cfc8f129edddc800ef77194861f0491e6998b9455193e34e7b0d284ddd7149a74b95b9261f13abde940954");
  CHECK(verifies(point, of_text("sample"), signature) == true);
  CHECK(verifies(point, of_text("sample."), signature) == false && verifies(gi, of_text("sample"), signature) == false);
}

void keys_that_are_none() {
  const auto [scalar, point] = fresh();
  const Buffer zeros(scalar_bytes, 0);
  const Buffer ones(scalar_bytes, 0xff);
  for (const Buffer& bad : {zeros, order, ones}) CHECK(open_key(bad, point) == nullptr);
  CHECK(open_key(scalar, fresh().point) == nullptr && open_key(changed(scalar), point) == nullptr && open_key(scalar, changed(point)) == nullptr);
  Value* key = open_key(scalar, point);
  for (const Buffer& bad : {joined(zeros, zeros), joined(ones, ones), joined(field, field), joined(zeros, ones), changed(point)}) {
    CHECK(is_point(bad) == false && secret(key, bad)->kind == Value::Kind::null && verifies(bad, scalar, point) == false);
  }
  CHECK(is_point(point) == true && secret(key, point)->kind == Value::Kind::bytes);
}

void lengths_and_kinds() {
  const auto [scalar, point] = fresh();
  Value* key = open_key(scalar, point);
  Value* other = &values.emplace_back(Value::Kind::object);
  const Buffer signature = *sign(key, point);
  for (size_t length = 0; length <= 130; length++) {
    const Buffer some = noise(length);
    if (length != point_bytes) CHECK(!is_point(some) && !verifies(some, point, signature) && !verifies(point, point, some) && secret(key, some) == nullptr && open_key(scalar, some) == nullptr);
    if (length != scalar_bytes) CHECK(open_key(some, point) == nullptr);
    CHECK(verifies(point, some, *sign(key, some)) == true);
  }
  CHECK(secret(other, point) == nullptr && !sign(other, point) && call(p256_sign, {given(point), given(point)}) == nullptr && call(p256_is_point, {as_napi(*other)}) == nullptr);
}

void signatures_that_are_none() {
  const auto [scalar, point] = fresh();
  const Buffer message = noise(40);
  const Buffer good = *sign(open_key(scalar, point), message);
  const Buffer zeros(scalar_bytes, 0);
  const Buffer ones(scalar_bytes, 0xff);
  Buffer one = zeros;
  one.back() = 1;
  const Buffer r(good.begin(), good.begin() + scalar_bytes);
  const Buffer s(good.begin() + scalar_bytes, good.end());
  for (const Buffer& first : {zeros, one, ones, order, field, r, s}) {
    for (const Buffer& second : {zeros, one, ones, order, field, r, s}) {
      const Buffer signature = joined(first, second);
      CHECK(verifies(point, message, signature) == (signature == good));
    }
  }
}

// Keys of others between each two calls: the thread's one key takes another point each time.
void random_once() {
  const Pair a = fresh();
  const Pair b = fresh();
  Value* key_a = open_key(a.scalar, a.point);
  Value* key_b = open_key(b.scalar, b.point);
  CHECK(key_a != nullptr && key_b != nullptr);
  const auto shared = content(secret(key_a, b.point));
  CHECK(shared && shared == content(secret(key_b, a.point)) && shared != content(secret(key_a, a.point)));
  const Buffer message = noise(below(2'100));
  const Buffer signature = *sign(key_a, message);
  CHECK(verifies(a.point, message, signature) == true && verifies(b.point, message, signature) == false);
  CHECK(verifies(a.point, message, changed(signature)) == false && verifies(changed(a.point), message, signature) == false);
  if (!message.empty()) CHECK(verifies(a.point, changed(message), signature) == false);
  const Buffer any = noise(point_bytes);
  CHECK(verifies(a.point, message, noise(signature_bytes)) == false && verifies(any, message, signature) == false && secret(key_b, any) != nullptr);
  // A number with zeros in front is a shorter INTEGER.
  Buffer shorter = signature;
  std::fill_n(shorter.begin() + static_cast<std::ptrdiff_t>(below(2) * scalar_bytes), 1 + below(scalar_bytes), uint8_t{0});
  CHECK(verifies(a.point, message, shorter) == (shorter == signature));
}

void random_keys() {
  constexpr int warm_up = 20;
  constexpr int rounds = 600;
  int64_t before = 0;
  for (int n = 0; n < rounds; n++) {
    if (n == warm_up) before = held;
    random_once();
    values.clear();
  }
  CHECK(held == before);
}

}  // namespace
}  // namespace i3io

int main(int count, char** arguments) {
  using namespace i3io;
  if (CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free) != 1) return 1;
  random_bits.seed(count > 1 ? std::strtoull(arguments[1], nullptr, 10) : 1);
  const struct {
    const char* name;
    void (*run)();
  } tests[] = {{"known answers", known_answers}, {"keys that are none", keys_that_are_none}, {"lengths and kinds", lengths_and_kinds}, {"signatures that are none", signatures_that_are_none}, {"random keys", random_keys}};
  for (const auto& [name, run] : tests) {
    std::printf("%s\n", name);
    std::fflush(stdout);
    run();
    values.clear();
  }
  std::printf("all passed\n");
  return 0;
}
