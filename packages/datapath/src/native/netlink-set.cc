// What the addon changes: links, addresses, routes, rules.
#include "netlink-set.h"

#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "environment.h"
#include "netlink.h"
#include "system-error.h"

namespace i3io {
namespace {

uint8_t family_of(const Address& address) { return address.size == 4 ? AF_INET : AF_INET6; }

uint32_t take_u32(Check& check, napi_value object, const char* name, int64_t minimum = 0) {
  return static_cast<uint32_t>(check.integer(check.property(object, name), name, minimum, UINT32_MAX));
}

uint32_t take_index(Check& check, napi_value object, int64_t minimum) {
  return static_cast<uint32_t>(check.integer(check.property(object, "index"), "index", minimum, INT_MAX));
}

// Of the interface that `options` names.
ifinfomsg link_of(Check& check, napi_value options) {
  ifinfomsg body{};
  body.ifi_family = AF_UNSPEC;
  body.ifi_index = static_cast<int>(take_index(check, options, 1));
  return body;
}

struct Prefix {
  Address address;
  uint8_t bits = 0;
};

Prefix take_prefix(Check& check, napi_value object, const char* address_name) {
  Prefix prefix;
  napi_value bits = check.property(object, "prefixBits");
  prefix.address = check.address(check.property(object, address_name), address_name);
  prefix.bits = static_cast<uint8_t>(check.integer(bits, "prefixBits", 0, prefix.address.bits()));
  return prefix;
}

struct Route {
  bool unreachable = false;
  Prefix destination;
  uint32_t index = 0;
  uint32_t table = 0;
  uint32_t metric = 0;
  Address source;
};

Route take_route(Check& check, napi_value argument) {
  Route route;
  napi_value object = check.object(argument, "options");
  std::array<char, 16> type{};
  check.text(check.property(object, "type"), "type", type);
  route.unreachable = std::strcmp(type.data(), "unreachable") == 0;
  if (!route.unreachable && std::strcmp(type.data(), "unicast") != 0) check.fail("type", "expected \"unicast\" or \"unreachable\"");
  route.destination = take_prefix(check, object, "destination");
  route.index = take_index(check, object, route.unreachable ? 0 : 1);
  route.table = take_u32(check, object, "table", 1);
  route.metric = take_u32(check, object, "metric");
  napi_value source = check.property(object, "source");
  if (check.valid() && !check.is_nullish(source)) route.source = check.address(source, "source");
  if (route.source.size != 0 && route.source.size != route.destination.address.size) check.fail("source", "not of the destination's family");
  return route;
}

// A table number of more than eight bits travels in an attribute only.
uint8_t short_table(uint32_t table) { return table < 256 ? static_cast<uint8_t>(table) : static_cast<uint8_t>(RT_TABLE_UNSPEC); }

Request route_request(const Route& route, uint16_t type, uint16_t flags) {
  const bool removing = type == RTM_DELROUTE;
  rtmsg body{};
  body.rtm_family = family_of(route.destination.address);
  body.rtm_dst_len = route.destination.bits;
  body.rtm_table = short_table(route.table);
  body.rtm_type = route.unreachable ? RTN_UNREACHABLE : RTN_UNICAST;
  // As ip-route(8) does: deletion matches any scope and origin.
  body.rtm_protocol = removing ? static_cast<uint8_t>(RTPROT_UNSPEC) : route_protocol;
  body.rtm_scope = removing ? RT_SCOPE_NOWHERE : route.unreachable ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  Request request(type, flags, body);
  request.attribute(RTA_DST, route.destination.address.bytes());
  request.attribute_u32(RTA_TABLE, route.table);
  if (route.metric != 0) request.attribute_u32(RTA_PRIORITY, route.metric);
  if (!route.unreachable) request.attribute_u32(RTA_OIF, route.index);
  if (route.source.size != 0) request.attribute(RTA_PREFSRC, route.source.bytes());
  return request;
}

struct Rule {
  uint8_t family = AF_INET;
  uint32_t priority = 0;
  uint32_t table = 0;
  uint32_t mark = 0;
  bool invert = false;
  // Longest prefix of routes that are passed over; -1: none.
  int64_t suppress = -1;
  Prefix from;
  Prefix to;
};

Prefix take_selector(Check& check, napi_value object, const char* name, uint8_t family) {
  napi_value selector = check.property(object, name);
  if (!check.valid() || check.is_nullish(selector)) return {};
  const Prefix prefix = take_prefix(check, check.object(selector, name), "address");
  if (check.valid() && family_of(prefix.address) != family) check.fail(name, "not of the rule's family");
  return prefix;
}

Rule take_rule(Check& check, napi_value argument) {
  Rule rule;
  napi_value object = check.object(argument, "options");
  const int64_t family = check.integer(check.property(object, "family"), "family", 4, 6);
  if (family == 5) check.fail("family", "expected 4 or 6");
  rule.family = family == 6 ? AF_INET6 : AF_INET;
  rule.priority = take_u32(check, object, "priority");
  rule.table = take_u32(check, object, "table", 1);
  napi_value mark = check.property(object, "mark");
  if (check.valid() && !check.is_nullish(mark)) rule.mark = static_cast<uint32_t>(check.integer(mark, "mark", 0, UINT32_MAX));
  napi_value invert = check.property(object, "invert");
  if (check.valid() && !check.is_nullish(invert)) rule.invert = check.boolean(invert, "invert");
  napi_value suppress = check.property(object, "suppressPrefixBits");
  if (check.valid() && !check.is_nullish(suppress)) rule.suppress = check.integer(suppress, "suppressPrefixBits", 0, 128);
  rule.from = take_selector(check, object, "from", rule.family);
  rule.to = take_selector(check, object, "to", rule.family);
  return rule;
}

Request rule_request(const Rule& rule, uint16_t type, uint16_t flags) {
  fib_rule_hdr body{};
  body.family = rule.family;
  body.src_len = rule.from.bits;
  body.dst_len = rule.to.bits;
  body.table = short_table(rule.table);
  body.action = FR_ACT_TO_TBL;
  if (rule.invert) body.flags |= FIB_RULE_INVERT;
  Request request(type, flags, body);
  request.attribute_u32(FRA_PRIORITY, rule.priority);
  request.attribute_u32(FRA_TABLE, rule.table);
  if (rule.mark != 0) request.attribute_u32(FRA_FWMARK, rule.mark);
  if (rule.suppress >= 0) request.attribute_u32(FRA_SUPPRESS_PREFIXLEN, static_cast<uint32_t>(rule.suppress));
  if (rule.from.bits != 0) request.attribute(FRA_SRC, rule.from.address.bytes());
  if (rule.to.bits != 0) request.attribute(FRA_DST, rule.to.address.bytes());
  const uint8_t protocol = route_protocol;
  request.attribute(FRA_PROTOCOL, std::span(&protocol, 1));
  return request;
}

napi_value change_route(napi_env env, napi_callback_info info, bool removing) {
  Check check(env);
  Arguments arguments(env, info);
  const Route route = take_route(check, arguments[0]);
  if (!check.valid()) return nullptr;
  Request request = removing ? route_request(route, RTM_DELROUTE, NLM_F_ACK)
                             : route_request(route, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE);
  NetlinkResult result = Environment::of(env).netlink.acknowledge(request);
  // An interface that is gone took its routes along.
  if (removing && (result.error == ESRCH || result.error == ENODEV || result.error == ENOENT)) result.error = 0;
  return finish_request(env, result, removing ? "RTM_DELROUTE" : "RTM_NEWROUTE");
}

napi_value change_rule(napi_env env, napi_callback_info info, bool removing) {
  Check check(env);
  Arguments arguments(env, info);
  const Rule rule = take_rule(check, arguments[0]);
  if (!check.valid()) return nullptr;
  Request request = removing ? rule_request(rule, RTM_DELRULE, NLM_F_ACK)
                             : rule_request(rule, RTM_NEWRULE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
  NetlinkResult result = Environment::of(env).netlink.acknowledge(request);
  const bool changed = result.error == 0;
  if (result.error == (removing ? ENOENT : EEXIST)) result.error = 0;
  if (result.error != 0) return finish_request(env, result, removing ? "RTM_DELRULE" : "RTM_NEWRULE");
  napi_value answer = nullptr;
  return napi_get_boolean(env, changed, &answer) == napi_ok ? answer : nullptr;
}

}  // namespace

napi_value interface_index(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  std::array<char, IF_NAMESIZE> name{};
  check.text(arguments[0], "name", name);
  if (!check.valid()) return nullptr;
  const unsigned index = if_nametoindex(name.data());
  return index == 0 ? throw_system(env, errno, "if_nametoindex", name.data()) : make_integer(env, index);
}

napi_value set_link(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  napi_value options = check.object(arguments[0], "options");
  ifinfomsg body = link_of(check, options);
  body.ifi_flags = check.boolean(check.property(options, "up"), "up") ? static_cast<unsigned>(IFF_UP) : 0;
  body.ifi_change = IFF_UP;
  const auto mtu = static_cast<uint32_t>(check.integer(check.property(options, "mtu"), "mtu", 0, 65'535));
  if (!check.valid()) return nullptr;
  Request request(RTM_NEWLINK, NLM_F_ACK, body);
  if (mtu != 0) request.attribute_u32(IFLA_MTU, mtu);
  return finish_request(env, Environment::of(env).netlink.acknowledge(request), "RTM_NEWLINK");
}

napi_value set_trains(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  napi_value options = check.object(arguments[0], "options");
  ifinfomsg body = link_of(check, options);
  const auto segments = static_cast<uint32_t>(check.integer(check.property(options, "segments"), "segments", 1, 65'535));
  const auto bytes = static_cast<uint32_t>(check.integer(check.property(options, "bytes"), "bytes", 1, 65'536));
  if (!check.valid()) return nullptr;
  Request request(RTM_NEWLINK, NLM_F_ACK, body);
  request.attribute_u32(IFLA_GSO_MAX_SEGS, segments);
  request.attribute_u32(IFLA_GSO_MAX_SIZE, bytes);
  return finish_request(env, Environment::of(env).netlink.acknowledge(request), "RTM_NEWLINK");
}

napi_value add_address(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  napi_value options = check.object(arguments[0], "options");
  const uint32_t index = take_index(check, options, 1);
  const Prefix prefix = take_prefix(check, options, "address");
  if (!check.valid()) return nullptr;
  ifaddrmsg body{};
  body.ifa_family = family_of(prefix.address);
  body.ifa_prefixlen = prefix.bits;
  body.ifa_index = index;
  // Nobody else is on a TUN to have the address; without this the kernel holds it back for a moment, and a bind to it fails.
  if (body.ifa_family == AF_INET6) body.ifa_flags = IFA_F_NODAD;
  Request request(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, body);
  request.attribute(IFA_LOCAL, prefix.address.bytes());
  request.attribute(IFA_ADDRESS, prefix.address.bytes());
  return finish_request(env, Environment::of(env).netlink.acknowledge(request), "RTM_NEWADDR");
}

napi_value set_route(napi_env env, napi_callback_info info) { return change_route(env, info, false); }
napi_value remove_route(napi_env env, napi_callback_info info) { return change_route(env, info, true); }
napi_value set_rule(napi_env env, napi_callback_info info) { return change_rule(env, info, false); }
napi_value remove_rule(napi_env env, napi_callback_info info) { return change_rule(env, info, true); }

}  // namespace i3io
