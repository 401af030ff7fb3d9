// System errors as JavaScript errors: `code` ("EBUSY"), `errno` (negative, as node has it), `syscall`.
#pragma once

#include <node_api.h>

namespace i3io {

// nullptr when that fails. `detail` may be nullptr.
napi_value make_system_error(napi_env env, int number, const char* syscall, const char* detail = nullptr);
// Throws in `env` and returns nullptr, so that a binding can `return throw_system(…)`.
napi_value throw_system(napi_env env, int number, const char* syscall, const char* detail = nullptr);

}  // namespace i3io
