// ctnetlink: the kernel's connections, listed in parts and deleted one by one.
#pragma once

#include <node_api.h>

namespace i3io {

napi_value open_conntrack_dump(napi_env env, napi_callback_info info);
napi_value read_conntrack_dump(napi_env env, napi_callback_info info);
napi_value delete_conntrack(napi_env env, napi_callback_info info);

}  // namespace i3io
