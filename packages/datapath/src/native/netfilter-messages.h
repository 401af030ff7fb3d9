// What netfilter tells by netlink, read from bytes that nothing is assumed of: packets that rules log (NFLOG), and entries of conntrack.
//
//     nlmsghdr | nfgenmsg (family 1, version 1, resource 2) | attributes, numbers big-endian
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "netlink.h"

namespace i3io {

using Octets = std::span<const uint8_t>;

// Views into the message.
struct LoggedPacket {
  uint8_t family = 0;  // AF_INET, AF_INET6, or one of netfilter's own
  uint8_t hook = 0;
  uint16_t hardware_protocol = 0;
  uint32_t mark = 0;
  uint32_t in_index = 0;  // 0: none
  uint32_t out_index = 0;
  uint32_t sequence = 0;
  std::string_view prefix;
  Octets packet;
};

// The kernel's longest is 127 (NF_LOG_PREFIXLEN); nft 1.0.6 dies of its own longer ones.
constexpr size_t max_log_prefix = 127;

struct ConntrackTuple {
  Octets source;  // 4 or 16 bytes, as the entry's family
  Octets destination;
  uint8_t protocol = 0;
  // 0 where the protocol has no such thing.
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  uint16_t icmp_id = 0;
  uint8_t icmp_type = 0;
  uint8_t icmp_code = 0;
};

struct ConntrackEntry {
  uint8_t family = 0;  // AF_INET or AF_INET6
  ConntrackTuple original;
  ConntrackTuple reply;
  uint32_t mark = 0;
  uint32_t id = 0;
  uint32_t status = 0;  // IPS_… of linux/netfilter/nf_conntrack_common.h
  uint16_t zone = 0;
};

constexpr uint16_t netfilter_type(uint8_t subsystem, uint8_t message) { return static_cast<uint16_t>(subsystem << 8 | message); }

bool is_logged_packet(const NetlinkMessage& message);
bool is_conntrack_entry(const NetlinkMessage& message);
// Nothing: the message is not as the kernel makes it.
std::optional<LoggedPacket> read_logged_packet(const NetlinkMessage& message);
std::optional<ConntrackEntry> read_conntrack_entry(const NetlinkMessage& message);

// Of the address from or to which the connection was begun or is answered: its original source, or its reply source or destination.
bool concerns(const ConntrackEntry& entry, Octets address);

}  // namespace i3io
