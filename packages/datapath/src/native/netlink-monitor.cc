// Tells that links, addresses, routes or rules changed (not how: the listener lists them anew).
#include "netlink-monitor.h"

#include <sys/socket.h>

#include <cerrno>

#include "netlink.h"
#include "system-error.h"
#include "watch.h"

namespace i3io {
namespace {

// Datagrams read in one turn; more wait for the next.
constexpr int max_datagrams = 64;
constexpr size_t datagram_bytes = 32 * 1024;
// The header has no name of this kind for the group of IPv6 rules.
constexpr uint32_t ipv6_rule_group = 1U << (RTNLGRP_IPV6_RULE - 1);
constexpr uint32_t groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE | RTMGRP_IPV4_RULE | ipv6_rule_group;

struct Changes {
  bool link = false;
  bool address = false;
  bool route = false;
  bool rule = false;

  bool any() const { return link || address || route || rule; }
  void note(uint16_t type) {
    if (type == RTM_NEWLINK || type == RTM_DELLINK) link = true;
    if (type == RTM_NEWADDR || type == RTM_DELADDR) address = true;
    if (type == RTM_NEWROUTE || type == RTM_DELROUTE) route = true;
    if (type == RTM_NEWRULE || type == RTM_DELRULE) rule = true;
  }
};

class MonitorWatch final : public Watch {
 public:
  explicit MonitorWatch(UniqueFd socket) : socket_(std::move(socket)), buffer_(datagram_bytes) {
    fd = socket_.get();
    is_socket = true;
  }

  bool prepare(napi_env env, napi_value* argument, size_t* argument_count) override {
    const Changes changes = drain();
    if (!changes.any()) return false;
    napi_create_array(env, argument);
    uint32_t count = 0;
    const auto push = [&](bool changed, const char* name) {
      napi_value text = nullptr;
      if (!changed || napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &text) != napi_ok) return;
      napi_set_element(env, *argument, count++, text);
    };
    push(changes.address, "address");
    push(changes.link, "link");
    push(changes.route, "route");
    push(changes.rule, "rule");
    *argument_count = 1;
    return true;
  }

 private:
  // ENOBUFS, here or as the socket's error: the kernel had more to say than the buffer holds, so anything may have changed.
  Changes drain() {
    Changes changes;
    if (socket_error != 0) changes = {true, true, true, true};
    for (int i = 0; i < max_datagrams; i++) {
      const ssize_t length = recv(fd, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
      if (length < 0 && errno == ENOBUFS) changes = {true, true, true, true};
      else if (length < 0) break;
      else
        for_each_message(std::span<const uint8_t>(buffer_).first(static_cast<size_t>(length)),
                         [&changes](const NetlinkMessage& message) { changes.note(message.type); });
    }
    return changes;
  }

  UniqueFd socket_;
  std::vector<uint8_t> buffer_;
};

}  // namespace

napi_value watch_netlink(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  napi_value callback = check.function(arguments[0], "callback");
  if (!check.valid()) return nullptr;
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd) return throw_system(env, errno, "socket");
  sockaddr_nl name{};
  name.nl_family = AF_NETLINK;
  name.nl_groups = groups;
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) < 0) return throw_system(env, errno, "bind");
  return start_watch(Environment::of(env), new MonitorWatch(std::move(fd)), callback, "I3_NETLINK");
}

}  // namespace i3io
