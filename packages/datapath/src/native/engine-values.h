// The engine's values from and to JavaScript.
#pragma once

#include <node_api.h>

#include <optional>

#include "check.h"
#include "engine/engine.h"

namespace i3io {

// 18 bytes.
i3::Endpoint take_endpoint(Check& check, napi_value value, const char* name);
// The same, or null.
std::optional<i3::Endpoint> take_optional_endpoint(Check& check, napi_value value, const char* name);
// An endpoint of the main port, 18 bytes, or with its way, 39.
struct Route {
  i3::Endpoint endpoint;
  i3::Way way;
};
// `last`: of the ways that it may name.
Route take_route(Check& check, napi_value value, const char* name, i3::Via last = i3::Via::ip);
// The same bytes.
Route read_route(Check& check, i3::Bytes bytes, const char* name, i3::Via last = i3::Via::ip);
std::optional<Route> take_optional_route(Check& check, napi_value value, const char* name, i3::Via last = i3::Via::ip);
uint32_t take_u32(Check& check, napi_value value, const char* name);

// Copies.
napi_value make_bytes(napi_env env, i3::Bytes bytes);
napi_value make_boolean(napi_env env, bool value);
napi_value make_undefined(napi_env env);
napi_value make_doubles(napi_env env, std::span<const double> values);
napi_value make_route(napi_env env, const i3::Endpoint& endpoint, const i3::Way& way);
napi_value make_upcalls(napi_env env, std::span<const i3::Upcall> upcalls);

}  // namespace i3io
