// The addon's table of functions; what each does is said in src/native-io.ts, interface NativeIo.
#include <node_api.h>

#include <array>

#include "environment.h"
#include "netlink-dump.h"
#include "netlink-monitor.h"
#include "netlink-set.h"
#include "tcp.h"
#include "tun.h"
#include "udp.h"
#include "watch.h"

namespace {

struct Entry {
  const char* name;
  napi_callback call;
};

constexpr std::array<Entry, 19> entries{{
    {"openTun", i3io::open_tun},
    {"readBatch", i3io::read_batch},
    {"writeBatch", i3io::write_batch},
    {"openUdp", i3io::open_udp},
    {"receiveBatch", i3io::receive_batch},
    {"sendBatch", i3io::send_batch},
    {"openMarkedTcp", i3io::open_marked_tcp},
    {"watchReadable", i3io::watch_readable},
    {"closeFd", i3io::close_fd},
    {"interfaceIndex", i3io::interface_index},
    {"setLink", i3io::set_link},
    {"addAddress", i3io::add_address},
    {"setRoute", i3io::set_route},
    {"removeRoute", i3io::remove_route},
    {"setRule", i3io::set_rule},
    {"removeRule", i3io::remove_rule},
    {"listRoutes", i3io::list_routes},
    {"listAddresses", i3io::list_addresses},
    {"watchNetlink", i3io::watch_netlink},
}};

}  // namespace

NAPI_MODULE_INIT() {
  if (i3io::create_environment(env) == nullptr) {
    napi_throw_error(env, nullptr, "i3_native_io: the environment could not be set up");
    return nullptr;
  }
  for (const Entry& entry : entries) {
    napi_value function = nullptr;
    if (napi_create_function(env, entry.name, NAPI_AUTO_LENGTH, entry.call, nullptr, &function) != napi_ok) return nullptr;
    i3io::set_property(env, exports, entry.name, function);
  }
  return exports;
}
