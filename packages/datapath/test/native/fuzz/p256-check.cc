// The addon's P-256 (src/native/p256.cc) under the sanitizers, called as JavaScript calls it, by a stand-in for node: known answers, random keys both ways, what is
// changed by a bit, noise, wrong lengths and the ends of the ranges; buffers of exact length, no error of OpenSSL left behind, nothing it allocates kept.
#include "p256.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

#include <algorithm>

#include "node-stand-in.h"

namespace i3io {
namespace {

constexpr size_t scalar_bytes = 32;
constexpr size_t point_bytes = 64;
constexpr size_t signature_bytes = 64;

Buffer of_text(std::string_view text) { return {text.begin(), text.end()}; }
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

void random_keys() { run_often(random_once); }

}  // namespace
}  // namespace i3io

int main(int count, char** arguments) {
  using namespace i3io;
  const Test tests[] = {{"known answers", known_answers}, {"keys that are none", keys_that_are_none}, {"lengths and kinds", lengths_and_kinds}, {"signatures that are none", signatures_that_are_none}, {"random keys", random_keys}};
  return run_tests(count, arguments, tests);
}
