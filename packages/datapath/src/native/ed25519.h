// Ed25519 signatures (RFC 8032) checked by OpenSSL with raw keys, for whoever does it often: by node:crypto each key has to be parsed to an object first.
#pragma once

#include <node_api.h>

namespace i3io {

napi_value ed25519_verify(napi_env env, napi_callback_info info);

}  // namespace i3io
