// The addon's Ed25519 (src/native/ed25519.cc) under the sanitizers, called as JavaScript calls it: known answers, random keys, what is changed by a bit, noise, wrong
// lengths, points that are none; buffers of exact length, no error of OpenSSL left behind, nothing it allocates kept.
#include "ed25519.h"

#include <openssl/evp.h>

#include "node-stand-in.h"

namespace i3io {
namespace {

constexpr size_t key_bytes = 32;
constexpr size_t signature_bytes = 64;

std::optional<bool> verifies(const Buffer& key, const Buffer& message, const Buffer& signature) { return truth(call(ed25519_verify, {given(key), given(message), given(signature)})); }

struct Signed {
  Buffer key;
  Buffer signature;
};
// By a fresh key.
Signed sign(const Buffer& message) {
  Signed made{Buffer(key_bytes), Buffer(signature_bytes)};
  EVP_PKEY* const key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  EVP_MD_CTX* const context = EVP_MD_CTX_new();
  size_t length = key_bytes;
  CHECK(EVP_PKEY_get_raw_public_key(key, made.key.data(), &length) == 1 && length == key_bytes);
  length = signature_bytes;
  CHECK(EVP_DigestSignInit(context, nullptr, nullptr, nullptr, key) == 1);
  CHECK(EVP_DigestSign(context, made.signature.data(), &length, message.data(), message.size()) == 1 && length == signature_bytes);
  EVP_MD_CTX_free(context);
  EVP_PKEY_free(key);
  return made;
}

void known_answers() {
  // RFC 8032 §7.1, tests 1 and 2.
  const Buffer first = from_hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  CHECK(verifies(first, {}, from_hex("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b")) == true);
  const Buffer second = from_hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
  const Buffer signature = from_hex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
  CHECK(verifies(second, {0x72}, signature) == true && verifies(second, {0x73}, signature) == false && verifies(first, {0x72}, signature) == false);
}

void lengths_and_kinds() {
  Value* other = &values.emplace_back(Value::Kind::object);
  const Buffer message = noise(40);
  const auto [key, signature] = sign(message);
  for (size_t length = 0; length <= 100; length++) {
    const Buffer some = noise(length);
    if (length != key_bytes) CHECK(!verifies(some, message, signature));
    if (length != signature_bytes) CHECK(!verifies(key, message, some));
    const auto [its, good] = sign(some);
    CHECK(verifies(its, some, good) == true);
  }
  CHECK(call(ed25519_verify, {as_napi(*other), given(message), given(signature)}) == nullptr && call(ed25519_verify, {given(key), as_napi(*other), given(signature)}) == nullptr);
}

void points_that_are_none() {
  const Buffer message = noise(40);
  const auto [key, signature] = sign(message);
  for (const Buffer& bad : {Buffer(key_bytes, 0xff), Buffer(key_bytes, 0x02), Buffer(key_bytes, 0)}) {
    CHECK(verifies(bad, message, signature) == false && verifies(key, message, joined(bad, Buffer(signature.begin() + key_bytes, signature.end()))) == false);
    CHECK(verifies(key, message, joined(Buffer(signature.begin(), signature.begin() + key_bytes), bad)) == false);
  }
}

void random_once() {
  const Buffer message = noise(below(2'100));
  const auto [key, signature] = sign(message);
  CHECK(verifies(key, message, signature) == true && verifies(sign(message).key, message, signature) == false);
  CHECK(verifies(key, message, changed(signature)) == false && verifies(changed(key), message, signature) == false);
  if (!message.empty()) CHECK(verifies(key, changed(message), signature) == false);
  CHECK(verifies(key, message, noise(signature_bytes)) == false && verifies(noise(key_bytes), message, signature) == false);
}

void random_keys() { run_often(random_once); }

}  // namespace
}  // namespace i3io

int main(int count, char** arguments) {
  using namespace i3io;
  const Test tests[] = {{"known answers", known_answers}, {"lengths and kinds", lengths_and_kinds}, {"points that are none", points_that_are_none}, {"random keys", random_keys}};
  return run_tests(count, arguments, tests);
}
