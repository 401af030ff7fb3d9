// UDP sockets for JavaScript, in batches: the proxy's DNS. The engine's are in engine/ports/udp-socket.
#pragma once

#include <node_api.h>

namespace i3io {

napi_value open_udp(napi_env env, napi_callback_info info);
// For node:dgram, which cannot ask for all ICMP errors: not kept here.
napi_value open_reporting_udp(napi_env env, napi_callback_info info);
napi_value receive_batch(napi_env env, napi_callback_info info);
napi_value send_batch(napi_env env, napi_callback_info info);

}  // namespace i3io
