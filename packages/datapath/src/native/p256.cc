#include "p256.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <optional>

#include "check.h"
#include "engine-values.h"
#include "environment.h"
#include "system-error.h"

namespace i3io {
namespace {

constexpr size_t scalar_bytes = 32;
constexpr size_t point_bytes = 2 * scalar_bytes;
constexpr size_t signature_bytes = 2 * scalar_bytes;
constexpr size_t digest_bytes = 48;
// SEQUENCE of two INTEGERs, each with a zero in front.
constexpr size_t max_der_bytes = 72;
// SEC 1 §2.3.3.
constexpr uint8_t uncompressed = 4;

struct Freer {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
  void operator()(ECDSA_SIG* signature) const { ECDSA_SIG_free(signature); }
  void operator()(BIGNUM* number) const { BN_clear_free(number); }
};
template <typename T>
using Owned = std::unique_ptr<T, Freer>;

using Octets = std::array<uint8_t, 1 + point_bytes>;
using Bytes = std::span<const uint8_t>;

Octets octets_of(Bytes point) {
  Octets octets{uncompressed};
  std::copy(point.begin(), point.end(), octets.begin() + 1);
  return octets;
}

// Of a private key, or without `scalar` of a public one. OpenSSL checks that the point is on the curve, which has no others of small order.
Owned<EVP_PKEY> make_key(Bytes scalar, Bytes point) {
  char group[] = "P-256";
  Octets octets = octets_of(point);
  Owned<BIGNUM> number(scalar.empty() ? nullptr : BN_secure_new());
  std::array<uint8_t, scalar_bytes> native{};
  std::array<OSSL_PARAM, 4> parameters{OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
                                       OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, octets.data(), octets.size()), OSSL_PARAM_construct_end(),
                                       OSSL_PARAM_construct_end()};
  if (!scalar.empty()) {
    const bool is_put = number && BN_bin2bn(scalar.data(), static_cast<int>(scalar.size()), number.get()) != nullptr && BN_bn2nativepad(number.get(), native.data(), scalar_bytes) > 0;
    if (!is_put) return nullptr;
    parameters[2] = OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, native.data(), native.size());
  }
  const Owned<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
  EVP_PKEY* key = nullptr;
  const bool is_made = context && EVP_PKEY_fromdata_init(context.get()) == 1 &&
                       EVP_PKEY_fromdata(context.get(), &key, scalar.empty() ? EVP_PKEY_PUBLIC_KEY : EVP_PKEY_KEYPAIR, parameters.data()) == 1;
  OPENSSL_cleanse(native.data(), native.size());
  Owned<EVP_PKEY> made(key);
  return is_made ? std::move(made) : nullptr;
}

// SEC 2 §2.4.2: the generator, a point to begin with.
constexpr std::array<uint8_t, point_bytes> generator{
    0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb,
    0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a,
    0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5};

// One key a thread, in which a peer's point takes the place of the one before: a new key costs as much as half a verification. nullptr when the point is not on the curve.
EVP_PKEY* key_of_peer(Bytes point) {
  thread_local const Owned<EVP_PKEY> key = make_key({}, generator);
  const Octets octets = octets_of(point);
  const bool is_set = key && EVP_PKEY_set1_encoded_public_key(key.get(), octets.data(), octets.size()) == 1;
  if (!is_set) ERR_clear_error();
  return is_set ? key.get() : nullptr;
}

std::optional<std::array<uint8_t, digest_bytes>> digest_of(Bytes message) {
  std::array<uint8_t, digest_bytes> digest{};
  unsigned int length = 0;
  if (EVP_Digest(message.data(), message.size(), digest.data(), &length, EVP_sha384(), nullptr) != 1 || length != digest_bytes) return std::nullopt;
  return digest;
}

bool verify(EVP_PKEY* key, Bytes message, Bytes signature) {
  const auto digest = digest_of(message);
  const Owned<ECDSA_SIG> numbers(ECDSA_SIG_new());
  Owned<BIGNUM> r(BN_bin2bn(signature.data(), scalar_bytes, nullptr));
  Owned<BIGNUM> s(BN_bin2bn(signature.data() + scalar_bytes, scalar_bytes, nullptr));
  if (!digest || !numbers || !r || !s || ECDSA_SIG_set0(numbers.get(), r.get(), s.get()) != 1) return false;
  (void)r.release();
  (void)s.release();
  std::array<uint8_t, max_der_bytes> der{};
  uint8_t* end = der.data();
  if (i2d_ECDSA_SIG(numbers.get(), nullptr) > static_cast<int>(der.size())) return false;
  const int der_bytes = i2d_ECDSA_SIG(numbers.get(), &end);
  const Owned<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new(key, nullptr));
  const bool holds = der_bytes > 0 && context && EVP_PKEY_verify_init(context.get()) == 1 &&
                     EVP_PKEY_verify(context.get(), der.data(), static_cast<size_t>(der_bytes), digest->data(), digest->size()) == 1;
  if (!holds) ERR_clear_error();
  return holds;
}

// A private key with what OpenSSL prepares for it once. It is wiped with the object.
struct PrivateKey {
  Owned<EVP_PKEY> key;
  Owned<EVP_PKEY_CTX> deriving;
  Owned<EVP_PKEY_CTX> signing;

