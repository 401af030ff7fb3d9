#include "ip-translation.h"

#include <algorithm>

#include "checksum.h"
#include "icmp-translation.h"
#include "translation-header.h"

namespace i3 {
namespace {

// Of IPv4; and no TUN yields or takes more.
constexpr size_t max_packet_bytes = 65'535;

// Of UDP over IPv4 without a checksum, which IPv6 wants (RFC 7915 §4.5). False: there is only a part of what it covers.
bool compute_udp_checksum(MutableBytes datagram, const TranslationHeader& header, const AddressPair& after) {
  const size_t length = u16(datagram, udp::length);
  if (!header.is_whole() || length < udp::header_bytes || length > datagram.size()) return false;
  const auto sum = static_cast<uint16_t>(~fold(uint64_t{pseudo_sum_of(after, protocol::udp, length)} + sum_words(datagram.first(length))));
  put16(datagram, udp::checksum, sum == 0 ? 0xffff : sum);
  return true;
}

// False: the checksum is not there, or cannot be made.
bool mend_transport(MutableBytes segment, const TranslationHeader& header, uint32_t delta, const AddressPair& after, ChecksumState state) {
  const bool is_udp = header.next == protocol::udp;
  if (header.offset != 0 || (header.next != protocol::tcp && !is_udp)) return true;
  const size_t field = is_udp ? udp::checksum : tcp::checksum;
  if (field + 2 > segment.size()) return false;
  if (state == ChecksumState::partial) adjust_partial(segment, field, delta);
  else if (!is_udp) adjust_checksum(segment, field, delta);
  else if (header.version == 4 && u16(segment, field) == 0) return compute_udp_checksum(segment, header, after);
  else adjust_udp_checksum(segment, field, delta);
  return true;
}

}  // namespace

std::optional<size_t> translate_packet(MutableBytes out, Bytes packet, const AddressPair& before, const AddressPair& after, ChecksumState state, std::atomic<uint16_t>& identifications) {
  const auto header = read_translation_header(packet);
  if (!header || (header->version == 4 && has_refused_options4(packet))) return std::nullopt;
  const Bytes payload = packet.subspan(header->payload_at);
  const MutableBytes room = out.subspan(header->made_bytes());
  std::optional<size_t> payload_bytes = payload.size();
  if (header->next == header->icmp()) {
    // Its checksum is over what fragments do not show (RFC 7915 §1.2).
    if (!header->is_whole()) return std::nullopt;
    const size_t most = header->version == 4 ? translated_piece_bytes - header->made_bytes() : room.size();
    payload_bytes = translate_icmp(room, most, payload, {header->version, addresses_of(packet), before, after});
    if (!payload_bytes) return std::nullopt;
  } else {
    if (!has_counterpart(header->next)) return std::nullopt;
    copy_to(room, 0, payload);
    if (!mend_transport(room.first(payload.size()), *header, addresses_delta(addresses_of(packet), after), after, state)) return std::nullopt;
  }
  if (header->made_bytes() + *payload_bytes > max_packet_bytes) return std::nullopt;
  put_translation_header(out, *header, after, *payload_bytes, &identifications);
  return header->made_bytes() + *payload_bytes;
}

size_t make_fragment6(MutableBytes out, Bytes packet, size_t at, size_t piece_bytes, uint32_t identification) {
  const size_t data_at = data_offset6(packet);
  const size_t length = std::min(piece_bytes, packet.size() - at);
  const bool was_fragment = data_at != ipv6::header_bytes;
  const uint16_t before = was_fragment ? u16(packet, ipv6::header_bytes + 2) : uint16_t{0};
  const unsigned more = at + length < packet.size() ? 1u : before & 1u;
  copy_to(out, 0, packet.first(ipv6::header_bytes));
  put16(out, ipv6::payload_length, static_cast<unsigned>(fragment_header_bytes6 + length));
  put8(out, ipv6::next_header, protocol::fragment);
  put16(out, ipv6::header_bytes, static_cast<unsigned>(u8(packet, was_fragment ? ipv6::header_bytes : ipv6::next_header) << 8));
  put16(out, ipv6::header_bytes + 2, static_cast<unsigned>((before & 0xfff8u) + (at - data_at)) | more);
  put32(out, ipv6::header_bytes + 4, was_fragment ? u32(packet, ipv6::header_bytes + 4) : identification);
  copy_to(out, ipv6::header_bytes + fragment_header_bytes6, packet.subspan(at, length));
  return ipv6::header_bytes + fragment_header_bytes6 + length;
}

}  // namespace i3
