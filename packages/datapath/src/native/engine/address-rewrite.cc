#include "address-rewrite.h"

#include "checksum.h"

namespace i3 {
namespace {

namespace icmp {
constexpr size_t type = 0, checksum = 2, quote = icmp_quote;
}

uint32_t field_delta(Bytes before, Bytes after) {
  uint32_t sum = 0;
  for (size_t at = 0; at < before.size(); at += 2) sum += word_delta(u16(before, at), u16(after, at));
  return fold(sum);
}

void copy_address(std::array<uint8_t, 16>& into, Bytes from) { copy_to(into, 0, from); }

struct Change {
  unsigned version;
  uint8_t next;
  uint32_t delta;
  uint32_t quote_delta;
  ChecksumState state;
};

// Updates the transport checksum at `header` when both its bytes are in the packet. Returns the delta of the checksum itself.
uint32_t adjust_transport(MutableBytes packet, size_t header, const Change& change) {
  if (change.next == protocol::tcp && header + tcp::checksum + 2 <= packet.size()) {
    if (change.state != ChecksumState::partial) return adjust_checksum(packet, header + tcp::checksum, change.delta);
    adjust_partial(packet, header + tcp::checksum, change.delta);
    return 0;
  }
  if (change.next == protocol::udp && header + udp::checksum + 2 <= packet.size()) {
    if (change.state != ChecksumState::partial) return adjust_udp_checksum(packet, header + udp::checksum, change.delta);
    adjust_partial(packet, header + udp::checksum, change.delta);
    return 0;
  }
  if (header + icmp::checksum + 2 > packet.size()) return 0;
  if (change.version == 6 && change.next == protocol::icmp6) {
    return adjust_checksum(packet, header + icmp::checksum, fold(uint64_t{change.delta} + change.quote_delta));
  }
  // ICMP over IPv4 has no pseudo-header; without a change inside there is nothing to update.
  if (change.version == 4 && change.next == protocol::icmp && change.quote_delta != 0) {
    return adjust_checksum(packet, header + icmp::checksum, change.quote_delta);
  }
  return 0;
}

// Rewrites the packet that an ICMP error quotes, which went back. Returns the delta of all it changed, 0 for nothing.
uint32_t rewrite_quote(MutableBytes packet, size_t header, unsigned version, uint8_t next, const RewritePlan& plan) {
  if (!is_quoting_error(packet, header, version, next)) return 0;
  const MutableBytes quote = packet.subspan(header + icmp::quote);
  copy_to(quote, source_offset(version), plan.view(plan.destination_to));
  // A source that stays may be another than the one the error is about (docs/datapath.md, "Behind a peer").
  if (plan.source_from != plan.source_to) copy_to(quote, destination_offset(version), plan.view(plan.source_to));
  const uint32_t header_delta = version == 4 ? adjust_checksum(quote, ipv4::checksum, plan.delta) : 0;
  const Transport transport = find_transport(quote);
  uint32_t transport_delta = 0;
  if (transport.found()) {
    transport_delta = adjust_transport(quote, transport.offset, {version, transport.protocol, plan.delta, 0, ChecksumState::complete});
  }
  return fold(uint64_t{plan.delta} + header_delta + transport_delta);
}

}  // namespace

RewritePlan RewritePlan::from_pairs(Bytes pairs) {
  RewritePlan plan;
  const size_t size = pairs.size() / 4;
  plan.address_size = static_cast<uint8_t>(size);
  copy_address(plan.source_from, part(pairs, 0, size));
  copy_address(plan.source_to, part(pairs, size, size));
  copy_address(plan.destination_from, part(pairs, 2 * size, size));
  copy_address(plan.destination_to, part(pairs, 3 * size, size));
  plan.settle();
  return plan;
}

void RewritePlan::settle() {
  changes = source_from != source_to || destination_from != destination_to;
  delta = fold(uint64_t{field_delta(view(source_from), view(source_to))} + field_delta(view(destination_from), view(destination_to)));
}

RewritePlan RewritePlan::keeping(Side side, Bytes address) const {
  RewritePlan plan = *this;
  auto& from = side == Side::source ? plan.source_from : plan.destination_from;
  copy_address(from, address);
  (side == Side::source ? plan.source_to : plan.destination_to) = from;
  plan.settle();
  return plan;
}

bool is_quoting_error(Bytes packet, size_t at, unsigned version, uint8_t next) {
  if (at + icmp::type >= packet.size()) return false;
  const uint8_t type = u8(packet, at + icmp::type);
  return version == 4 ? next == protocol::icmp && is_icmp_error4(type) : next == protocol::icmp6 && quotes_packet6(type);
}

bool matches_plan(Bytes packet, const RewritePlan& plan) {
  return equal(source_of(packet), plan.view(plan.source_from)) && equal(destination_of(packet), plan.view(plan.destination_from));
}

std::optional<Bytes> quoted_destination(Bytes packet, const Transport& transport, const RewritePlan& plan) {
  const unsigned version = inner_version(packet);
  if (!transport.found() || !is_quoting_error(packet, transport.offset, version, transport.protocol)) return std::nullopt;
  const size_t at = transport.offset + icmp::quote;
  const size_t header_bytes = version == 4 ? ipv4::min_bytes : ipv6::header_bytes;
  if (at + header_bytes > packet.size()) return Bytes();
  const Bytes quote = packet.subspan(at);
  if (inner_version(quote) != version || (version == 4 && ipv4_header_bytes(quote) < header_bytes)) return Bytes();
  return equal(source_of(quote), plan.view(plan.destination_from)) ? destination_of(quote) : Bytes();
}

bool is_error_about_others(Bytes packet, const Transport& transport, const RewritePlan& plan) {
  const auto quoted = quoted_destination(packet, transport, plan);
  return quoted && !equal(*quoted, plan.view(plan.source_from));
}

void rewrite_addresses(MutableBytes packet, const Transport& transport, const RewritePlan& plan, const RewritePlan& quoted, ChecksumState state) {
  if (!plan.changes) return;
  const unsigned version = inner_version(packet);
  copy_to(packet, source_offset(version), plan.view(plan.source_to));
  copy_to(packet, destination_offset(version), plan.view(plan.destination_to));
  if (version == 4) adjust_checksum(packet, ipv4::checksum, plan.delta);
  if (!transport.found()) return;
  const uint32_t quote_delta = rewrite_quote(packet, transport.offset, version, transport.protocol, quoted);
  adjust_transport(packet, transport.offset, {version, transport.protocol, plan.delta, quote_delta, state});
}

}  // namespace i3
