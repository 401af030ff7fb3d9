// TCP sockets with a mark, for the proxy's DNS over TCP.
#pragma once

#include <node_api.h>

namespace i3io {

napi_value open_marked_tcp(napi_env env, napi_callback_info info);

}  // namespace i3io
