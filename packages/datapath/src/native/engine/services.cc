#include "services.h"

#include <algorithm>

#include "address-rewrite.h"
#include "limits.h"

namespace i3 {
namespace {

constexpr size_t ports_bytes = 4, range_bytes = 4, rule_header_bytes = 3;

// TCP, UDP, DCCP, SCTP, UDP-Lite: source and destination port are the first four bytes.
bool has_ports(uint8_t next) { return next == protocol::tcp || next == protocol::udp || next == 33 || next == 132 || next == 136; }

}  // namespace

std::optional<Services> Services::parse(Bytes packed, uint8_t rest) {
  if (rest > refused_strength) return std::nullopt;
  Services made;
  made.rest_ = rest;
  for (size_t at = 0; at < packed.size();) {
    if (made.rules_.size() == limits::services_per_flow || packed.size() - at < rule_header_bytes) return std::nullopt;
    const uint8_t next = packed[at], strength = packed[at + 1], count = packed[at + 2];
    at += rule_header_bytes;
    const bool fits = strength <= strongest && count <= limits::port_ranges_per_service && (count == 0 || has_ports(next)) && packed.size() - at >= count * range_bytes;
    if (!fits) return std::nullopt;
    made.rules_.push_back({next, strength, static_cast<uint16_t>(made.ranges_.size()), count});
    for (size_t i = 0; i < count; i++, at += range_bytes) {
      const Range range{u16(packed, at), u16(packed, at + 2)};
      if (range.first > range.last || (i > 0 && range.first <= made.ranges_.back().last)) return std::nullopt;
      made.ranges_.push_back(range);
    }
  }
  made.rules_.shrink_to_fit();
  made.ranges_.shrink_to_fit();
  return made;
}

uint8_t Services::need(Bytes packet) const { return need(selector_of(packet, false)); }
uint8_t Services::need(uint8_t protocol, Bytes message) const { return need(message_selector(protocol, message)); }

bool Services::has_port(const Rule& rule, const Selector& selector) const {
  const auto ranges = std::span(ranges_).subspan(rule.first_range, rule.range_count);
  return std::any_of(ranges.begin(), ranges.end(), [&](const Range& range) { return range.holds(selector.source) || range.holds(selector.destination); });
}

uint8_t Services::need(const Selector& selector) const {
  // -1: nothing yet.
  int most = -1;
  for (const Rule& rule : rules_) {
    if (selector.has_protocol && rule.protocol != selector.protocol) continue;
    if (!selector.has_ports) most = std::max(most, int{rule.strength});
    else if (has_port(rule, selector)) return rule.strength;
    // It takes every packet that has come so far.
    if (selector.has_protocol && rule.range_count == 0) return static_cast<uint8_t>(std::max(most, int{rule.strength}));
  }
  if (rest_ != refused_strength) most = std::max(most, int{rest_});
  return most < 0 ? refused_strength : static_cast<uint8_t>(most);
}

Services::Selector Services::message_selector(uint8_t protocol, Bytes message) {
  Selector selector;
  selector.has_protocol = true;
  selector.protocol = protocol;
  selector.has_ports = has_ports(protocol) && message.size() >= ports_bytes;
  if (!selector.has_ports) return selector;
  selector.source = u16(message, 0);
  selector.destination = u16(message, 2);
  return selector;
}

// `is_quoted`: what is seen of a packet that an ICMP error quotes, with its IP header whole.
Services::Selector Services::selector_of(Bytes packet, bool is_quoted) {
  const unsigned version = inner_version(packet);
  const Transport transport = find_transport(packet);
  if (!transport.found()) {
    // Fragments of IPv6 are put together whatever their headers say of the protocol (RFC 8200 §4.5), those of IPv4 by it (RFC 791 §3.2).
    const bool shows = transport.kind == Transport::Kind::later_fragment && version == 4;
    return shows ? message_selector(u8(packet, ipv4::protocol), {}) : Selector{};
  }
  if (is_quoting_error(packet, transport.offset, version, transport.protocol)) {
    const size_t quote = transport.offset + icmp_quote;
    return is_quoted || quote > packet.size() ? Selector{} : quoted_selector(packet.subspan(quote), version);
  }
  return message_selector(transport.protocol, packet.subspan(std::min(transport.offset, packet.size())));
}

// Another family, or less than its header, says nothing.
Services::Selector Services::quoted_selector(Bytes quote, unsigned version) {
  const size_t header_bytes = version == 4 ? ipv4::min_bytes : ipv6::header_bytes;
  if (quote.size() < header_bytes || inner_version(quote) != version) return {};
  if (version == 4 && ipv4_header_bytes(quote) < header_bytes) return {};
  return selector_of(quote, true);
}

}  // namespace i3
