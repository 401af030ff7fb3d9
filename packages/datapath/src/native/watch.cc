#include "watch.h"

#include <sys/socket.h>

#include <cerrno>
#include <climits>
#include <vector>

#include "system-error.h"

namespace i3io {
namespace {

// What the JavaScript close function carries: an id, because the watch may be gone by then.
struct CloseTicket {
  Environment* environment;
  uint64_t id;
};

void release_references(Watch& watch) {
  napi_env env = watch.environment->env;
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  if (watch.callback != nullptr) napi_delete_reference(env, watch.callback);
  if (watch.context != nullptr) napi_async_destroy(env, watch.context);
  napi_close_handle_scope(env, scope);
}

void on_closed(uv_handle_t* handle) {
  auto* watch = static_cast<Watch*>(handle->data);
  Environment* environment = watch->environment;
  release_references(*watch);
  delete watch;
  environment->closing--;
  environment->finish_if_idle();
}

// References are released in on_closed and not here, because here the watch's own callback may be on the stack.
void close_watch(Watch& watch) {
  Environment& environment = *watch.environment;
  if (environment.watches.erase(watch.id) == 0) return;
  environment.closing++;
  uv_close(reinterpret_cast<uv_handle_t*>(&watch.poll), on_closed);
}

void call_back(Watch& watch) {
  napi_env env = watch.environment->env;
  napi_value argument = nullptr;
  size_t argument_count = 0;
  if (!watch.prepare(env, &argument, &argument_count)) return;
  napi_value callback = nullptr;
  napi_value receiver = nullptr;
  napi_get_reference_value(env, watch.callback, &callback);
  napi_get_global(env, &receiver);
  if (callback == nullptr) return;
  // napi_make_callback also runs next ticks and microtasks, as node does for its own handles.
  if (napi_make_callback(env, watch.context, receiver, callback, argument_count, &argument, nullptr) != napi_pending_exception) return;
  napi_value exception = nullptr;
  if (napi_get_and_clear_last_exception(env, &exception) == napi_ok) napi_fatal_exception(env, exception);
}

void on_poll(uv_poll_t* handle, int status, int events);

// libuv stops a handle whose descriptor reports an error. A socket's error is read (which clears it) and watching goes on; a
// TUN device reports one when it was removed, for good: the reader learns it from its next read.
void resume_after_error(Watch& watch) {
  if (!watch.is_socket) return;
  socklen_t size = sizeof watch.socket_error;
  if (getsockopt(watch.fd, SOL_SOCKET, SO_ERROR, &watch.socket_error, &size) == 0) uv_poll_start(&watch.poll, UV_READABLE, on_poll);
}

void on_poll(uv_poll_t* handle, int status, int) {
  auto& watch = *static_cast<Watch*>(handle->data);
  if (watch.environment->ending) return;
  if (status < 0) resume_after_error(watch);
  napi_env env = watch.environment->env;
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  call_back(watch);
  watch.socket_error = 0;
  napi_close_handle_scope(env, scope);
}

napi_value on_close_call(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data);
  const auto& ticket = *static_cast<CloseTicket*>(data);
  const auto found = ticket.environment->watches.find(ticket.id);
  if (found != ticket.environment->watches.end()) close_watch(*found->second);
  return nullptr;
}

napi_value make_close_object(Environment& environment, uint64_t id) {
  napi_env env = environment.env;
  auto* ticket = new CloseTicket{&environment, id};
  napi_value close = nullptr;
  napi_value object = nullptr;
  napi_create_function(env, "close", NAPI_AUTO_LENGTH, on_close_call, ticket, &close);
  napi_add_finalizer(
      env, close, ticket, [](napi_env, void* data, void*) { delete static_cast<CloseTicket*>(data); }, nullptr, nullptr);
  napi_create_object(env, &object);
  set_property(env, object, "close", close);
  return object;
}

bool make_references(Watch& watch, napi_value callback, const char* resource_name) {
  napi_env env = watch.environment->env;
  napi_value name = nullptr;
  return napi_create_reference(env, callback, 1, &watch.callback) == napi_ok &&
         napi_create_string_utf8(env, resource_name, NAPI_AUTO_LENGTH, &name) == napi_ok &&
         napi_async_init(env, nullptr, name, &watch.context) == napi_ok;
}

}  // namespace

bool Watch::prepare(napi_env, napi_value*, size_t*) { return true; }

napi_value start_watch(Environment& environment, Watch* watch, napi_value callback, const char* resource_name) {
  watch->environment = &environment;
  watch->poll.data = watch;
  const int initialised = uv_poll_init(environment.loop, &watch->poll, watch->fd);
  if (initialised < 0) {
    delete watch;
    return throw_system(environment.env, -initialised, "uv_poll_init");
  }
  watch->id = environment.next_watch++;
  environment.watches.emplace(watch->id, watch);
  const int started = uv_poll_start(&watch->poll, UV_READABLE, on_poll);
  if (started < 0 || !make_references(*watch, callback, resource_name)) {
    close_watch(*watch);
    return throw_system(environment.env, started < 0 ? -started : ENOMEM, "uv_poll_start");
  }
  return make_close_object(environment, watch->id);
}

void close_watches_of(Environment& environment, int fd) {
  std::vector<Watch*> found;
  for (const auto& [id, watch] : environment.watches) {
    if (watch->fd == fd) found.push_back(watch);
  }
  for (Watch* watch : found) close_watch(*watch);
}

void close_all_watches(Environment& environment) {
  while (!environment.watches.empty()) close_watch(*environment.watches.begin()->second);
}

napi_value watch_readable(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  Environment& environment = Environment::of(env);
  const int fd = static_cast<int>(check.integer(arguments[0], "fd", 0, INT_MAX));
  napi_value callback = check.function(arguments[1], "callback");
  Kind kind{};
  if (!environment.owns(check, fd, "uv_poll_init", &kind)) return nullptr;
  auto* watch = new Watch();
  watch->fd = fd;
  watch->is_socket = kind != Kind::tun;
  return start_watch(environment, watch, callback, "I3_READABLE");
}

napi_value close_fd(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  Environment& environment = Environment::of(env);
  const int fd = static_cast<int>(check.integer(arguments[0], "fd", 0, INT_MAX));
  Kind kind{};
  if (!environment.owns(check, fd, "close", &kind)) return nullptr;
  close_watches_of(environment, fd);
  environment.descriptors.erase(fd);
  ::close(fd);
  return nullptr;
}

}  // namespace i3io
