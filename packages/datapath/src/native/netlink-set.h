// Netlink, what the addon changes: links, addresses, routes, rules.
#pragma once

#include <node_api.h>

namespace i3io {

napi_value interface_index(napi_env env, napi_callback_info info);
napi_value set_link(napi_env env, napi_callback_info info);
napi_value set_trains(napi_env env, napi_callback_info info);
napi_value add_address(napi_env env, napi_callback_info info);
napi_value set_route(napi_env env, napi_callback_info info);
napi_value remove_route(napi_env env, napi_callback_info info);
napi_value set_rule(napi_env env, napi_callback_info info);
napi_value remove_rule(napi_env env, napi_callback_info info);

}  // namespace i3io
