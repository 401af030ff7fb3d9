// Netlink, what the addon reads at once: routes and addresses.
#pragma once

#include <node_api.h>

namespace i3io {

napi_value list_routes(napi_env env, napi_callback_info info);
napi_value list_addresses(napi_env env, napi_callback_info info);

}  // namespace i3io
