#include "icmp-errors.h"

#include <algorithm>

#include "checksum.h"

namespace i3 {
namespace {

// RFC 1812 §4.3.2.3: 576 bytes in all; RFC 4443 §2.4 c: the minimum MTU in all.
constexpr size_t max_quote4 = 548, max_quote6 = 1'232, icmp_header_bytes = 8;
constexpr uint8_t ttl = 64;

void put_icmp(MutableBytes icmp, uint8_t type, uint8_t code, uint16_t mtu, Bytes quote, uint32_t pseudo) {
  fill_zero(icmp.first(icmp_header_bytes));
  put8(icmp, 0, type);
  put8(icmp, 1, code);
  put16(icmp, 6, mtu);
  copy_to(icmp, icmp_header_bytes, quote);
  put16(icmp, 2, static_cast<uint16_t>(~fold(uint64_t{pseudo} + sum_words(icmp))));
}

MutableBytes make_error4(MutableBytes out, const IcmpError& error, Bytes packet) {
  const Bytes quote = packet.first(std::min(packet.size(), max_quote4));
  const MutableBytes answer = part(out, 0, ipv4::min_bytes + icmp_header_bytes + quote.size());
  fill_zero(answer.first(ipv4::min_bytes));
  put8(answer, 0, 0x45);
  put16(answer, ipv4::total_length, static_cast<unsigned>(answer.size()));
  // Never fragmented, so its identification may be 0 (RFC 6864 §4.1).
  put16(answer, ipv4::fragment, ipv4::dont_fragment);
  put8(answer, ipv4::ttl, ttl);
  put8(answer, ipv4::protocol, protocol::icmp);
  copy_to(answer, ipv4::source, destination_of(packet));
  copy_to(answer, ipv4::destination, source_of(packet));
  put16(answer, ipv4::checksum, static_cast<uint16_t>(~sum_words(answer.first(ipv4::min_bytes))));
  put_icmp(answer.subspan(ipv4::min_bytes), error.type4, error.code4, error.mtu, quote, 0);
  return answer;
}

MutableBytes make_error6(MutableBytes out, const IcmpError& error, Bytes packet) {
  const Bytes quote = packet.first(std::min(packet.size(), max_quote6));
  const size_t payload = icmp_header_bytes + quote.size();
  const MutableBytes answer = part(out, 0, ipv6::header_bytes + payload);
  fill_zero(answer.first(ipv6::header_bytes));
  put8(answer, 0, 0x60);
  put16(answer, ipv6::payload_length, static_cast<unsigned>(payload));
  put8(answer, ipv6::next_header, protocol::icmp6);
  put8(answer, ipv6::hop_limit, ttl);
  copy_to(answer, ipv6::source, destination_of(packet));
  copy_to(answer, ipv6::destination, source_of(packet));
  const uint32_t pseudo = uint32_t{sum_words(answer.subspan(ipv6::source, 32))} + static_cast<uint32_t>(payload) + protocol::icmp6;
  put_icmp(answer.subspan(ipv6::header_bytes), error.type6, error.code6, error.mtu, quote, pseudo);
  return answer;
}

}  // namespace

bool may_be_answered(Bytes packet) {
  if (!is_single_host_source(packet) || is_unassignable(packet)) return false;
  const Transport transport = find_transport(packet);
  if (!transport.found()) return false;
  const bool is_v4 = inner_version(packet) == 4;
  if (transport.protocol != (is_v4 ? protocol::icmp : protocol::icmp6)) return true;
  if (transport.offset >= packet.size()) return false;
  const uint8_t type = u8(packet, transport.offset);
  return is_v4 ? !is_icmp_error4(type) : !is_icmp_error6(type);
}

MutableBytes make_icmp_error(MutableBytes out, const IcmpError& error, Bytes packet) {
  return inner_version(packet) == 4 ? make_error4(out, error, packet) : make_error6(out, error, packet);
}

}  // namespace i3
