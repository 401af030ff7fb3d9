#include "checksum-state.h"

#include "checksum.h"

namespace i3 {

std::optional<size_t> checksum_field(Bytes packet, const Transport& transport) {
  if (!transport.found()) return std::nullopt;
  const bool is_tcp = transport.protocol == protocol::tcp;
  if (!is_tcp && transport.protocol != protocol::udp) return std::nullopt;
  const size_t field = transport.offset + (is_tcp ? tcp::checksum : udp::checksum);
  return field + 2 <= packet.size() ? std::optional(field) : std::nullopt;
}

uint16_t pseudo_sum(Bytes packet, uint8_t next, size_t transport_bytes) {
  const unsigned version = inner_version(packet);
  const Bytes addresses = part(packet, source_offset(version), 2 * address_bytes(version));
  return fold(uint64_t{sum_words(addresses)} + next + (transport_bytes >> 16) + (transport_bytes & 0xffff));
}

ChecksumState effective_state(Bytes packet, ChecksumState state) {
  if (state == ChecksumState::partial && !checksum_field(packet)) return ChecksumState::complete;
  return state;
}

void complete_checksum(MutableBytes packet) {
  const Transport transport = find_transport(packet);
  const auto field = checksum_field(packet, transport);
  if (!field) return;
  const auto sum = static_cast<uint16_t>(~sum_words(packet.subspan(transport.offset)));
  put16(packet, *field, sum == 0 && transport.protocol == protocol::udp ? 0xffff : sum);
}

ChecksumState take_checksum_state(MutableBytes packet, const VnetHeader& vnet) {
  if ((vnet.flags & VnetHeader::data_valid) != 0) return ChecksumState::verified;
  if ((vnet.flags & VnetHeader::needs_checksum) == 0) return ChecksumState::complete;
  const auto length = inner_length(packet);
  if (!length) return ChecksumState::complete;
  const size_t field = size_t{vnet.checksum_start} + vnet.checksum_offset;
  const auto own = checksum_field(packet.first(*length));
  if (own && *own == field) return ChecksumState::partial;
  if (vnet.checksum_start >= *length || field + 2 > *length) return ChecksumState::complete;
  put16(packet, field, static_cast<uint16_t>(~sum_words(packet.first(*length).subspan(vnet.checksum_start))));
  return ChecksumState::complete;
}

}  // namespace i3
