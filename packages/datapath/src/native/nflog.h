// NFLOG: packets that nftables rules log to a group, read in batches.
#pragma once

#include <node_api.h>

namespace i3io {

napi_value open_nflog(napi_env env, napi_callback_info info);
napi_value read_nflog(napi_env env, napi_callback_info info);

}  // namespace i3io
