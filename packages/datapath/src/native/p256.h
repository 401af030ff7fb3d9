// ECDH and ECDSA on P-256 by OpenSSL, for whoever does them often: node checks and rebuilds keys and group for each call, which takes longer than the arithmetic.
// Points are x | y (64 bytes), signatures r | s (64) over SHA-384, of which P-256 takes the left 256 bits.
#pragma once

#include <node_api.h>

namespace i3io {

napi_value p256_is_point(napi_env env, napi_callback_info info);
napi_value p256_verify(napi_env env, napi_callback_info info);
napi_value p256_open_key(napi_env env, napi_callback_info info);
napi_value p256_secret(napi_env env, napi_callback_info info);
napi_value p256_sign(napi_env env, napi_callback_info info);

}  // namespace i3io
