#include "system-error.h"

#include <uv.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace i3io {
namespace {

// What libuv has no name for and a vanished TUN device gives.
const char* unnamed_by_libuv(int number) { return number == EBADFD ? "EBADFD" : nullptr; }

void set_text(napi_env env, napi_value object, const char* key, const char* text) {
  napi_value value = nullptr;
  if (napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value) == napi_ok) napi_set_named_property(env, object, key, value);
}

}  // namespace

napi_value make_system_error(napi_env env, int number, const char* syscall, const char* detail) {
  std::array<char, 64> name{};
  const char* known = unnamed_by_libuv(number);
  if (known == nullptr) known = uv_err_name_r(-number, name.data(), name.size());

  std::array<char, 96> reason_buffer{};
  const char* reason = strerror_r(number, reason_buffer.data(), reason_buffer.size());
  std::array<char, 384> message{};
  std::snprintf(message.data(), message.size(), "%s: %s, %s%s%s", known, reason, syscall, detail == nullptr ? "" : " ",
                detail == nullptr ? "" : detail);

  napi_value code = nullptr;
  napi_value text = nullptr;
  napi_value error = nullptr;
  napi_value errno_value = nullptr;
  if (napi_create_string_utf8(env, known, NAPI_AUTO_LENGTH, &code) != napi_ok) return nullptr;
  if (napi_create_string_utf8(env, message.data(), NAPI_AUTO_LENGTH, &text) != napi_ok) return nullptr;
  if (napi_create_error(env, code, text, &error) != napi_ok) return nullptr;
  if (napi_create_int32(env, -number, &errno_value) == napi_ok) napi_set_named_property(env, error, "errno", errno_value);
  set_text(env, error, "syscall", syscall);
  return error;
}

napi_value throw_system(napi_env env, int number, const char* syscall, const char* detail) {
  napi_value error = make_system_error(env, number, syscall, detail);
  if (error != nullptr) napi_throw(env, error);
  return nullptr;
}

}  // namespace i3io