  static std::unique_ptr<PrivateKey> open(Bytes scalar, Bytes point) {
    auto opened = std::make_unique<PrivateKey>();
    opened->key = make_key(scalar, point);
    if (!opened->key || !fits(opened->key.get())) return nullptr;
    opened->deriving.reset(EVP_PKEY_CTX_new(opened->key.get(), nullptr));
    opened->signing.reset(EVP_PKEY_CTX_new(opened->key.get(), nullptr));
    const bool is_ready = opened->deriving && opened->signing && EVP_PKEY_derive_init(opened->deriving.get()) == 1 && EVP_PKEY_sign_init(opened->signing.get()) == 1;
    return is_ready ? std::move(opened) : nullptr;
  }

  // Whether the scalar is in range, and the point is its.
  static bool fits(EVP_PKEY* key) {
    const Owned<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new(key, nullptr));
    return context && EVP_PKEY_private_check(context.get()) == 1 && EVP_PKEY_pairwise_check(context.get()) == 1;
  }

  // OpenSSL's own check of the peer computes the order of the point, which for every point on this curve is the group's.
  bool derive(std::span<uint8_t, scalar_bytes> out, EVP_PKEY* peer) const {
    size_t length = out.size();
    return EVP_PKEY_derive_set_peer_ex(deriving.get(), peer, 0) == 1 && EVP_PKEY_derive(deriving.get(), out.data(), &length) == 1 && length == out.size();
  }

  bool sign(std::span<uint8_t, signature_bytes> out, Bytes message) const {
    const auto digest = digest_of(message);
    std::array<uint8_t, max_der_bytes> der{};
    size_t der_bytes = der.size();
    if (!digest || EVP_PKEY_sign(signing.get(), der.data(), &der_bytes, digest->data(), digest->size()) != 1) return false;
    const uint8_t* begin = der.data();
    const Owned<ECDSA_SIG> numbers(d2i_ECDSA_SIG(nullptr, &begin, static_cast<long>(der_bytes)));
    return numbers && BN_bn2binpad(ECDSA_SIG_get0_r(numbers.get()), out.data(), scalar_bytes) > 0 &&
           BN_bn2binpad(ECDSA_SIG_get0_s(numbers.get()), out.data() + scalar_bytes, scalar_bytes) > 0;
  }
};

constexpr napi_type_tag key_tag{0x6933703235366b65, 0x41d7f3a2c58e9b06};

void finalize(napi_env, void* data, void*) { delete static_cast<PrivateKey*>(data); }

Bytes take_point(Check& check, napi_value value) { return check.bytes_of(value, "point", point_bytes, "expected 64 bytes"); }

PrivateKey* take_key(Check& check, napi_value value) {
  bool is_key = false;
  void* data = nullptr;
  check.object(value, "key");
  if (!check.valid()) return nullptr;
  const bool is_taken = napi_check_object_type_tag(check.env(), value, &key_tag, &is_key) == napi_ok && is_key && napi_unwrap(check.env(), value, &data) == napi_ok;
  if (!is_taken) check.fail("key", "expected a key of p256OpenKey");
  return is_taken ? static_cast<PrivateKey*>(data) : nullptr;
}

napi_value throw_openssl(napi_env env, const char* call) {
  ERR_clear_error();
  return throw_system(env, EIO, call);
}

}  // namespace

napi_value p256_is_point(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  const Bytes point = take_point(check, arguments[0]);
  return check.valid() ? make_boolean(env, key_of_peer(point) != nullptr) : nullptr;
}

napi_value p256_verify(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  const Bytes point = take_point(check, arguments[0]);
  const Bytes message = check.bytes(arguments[1], "message");
  const Bytes signature = check.bytes_of(arguments[2], "signature", signature_bytes, "expected 64 bytes");
  if (!check.valid()) return nullptr;
  EVP_PKEY* key = key_of_peer(point);
  return make_boolean(env, key != nullptr && verify(key, message, signature));
}

napi_value p256_open_key(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  const Bytes scalar = check.bytes_of(arguments[0], "scalar", scalar_bytes, "expected 32 bytes");
  const Bytes point = take_point(check, arguments[1]);
  if (!check.valid()) return nullptr;
  std::unique_ptr<PrivateKey> key = PrivateKey::open(scalar, point);
  if (!key) return throw_openssl(env, "EVP_PKEY_fromdata");
  napi_value object = nullptr;
  const bool is_wrapped = napi_create_object(env, &object) == napi_ok && napi_type_tag_object(env, object, &key_tag) == napi_ok &&
                          napi_wrap(env, object, key.get(), finalize, nullptr, nullptr) == napi_ok;
  if (!is_wrapped) return throw_system(env, ENOMEM, "napi_wrap");
  (void)key.release();
  return object;
}

napi_value p256_secret(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  const PrivateKey* key = take_key(check, arguments[0]);
  const Bytes point = take_point(check, arguments[1]);
  if (!check.valid()) return nullptr;
  EVP_PKEY* peer = key_of_peer(point);
  napi_value result = nullptr;
  if (peer == nullptr) {
    napi_get_null(env, &result);
    return result;
  }
  std::array<uint8_t, scalar_bytes> secret{};
  const bool is_derived = key->derive(secret, peer);
  if (is_derived) result = make_bytes(env, secret);
  OPENSSL_cleanse(secret.data(), secret.size());
  return is_derived ? result : throw_openssl(env, "EVP_PKEY_derive");
}

napi_value p256_sign(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  const PrivateKey* key = take_key(check, arguments[0]);
  const Bytes message = check.bytes(arguments[1], "message");
  if (!check.valid()) return nullptr;
  std::array<uint8_t, signature_bytes> signature{};
  return key->sign(signature, message) ? make_bytes(env, signature) : throw_openssl(env, "EVP_PKEY_sign");
}

}  // namespace i3io
