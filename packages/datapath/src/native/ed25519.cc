#include "ed25519.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <memory>

#include "check.h"
#include "engine-values.h"

namespace i3io {
namespace {

constexpr size_t key_bytes = 32;
constexpr size_t signature_bytes = 64;

struct Freer {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
template <typename T>
using Owned = std::unique_ptr<T, Freer>;

using Bytes = std::span<const uint8_t>;

// OpenSSL refuses here, and not when it takes the key, what is no point on the curve.
bool verify(Bytes key, Bytes message, Bytes signature) {
  const Owned<EVP_PKEY> public_key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key.data(), key.size()));
  const Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
  const bool holds = public_key && context && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, public_key.get()) == 1 &&
                     EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(), message.size()) == 1;
  if (!holds) ERR_clear_error();
  return holds;
}

}  // namespace

napi_value ed25519_verify(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  const Bytes key = check.bytes_of(arguments[0], "key", key_bytes, "expected 32 bytes");
  const Bytes message = check.bytes(arguments[1], "message");
  const Bytes signature = check.bytes_of(arguments[2], "signature", signature_bytes, "expected 64 bytes");
  return check.valid() ? make_boolean(env, verify(key, message, signature)) : nullptr;
}

}  // namespace i3io
