// Descriptors in node's event loop: one uv_poll handle each, one callback per turn while readable.
//
//     JavaScript close() ─┐
//     closeFd ────────────┼→ close_watch → uv_close → on_closed: references released, memory freed
//     environment ends ───┘
#pragma once

#include <node_api.h>
#include <uv.h>

#include "environment.h"

namespace i3io {

class Watch {
 public:
  virtual ~Watch() = default;

  // Makes the callback's arguments (at most one). False: nothing to tell, no call.
  virtual bool prepare(napi_env env, napi_value* argument, size_t* argument_count);

  Environment* environment = nullptr;
  uint64_t id = 0;
  int fd = -1;
  bool is_socket = false;
  // What the socket reported and libuv stopped for, since the last callback; 0 for nothing.
  int socket_error = 0;
  uv_poll_t poll{};
  napi_ref callback = nullptr;
  napi_async_context context = nullptr;
};

// Takes ownership of `watch`, whose fd and is_socket are set. Returns the object {close()} or throws and returns nullptr.
napi_value start_watch(Environment& environment, Watch* watch, napi_value callback, const char* resource_name);
// The watch of one descriptor of JavaScript, if there is one; before the descriptor itself is closed.
void close_watches_of(Environment& environment, int fd);
void close_all_watches(Environment& environment);

napi_value watch_readable(napi_env env, napi_callback_info info);
napi_value close_fd(napi_env env, napi_callback_info info);

}  // namespace i3io
