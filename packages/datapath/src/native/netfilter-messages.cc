#include "netfilter-messages.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <sys/socket.h>

#include <algorithm>

namespace i3io {
namespace {

// Attributes of fixed size; false: of another one.
bool take8(Octets value, uint8_t& out) {
  if (value.size() != 1) return false;
  out = value[0];
  return true;
}
bool take16(Octets value, uint16_t& out) {
  if (value.size() != sizeof out) return false;
  out = ntohs(read_as<uint16_t>(value));
  return true;
}
bool take32(Octets value, uint32_t& out) {
  if (value.size() != sizeof out) return false;
  out = ntohl(read_as<uint32_t>(value));
  return true;
}
bool take_address(Octets value, size_t size, Octets& out) {
  out = value;
  return value.size() == size;
}

bool take_packet_header(Octets value, LoggedPacket& logged) {
  if (value.size() != sizeof(nfulnl_msg_packet_hdr)) return false;
  const auto header = read_as<nfulnl_msg_packet_hdr>(value);
  logged.hardware_protocol = ntohs(header.hw_protocol);
  logged.hook = header.hook;
  return true;
}

std::string_view text_of(Octets value) {
  const std::string_view text(reinterpret_cast<const char*>(value.data()), value.size());
  return text.substr(0, std::min(text.find('\0'), max_log_prefix));
}

bool take_log_attribute(uint16_t type, Octets value, LoggedPacket& logged) {
  switch (type) {
    case NFULA_PACKET_HDR: return take_packet_header(value, logged);
    case NFULA_MARK: return take32(value, logged.mark);
    case NFULA_IFINDEX_INDEV: return take32(value, logged.in_index);
    case NFULA_IFINDEX_OUTDEV: return take32(value, logged.out_index);
    case NFULA_SEQ: return take32(value, logged.sequence);
    case NFULA_PREFIX: logged.prefix = text_of(value); return true;
    case NFULA_PAYLOAD: logged.packet = value; return true;
    default: return true;
  }
}

bool take_addresses(Octets attributes, size_t size, ConntrackTuple& tuple) {
  bool fits = true;
  const bool is_whole = for_each_attribute(attributes, [&](uint16_t type, Octets value) {
    if (type == CTA_IP_V4_SRC || type == CTA_IP_V6_SRC) fits = take_address(value, size, tuple.source) && fits;
    if (type == CTA_IP_V4_DST || type == CTA_IP_V6_DST) fits = take_address(value, size, tuple.destination) && fits;
  });
  return is_whole && fits;
}

bool take_transport_attribute(uint16_t type, Octets value, ConntrackTuple& tuple) {
  switch (type) {
    case CTA_PROTO_NUM: return take8(value, tuple.protocol);
    case CTA_PROTO_SRC_PORT: return take16(value, tuple.source_port);
    case CTA_PROTO_DST_PORT: return take16(value, tuple.destination_port);
    case CTA_PROTO_ICMP_ID:
    case CTA_PROTO_ICMPV6_ID: return take16(value, tuple.icmp_id);
    case CTA_PROTO_ICMP_TYPE:
    case CTA_PROTO_ICMPV6_TYPE: return take8(value, tuple.icmp_type);
    case CTA_PROTO_ICMP_CODE:
    case CTA_PROTO_ICMPV6_CODE: return take8(value, tuple.icmp_code);
    default: return true;
  }
}

bool take_transport(Octets attributes, ConntrackTuple& tuple) {
  bool fits = true;
  const bool is_whole = for_each_attribute(attributes, [&](uint16_t type, Octets value) { fits = take_transport_attribute(type, value, tuple) && fits; });
  return is_whole && fits;
}

bool take_tuple(Octets attributes, size_t size, ConntrackTuple& tuple) {
  bool fits = true;
  const bool is_whole = for_each_attribute(attributes, [&](uint16_t type, Octets value) {
    if (type == CTA_TUPLE_IP) fits = take_addresses(value, size, tuple) && fits;
    if (type == CTA_TUPLE_PROTO) fits = take_transport(value, tuple) && fits;
  });
  return is_whole && fits && !tuple.source.empty() && !tuple.destination.empty();
}

bool take_entry_attribute(uint16_t type, Octets value, size_t size, ConntrackEntry& entry) {
  switch (type) {
    case CTA_TUPLE_ORIG: return take_tuple(value, size, entry.original);
    case CTA_TUPLE_REPLY: return take_tuple(value, size, entry.reply);
    case CTA_MARK: return take32(value, entry.mark);
    case CTA_ID: return take32(value, entry.id);
    case CTA_STATUS: return take32(value, entry.status);
    case CTA_ZONE: return take16(value, entry.zone);
    default: return true;
  }
}

}  // namespace

bool is_logged_packet(const NetlinkMessage& message) { return message.type == netfilter_type(NFNL_SUBSYS_ULOG, NFULNL_MSG_PACKET); }

bool is_conntrack_entry(const NetlinkMessage& message) { return message.type == netfilter_type(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_NEW); }

std::optional<LoggedPacket> read_logged_packet(const NetlinkMessage& message) {
  if (message.body.size() < sizeof(nfgenmsg)) return std::nullopt;
  LoggedPacket logged;
  logged.family = read_as<nfgenmsg>(message.body).nfgen_family;
  bool fits = true;
  bool has_header = false;
  const bool is_whole = for_each_attribute(after<nfgenmsg>(message.body), [&](uint16_t type, Octets value) {
    fits = take_log_attribute(type, value, logged) && fits;
    has_header = has_header || type == NFULA_PACKET_HDR;
  });
  return is_whole && fits && has_header ? std::optional(logged) : std::nullopt;
}

std::optional<ConntrackEntry> read_conntrack_entry(const NetlinkMessage& message) {
  if (message.body.size() < sizeof(nfgenmsg)) return std::nullopt;
  ConntrackEntry entry;
  entry.family = read_as<nfgenmsg>(message.body).nfgen_family;
  if (entry.family != AF_INET && entry.family != AF_INET6) return std::nullopt;
  const size_t size = entry.family == AF_INET ? 4 : 16;
  bool fits = true;
  const bool is_whole = for_each_attribute(after<nfgenmsg>(message.body), [&](uint16_t type, Octets value) { fits = take_entry_attribute(type, value, size, entry) && fits; });
  const bool has_both = !entry.original.source.empty() && !entry.reply.source.empty();
  return is_whole && fits && has_both ? std::optional(entry) : std::nullopt;
}

bool concerns(const ConntrackEntry& entry, Octets address) {
  const auto is = [address](Octets other) { return std::ranges::equal(address, other); };
  return is(entry.original.source) || is(entry.reply.source) || is(entry.reply.destination);
}

}  // namespace i3io
