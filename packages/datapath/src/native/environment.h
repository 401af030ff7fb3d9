// What one JavaScript environment (the main thread or a worker) owns: descriptors, watches, engines, the netlink sockets.
#pragma once

#include <node_api.h>
#include <unistd.h>
#include <uv.h>

#include <cstdint>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "check.h"
#include "netlink.h"

namespace i3io {

class EngineInstance;
class Watch;

enum class Kind : uint8_t { tun, udp4, udp6, nflog, conntrack };

struct Environment {
  explicit Environment(napi_env owner) : env(owner) {}
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  napi_env env;
  uv_loop_t* loop = nullptr;
  // Descriptors that JavaScript may name. Nothing else is read, written, watched or closed on its word.
  std::unordered_map<int, Kind> descriptors;
  std::unordered_map<uint64_t, Watch*> watches;
  uint64_t next_watch = 1;
  // Those that have ports and threads.
  std::unordered_set<EngineInstance*> engines;
  // Watches and engines whose uv_close callback has not run yet; the environment outlives them.
  size_t closing = 0;
  bool ending = false;
  napi_async_cleanup_hook_handle cleanup = nullptr;
  NetlinkSocket netlink{NETLINK_ROUTE};
  NetlinkSocket netfilter{NETLINK_NETFILTER};

  static Environment& of(napi_env env);
  // Throws EBADF for descriptors that are not ours; returns false then.
  bool owns(Check& check, int fd, const char* syscall, Kind* kind);
  void finish_if_idle();
};

// Registers the environment with node, so that teardown closes everything in order.
Environment* create_environment(napi_env env);

napi_value make_integer(napi_env env, int64_t value);
void set_property(napi_env env, napi_value object, const char* key, napi_value value);
// { fd }: the descriptor is the environment's from now on, and JavaScript may name it.
napi_value give_descriptor(napi_env env, UniqueFd fd, Kind kind);

}  // namespace i3io
