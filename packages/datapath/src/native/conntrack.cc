#include "conntrack.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <climits>

#include "datagram-views.h"
#include "environment.h"
#include "netfilter-messages.h"
#include "system-error.h"

namespace i3io {
namespace {

// The kernel fills at most 32 KiB, some 200 entries, for one read of a dump.
constexpr size_t datagram_bytes = 64 * 1024;
constexpr uint32_t dump_sequence = 1;

nfgenmsg header_of(uint8_t family) {
  nfgenmsg header{};
  header.nfgen_family = family;
  header.version = NFNETLINK_V0;
  return header;
}

napi_value make_tuple(napi_env env, const ConntrackTuple& tuple, const DatagramViews& views) {
  napi_value object = nullptr;
  napi_create_object(env, &object);
  set_property(env, object, "source", views.view(tuple.source));
  set_property(env, object, "destination", views.view(tuple.destination));
  set_property(env, object, "sourcePort", make_integer(env, tuple.source_port));
  set_property(env, object, "destinationPort", make_integer(env, tuple.destination_port));
  set_property(env, object, "icmpType", make_integer(env, tuple.icmp_type));
  set_property(env, object, "icmpCode", make_integer(env, tuple.icmp_code));
  set_property(env, object, "icmpId", make_integer(env, tuple.icmp_id));
  return object;
}

napi_value make_entry(napi_env env, const ConntrackEntry& entry, const DatagramViews& views) {
  napi_value object = nullptr;
  napi_create_object(env, &object);
  set_property(env, object, "family", make_integer(env, entry.family == AF_INET ? 4 : 6));
  set_property(env, object, "protocol", make_integer(env, entry.original.protocol));
  set_property(env, object, "original", make_tuple(env, entry.original, views));
  set_property(env, object, "reply", make_tuple(env, entry.reply, views));
  set_property(env, object, "mark", make_integer(env, entry.mark));
  set_property(env, object, "id", make_integer(env, entry.id));
  set_property(env, object, "status", make_integer(env, entry.status));
  set_property(env, object, "zone", make_integer(env, entry.zone));
  return object;
}

struct DumpPart {
  uint32_t count = 0;
  int64_t malformed = 0;
  bool is_done = false;
  int error = 0;
};

// Appends the entries of one datagram that concern `address`, or all when there is none.
DumpPart make_entries(napi_env env, std::span<const uint8_t> datagram, const Address& address, napi_value entries) {
  const DatagramViews views(env, datagram);
  DumpPart part;
  const bool is_whole = for_each_message(datagram, [&](const NetlinkMessage& message) {
    if (message.sequence != dump_sequence) return;
    if (message.type == NLMSG_ERROR) part.error = -read_as<nlmsgerr>(message.body).error;
    // NLMSG_DONE: | int: 0, or a negative errno |
    if (message.type == NLMSG_DONE) part.error = -read_as<int>(message.body);
    if (message.type == NLMSG_DONE || message.type == NLMSG_ERROR) part.is_done = true;
    if (!is_conntrack_entry(message)) return;
    const auto entry = read_conntrack_entry(message);
    napi_handle_scope scope = nullptr;
    if (!entry) part.malformed++;
    if (!entry || (address.size != 0 && !concerns(*entry, address.bytes())) || napi_open_handle_scope(env, &scope) != napi_ok) return;
    napi_set_element(env, entries, part.count++, make_entry(env, *entry, views));
    napi_close_handle_scope(env, scope);
  });
  if (!is_whole) part.malformed++;
  return part;
}

struct Deletion {
  Address source;
  Address destination;
  uint8_t protocol = 0;
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  uint16_t icmp_id = 0;
  uint8_t icmp_type = 0;
  uint8_t icmp_code = 0;
  uint32_t id = 0;
  uint16_t zone = 0;

