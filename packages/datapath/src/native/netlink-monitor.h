// Netlink, what the kernel tells by itself: changes of links, addresses and routes.
#pragma once

#include <node_api.h>

namespace i3io {

napi_value watch_netlink(napi_env env, napi_callback_info info);

}  // namespace i3io
