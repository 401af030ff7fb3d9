#include "environment.h"

#include <cerrno>

#include "engine-handle.h"
#include "system-error.h"
#include "watch.h"

namespace i3io {
namespace {

// Node runs this before it ends the environment, and then the loop until the handle is removed: uv_close needs that turn.
void on_cleanup(napi_async_cleanup_hook_handle, void* data) {
  auto* environment = static_cast<Environment*>(data);
  environment->ending = true;
  close_all_engines(*environment);
  close_all_watches(*environment);
  environment->finish_if_idle();
}

void on_finalize(napi_env, void* data, void*) {
  auto* environment = static_cast<Environment*>(data);
  for (const auto& [fd, kind] : environment->descriptors) ::close(fd);
  delete environment;
}

}  // namespace

Environment& Environment::of(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  return *static_cast<Environment*>(data);
}

bool Environment::owns(Check& check, int fd, const char* syscall, Kind* kind) {
  if (!check.valid()) return false;
  const auto found = descriptors.find(fd);
  if (found == descriptors.end()) {
    throw_system(env, EBADF, syscall, "(not a descriptor of this addon)");
    return false;
  }
  *kind = found->second;
  return true;
}

void Environment::finish_if_idle() {
  if (!ending || closing > 0 || cleanup == nullptr) return;
  napi_remove_async_cleanup_hook(std::exchange(cleanup, nullptr));
}

Environment* create_environment(napi_env env) {
  auto* environment = new Environment(env);
  const bool ready = napi_get_uv_event_loop(env, &environment->loop) == napi_ok &&
                     napi_set_instance_data(env, environment, on_finalize, nullptr) == napi_ok;
  if (!ready) {
    delete environment;
    return nullptr;
  }
  napi_add_async_cleanup_hook(env, on_cleanup, environment, &environment->cleanup);
  return environment;
}

napi_value make_integer(napi_env env, int64_t value) {
  napi_value result = nullptr;
  napi_create_int64(env, value, &result);
  return result;
}

void set_property(napi_env env, napi_value object, const char* key, napi_value value) {
  napi_set_named_property(env, object, key, value);
}

napi_value give_descriptor(napi_env env, UniqueFd fd, Kind kind) {
  napi_value object = nullptr;
  napi_create_object(env, &object);
  set_property(env, object, "fd", make_integer(env, fd.get()));
  Environment::of(env).descriptors[fd.get()] = kind;
  fd.release();
  return object;
}

}  // namespace i3io
