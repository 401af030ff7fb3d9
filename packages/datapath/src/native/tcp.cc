// TCP sockets with SO_MARK, which node cannot make. They are handed over to net.Socket, so they are not kept here.
#include "tcp.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstdint>

#include "environment.h"
#include "system-error.h"
#include "unique-fd.h"

namespace i3io {

napi_value open_marked_tcp(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  napi_value options = check.object(arguments[0], "options");
  const int64_t family = check.integer(check.property(options, "family"), "family", 4, 6);
  if (family == 5) check.fail("family", "expected 4 or 6");
  const auto mark = static_cast<uint32_t>(check.integer(check.property(options, "mark"), "mark", 0, UINT32_MAX));
  if (!check.valid()) return nullptr;
  UniqueFd fd(socket(family == 6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return throw_system(env, errno, "socket");
  if (mark != 0 && setsockopt(fd.get(), SOL_SOCKET, SO_MARK, &mark, sizeof mark) < 0) return throw_system(env, errno, "setsockopt SO_MARK");
  napi_value result = nullptr;
  napi_create_object(env, &result);
  set_property(env, result, "fd", make_integer(env, fd.release()));
  return result;
}

}  // namespace i3io