  uint8_t family() const { return source.size == 4 ? AF_INET : AF_INET6; }
};

Deletion take_deletion(Check& check, napi_value argument) {
  Deletion deletion;
  napi_value entry = check.object(argument, "entry");
  napi_value tuple = check.object(check.property(entry, "original"), "original");
  const auto take = [&check](napi_value object, const char* name, int64_t maximum) { return check.integer(check.property(object, name), name, 0, maximum); };
  deletion.protocol = static_cast<uint8_t>(take(entry, "protocol", UINT8_MAX));
  deletion.id = static_cast<uint32_t>(take(entry, "id", UINT32_MAX));
  deletion.zone = static_cast<uint16_t>(take(entry, "zone", UINT16_MAX));
  deletion.source_port = static_cast<uint16_t>(take(tuple, "sourcePort", UINT16_MAX));
  deletion.destination_port = static_cast<uint16_t>(take(tuple, "destinationPort", UINT16_MAX));
  deletion.icmp_id = static_cast<uint16_t>(take(tuple, "icmpId", UINT16_MAX));
  deletion.icmp_type = static_cast<uint8_t>(take(tuple, "icmpType", UINT8_MAX));
  deletion.icmp_code = static_cast<uint8_t>(take(tuple, "icmpCode", UINT8_MAX));
  deletion.source = check.address(check.property(tuple, "source"), "source");
  deletion.destination = check.address(check.property(tuple, "destination"), "destination");
  if (deletion.source.size != deletion.destination.size) check.fail("destination", "not of the source's family");
  return deletion;
}

void add_transport(Request& request, const Deletion& deletion) {
  const size_t transport = request.begin_nest(CTA_TUPLE_PROTO);
  request.attribute_of(CTA_PROTO_NUM, deletion.protocol);
  if (deletion.protocol == IPPROTO_ICMP) {
    request.attribute_of(CTA_PROTO_ICMP_ID, htons(deletion.icmp_id));
    request.attribute_of(CTA_PROTO_ICMP_TYPE, deletion.icmp_type);
    request.attribute_of(CTA_PROTO_ICMP_CODE, deletion.icmp_code);
  } else if (deletion.protocol == IPPROTO_ICMPV6) {
    request.attribute_of(CTA_PROTO_ICMPV6_ID, htons(deletion.icmp_id));
    request.attribute_of(CTA_PROTO_ICMPV6_TYPE, deletion.icmp_type);
    request.attribute_of(CTA_PROTO_ICMPV6_CODE, deletion.icmp_code);
  } else {
    // Protocols without ports do not look at them.
    request.attribute_of(CTA_PROTO_SRC_PORT, htons(deletion.source_port));
    request.attribute_of(CTA_PROTO_DST_PORT, htons(deletion.destination_port));
  }
  request.end_nest(transport);
}

// A request without a tuple would delete everything; Request is sent whole or not at all.
Request delete_request(const Deletion& deletion) {
  Request request(netfilter_type(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE), NLM_F_ACK, header_of(deletion.family()));
  const bool is_v4 = deletion.family() == AF_INET;
  const size_t tuple = request.begin_nest(CTA_TUPLE_ORIG);
  const size_t addresses = request.begin_nest(CTA_TUPLE_IP);
  request.attribute(is_v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, deletion.source.bytes());
  request.attribute(is_v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, deletion.destination.bytes());
  request.end_nest(addresses);
  add_transport(request, deletion);
  request.end_nest(tuple);
  request.attribute_u32(CTA_ID, htonl(deletion.id));
  if (deletion.zone != 0) request.attribute_of(CTA_ZONE, htons(deletion.zone));
  return request;
}

}  // namespace

napi_value open_conntrack_dump(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  const int64_t family = check.integer(arguments[0], "family", 4, 6);
  if (family == 5) check.fail("family", "expected 4 or 6");
  if (!check.valid()) return nullptr;
  UniqueFd fd = open_netlink(NETLINK_NETFILTER);
  if (!fd) return throw_system(env, errno, "socket");
  Request request(netfilter_type(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET), NLM_F_DUMP, header_of(family == 4 ? AF_INET : AF_INET6));
  if (const int error = send_to_kernel(fd.get(), request, dump_sequence)) return throw_system(env, error, "IPCTNL_MSG_CT_GET");
  return give_descriptor(env, std::move(fd), Kind::conntrack);
}

napi_value read_conntrack_dump(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  const int fd = static_cast<int>(check.integer(arguments[0], "fd", 0, INT_MAX));
  Address address;
  if (check.valid() && !check.is_nullish(arguments[1])) address = check.address(arguments[1], "address");
  Kind kind{};
  if (!Environment::of(env).owns(check, fd, "recvfrom", &kind)) return nullptr;
  if (kind != Kind::conntrack) check.fail("fd", "not a dump of conntrack");
  if (!check.valid()) return nullptr;
  alignas(nlmsghdr) std::array<uint8_t, datagram_bytes> buffer;
  // The kernel has put the next part there within the last call.
  const std::span<const uint8_t> datagram = receive_from_kernel(fd, buffer, MSG_DONTWAIT);
  if (datagram.empty()) return throw_system(env, errno, "recvfrom");
  napi_value object = nullptr;
  napi_value entries = nullptr;
  napi_value is_done = nullptr;
  napi_create_object(env, &object);
  napi_create_array(env, &entries);
  const DumpPart part = make_entries(env, datagram, address, entries);
  if (part.error != 0) return throw_system(env, part.error, "IPCTNL_MSG_CT_GET");
  napi_get_boolean(env, part.is_done, &is_done);
  set_property(env, object, "entries", entries);
  set_property(env, object, "malformed", make_integer(env, part.malformed));
  set_property(env, object, "isDone", is_done);
  return object;
}

napi_value delete_conntrack(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  const Deletion deletion = take_deletion(check, arguments[0]);
  if (!check.valid()) return nullptr;
  Request request = delete_request(deletion);
  const NetlinkResult result = Environment::of(env).netfilter.acknowledge(request);
  if (result.error != 0 && result.error != ENOENT) return finish_request(env, result, "IPCTNL_MSG_CT_DELETE");
  napi_value was_there = nullptr;
  napi_get_boolean(env, result.error == 0, &was_there);
  return was_there;
}

}  // namespace i3io
