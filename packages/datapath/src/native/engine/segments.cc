#include "segments.h"

#include <algorithm>

#include "checksum.h"

namespace i3 {

std::optional<Segments> Segments::parse(MutableBytes packet, const VnetHeader& vnet) {
  Segments out;
  const uint8_t type = vnet.gso_type & static_cast<uint8_t>(~VnetHeader::gso_ecn);
  out.version_ = inner_version(packet);
  out.is_tcp_ = type != VnetHeader::gso_udp;
  const bool type_fits = type == VnetHeader::gso_udp || type == (out.version_ == 4 ? VnetHeader::gso_tcp4 : VnetHeader::gso_tcp6);
  const Transport transport = find_transport(packet);
  if (!type_fits || vnet.gso_bytes == 0 || !transport.found() || transport.protocol != (out.is_tcp_ ? protocol::tcp : protocol::udp)) return std::nullopt;
  if (out.version_ == 4 && (u16(packet, ipv4::fragment) & ipv4::more_fragments) != 0) return std::nullopt;
  const size_t least = transport.offset + (out.is_tcp_ ? tcp::min_bytes : udp::header_bytes);
  if (packet.size() < least) return std::nullopt;
  const size_t transport_bytes = out.is_tcp_ ? (u8(packet, transport.offset + tcp::data_offset) >> 4) * size_t{4} : udp::header_bytes;
  out.ip_bytes_ = transport.offset;
  out.header_bytes_ = transport.offset + transport_bytes;
  if (transport.offset + transport_bytes < least || out.header_bytes_ > max_header_bytes || out.header_bytes_ >= packet.size()) return std::nullopt;
  out.segment_bytes_ = vnet.gso_bytes;
  out.payload_bytes_ = packet.size() - out.header_bytes_;
  out.count_ = (out.payload_bytes_ + out.segment_bytes_ - 1) / out.segment_bytes_;
  copy_to(out.header_, 0, packet.first(out.header_bytes_));
  out.pseudo_sum_ = uint32_t{pseudo_sum(packet, transport.protocol, 0)};
  const MutableBytes header = MutableBytes(out.header_).first(out.header_bytes_);
  if (out.version_ == 4) {
    const uint16_t identification = u16(header, ipv4::identification);
    put16(header, ipv4::identification, 0);
    put16(header, ipv4::total_length, 0);
    put16(header, ipv4::checksum, 0);
    out.ip_sum_ = sum_words(header.first(out.ip_bytes_));
    put16(header, ipv4::identification, identification);
  }
  return out;
}

Segments::Place Segments::make(MutableBytes packet, size_t index) const {
  const size_t payload_at = index * segment_bytes_;
  const size_t payload = std::min(segment_bytes_, payload_bytes_ - payload_at);
  const bool is_last = index + 1 == count_;
  const size_t length = header_bytes_ + payload;
  const MutableBytes made = part(packet, payload_at, length);
  copy_to(made, 0, Bytes(header_).first(header_bytes_));
  if (version_ == 4) {
    const auto identification = static_cast<uint16_t>(u16(header_, ipv4::identification) + index);
    put16(made, ipv4::identification, identification);
    put16(made, ipv4::total_length, static_cast<unsigned>(length));
    put16(made, ipv4::checksum, static_cast<uint16_t>(~fold(uint64_t{ip_sum_} + identification + length)));
  } else {
    put16(made, ipv6::payload_length, static_cast<unsigned>(length - ipv6::header_bytes));
  }
  const size_t transport_bytes = length - ip_bytes_;
  const uint16_t partial = fold(uint64_t{pseudo_sum_} + transport_bytes);
  if (!is_tcp_) {
    put16(made, ip_bytes_ + udp::length, static_cast<unsigned>(transport_bytes));
    put16(made, ip_bytes_ + udp::checksum, partial);
    return {payload_at, length};
  }
  put32(made, ip_bytes_ + tcp::sequence, u32(header_, ip_bytes_ + tcp::sequence) + static_cast<uint32_t>(payload_at));
  uint8_t flags = u8(header_, ip_bytes_ + tcp::flags);
  if (index > 0) flags &= static_cast<uint8_t>(~tcp::cwr);
  if (!is_last) flags &= static_cast<uint8_t>(~(tcp::fin | tcp::psh));
  put8(made, ip_bytes_ + tcp::flags, flags);
  put16(made, ip_bytes_ + tcp::checksum, partial);
  return {payload_at, length};
}

}  // namespace i3
