// TUN devices for JavaScript, in batches: the WAN emulator of the tests. The engine's are in engine/ports/tun-queue.
#pragma once

#include <node_api.h>

namespace i3io {

napi_value open_tun(napi_env env, napi_callback_info info);
napi_value read_batch(napi_env env, napi_callback_info info);
napi_value write_batch(napi_env env, napi_callback_info info);

}  // namespace i3io
