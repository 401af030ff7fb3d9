#include "tun-outbox.h"

#include "checksum.h"

namespace i3 {
namespace {

iovec piece(MutableBytes bytes) { return {bytes.data(), bytes.size()}; }

// Flags with which a TCP segment may stand in a row; PSH and FIN end one.
constexpr uint8_t row_flags = tcp::ack | tcp::psh;

// A UDP checksum of 0 says nothing, so it is not.
bool checksum_is_right(const TunPieces& pieces, uint8_t next) {
  if (next == protocol::udp && u16(pieces.rest, udp::checksum) == 0) return false;
  return fold(uint64_t{pseudo_sum(pieces.ip, next, pieces.rest.size())} + sum_words(pieces.rest)) == 0xffff;
}

void put_length(MutableBytes ip, size_t rest_bytes) {
  if (inner_version(ip) == 6) {
    put16(ip, ipv6::payload_length, static_cast<unsigned>(rest_bytes));
    return;
  }
  put16(ip, ipv4::total_length, static_cast<unsigned>(ip.size() + rest_bytes));
  put16(ip, ipv4::checksum, 0);
  put16(ip, ipv4::checksum, static_cast<uint16_t>(~sum_words(ip)));
}

// Everything of the IP header that one header stands for: class, TTL, DF, addresses. The identification of a packet that must not be
// fragmented means nothing (RFC 6864 §4.1); others do not come here.
bool same_ip_header(Bytes a, Bytes b) {
  if (inner_version(a) == 4) {
    return u16(a, 0) == u16(b, 0) && u16(a, ipv4::fragment) == u16(b, ipv4::fragment) && u16(a, ipv4::ttl) == u16(b, ipv4::ttl) &&
           equal(part(a, ipv4::source, 8), part(b, ipv4::source, 8));
  }
  return u32(a, 0) == u32(b, 0) && u16(a, ipv6::next_header) == u16(b, ipv6::next_header) && equal(part(a, ipv6::source, 32), part(b, ipv6::source, 32));
}

}  // namespace

TunOutbox::TunOutbox(Shared& shared, LaneCounters& counters) : shared_(shared), counters_(counters) {}

Drop TunOutbox::add(MutableBytes packet, ChecksumState state) {
  if (sink_ == nullptr) return hold(packet, {}, state);
  const size_t ip_bytes = inner_version(packet) == 4 ? ipv4_header_bytes(packet) : ipv6::header_bytes;
  if (state == ChecksumState::partial && find_transport(packet).offset != ip_bytes) {
    complete_checksum(packet);
    state = ChecksumState::complete;
  }
  return place({packet.first(ip_bytes), packet.subspan(ip_bytes)}, false, state);
}

void TunOutbox::add_as_is(MutableBytes bytes, ChecksumState state) {
  const auto length = inner_length(bytes);
  if (length && *length == bytes.size()) {
    add(bytes, state);
    return;
  }
  flush();
  counters_.tun_out.add();
  const std::array<iovec, 1> parts{piece(bytes)};
  sink_->write({VnetHeader{}, parts, 1});
}

Drop TunOutbox::add_split(Bytes ip, MutableBytes rest, ChecksumState state) {
  if (sink_ == nullptr) return hold(ip, rest, state);
  std::array<uint8_t, header_room> header{};
  copy_to(header, 0, ip);
  return place({MutableBytes(header).first(ip.size()), rest}, true, state);
}

Drop TunOutbox::hold(Bytes ip, Bytes rest, ChecksumState state) {
  const std::lock_guard lock(shared_.mutex);
  HeldPacket* held = shared_.packets.add(ip.size() + rest.size());
  if (held == nullptr) return Drop::queue_full;
  copy_to(held->bytes, 0, ip);
  copy_to(held->bytes, ip.size(), rest);
  held->checksum = state;
  shared_.output_waits.store(true, std::memory_order_release);
  return Drop::none;
}

Drop TunOutbox::place(const TunPieces& pieces, bool copy_header, ChecksumState state) {
  counters_.tun_out.add();
  const auto shape = shape_of(pieces);
  if (!shape) {
    // Nothing joins it, and it may belong to a stream: what came before goes first.
    flush();
    write_single(pieces, state);
    return Drop::none;
  }
  Stream* same = nullptr;
  for (Stream& stream : streams_) {
    if (stream.used && same_stream(stream, *shape, pieces)) same = &stream;
  }
  bool joins = may_join(*shape) && can_begin(*shape, pieces);
  // One header with new checksums stands for all, so each must have been right (or never computed).
  if (joins && shape->version == 4) joins = sum_words(pieces.ip) == 0xffff;
  if (joins && state == ChecksumState::complete) joins = checksum_is_right(pieces, shape->protocol);
  if (same != nullptr && joins && continues(*same, *shape, pieces)) {
    append(*same, *shape, pieces);
    return Drop::none;
  }
  if (same != nullptr) finish(*same);
  if (!joins) {
    write_single(pieces, state);
    return Drop::none;
  }
  Stream& stream = free_stream();
  TunPieces kept = pieces;
  if (copy_header) {
    auto& header = headers_[static_cast<size_t>(&stream - streams_.data())];
    copy_to(header, 0, pieces.ip);
    kept.ip = MutableBytes(header).first(pieces.ip.size());
  }
  begin(stream, *shape, kept, state);
  return Drop::none;
}

std::optional<TunOutbox::Shape> TunOutbox::shape_of(const TunPieces& pieces) {
  Shape shape;
  shape.version = inner_version(pieces.ip);
  shape.ip_bytes = pieces.ip.size();
  const bool is_v4 = shape.version == 4;
  // Without options, not a fragment, and never to become one.
  if (is_v4 && (shape.ip_bytes != ipv4::min_bytes || u16(pieces.ip, ipv4::fragment) != ipv4::dont_fragment)) return std::nullopt;
  shape.protocol = u8(pieces.ip, is_v4 ? ipv4::protocol : ipv6::next_header);
  const size_t length = pieces.rest.size();
  if (shape.protocol == protocol::tcp) {
    if (length < tcp::min_bytes) return std::nullopt;
    shape.transport_bytes = (u8(pieces.rest, tcp::data_offset) >> 4) * size_t{4};
    if (shape.transport_bytes < tcp::min_bytes || shape.transport_bytes > length) return std::nullopt;
  } else if (shape.protocol == protocol::udp) {
    if (length < udp::header_bytes || u16(pieces.rest, udp::length) != length) return std::nullopt;
    shape.transport_bytes = udp::header_bytes;
  } else {
    return std::nullopt;
  }
  shape.payload_bytes = length - shape.transport_bytes;
  return shape;
}

bool TunOutbox::may_join(const Shape& shape) const {
  if (!capabilities_.tun_checksum) return false;
  if (shape.protocol == protocol::udp) return capabilities_.tun_udp;
  return shape.version == 4 ? capabilities_.tun_tcp4 : capabilities_.tun_tcp6;
}

bool TunOutbox::can_begin(const Shape& shape, const TunPieces& pieces) {
  if (shape.payload_bytes == 0) return false;
  if (shape.protocol == protocol::udp) return true;
  const uint8_t flags = u8(pieces.rest, tcp::flags);
  return (flags & tcp::ack) != 0 && (flags & ~row_flags) == 0 && (u8(pieces.rest, tcp::data_offset) & 0x0f) == 0;
}

bool TunOutbox::same_stream(const Stream& stream, const Shape& shape, const TunPieces& pieces) {
  const TunPieces& first = stream.first;
  return stream.shape.version == shape.version && stream.shape.protocol == shape.protocol && u32(first.rest, 0) == u32(pieces.rest, 0) &&
         equal(source_of(first.ip), source_of(pieces.ip)) && equal(destination_of(first.ip), destination_of(pieces.ip));
}

// What GRO asks (net/ipv4/tcp_offload.c): the same headers but for the sequence number, which follows on, and no longer than the first.
bool TunOutbox::continues(const Stream& stream, const Shape& shape, const TunPieces& pieces) {
  const size_t total = stream.shape.ip_bytes + stream.shape.transport_bytes + stream.payload_bytes + shape.payload_bytes;
  const bool fits = stream.is_open && stream.packets < max_packets && total <= max_bytes && shape.payload_bytes <= stream.shape.payload_bytes;
  if (!fits || shape.transport_bytes != stream.shape.transport_bytes || !same_ip_header(stream.first.ip, pieces.ip)) return false;
  if (shape.protocol == protocol::udp) return true;
  const Bytes first = stream.first.rest;
  const Bytes next = pieces.rest;
  const size_t urgent_and_options = shape.transport_bytes - tcp::urgent;
  return u32(next, tcp::sequence) == static_cast<uint32_t>(u32(first, tcp::sequence) + stream.payload_bytes) &&
         u32(next, tcp::acknowledgement) == u32(first, tcp::acknowledgement) && u16(next, tcp::window) == u16(first, tcp::window) &&
         equal(part(first, tcp::urgent, urgent_and_options), part(next, tcp::urgent, urgent_and_options));
}

void TunOutbox::begin(Stream& stream, const Shape& shape, const TunPieces& pieces, ChecksumState state) {
  stream.used = true;
  stream.shape = shape;
  stream.first = pieces;
  stream.state = state;
  stream.parts[0] = piece(pieces.ip);
  stream.parts[1] = piece(pieces.rest);
  stream.part_count = 2;
  stream.packets = 1;
  stream.payload_bytes = shape.payload_bytes;
  stream.push = 0;
  stream.is_open = shape.protocol == protocol::udp || (u8(pieces.rest, tcp::flags) & tcp::psh) == 0;
  if (!stream.is_open) finish(stream);
}

void TunOutbox::append(Stream& stream, const Shape& shape, const TunPieces& pieces) {
  stream.parts[stream.part_count++] = piece(pieces.rest.subspan(shape.transport_bytes));
  stream.packets++;
  stream.payload_bytes += shape.payload_bytes;
  if (shape.protocol == protocol::tcp) stream.push = static_cast<uint8_t>(stream.push | (u8(pieces.rest, tcp::flags) & tcp::psh));
  if (stream.push != 0 || shape.payload_bytes < stream.shape.payload_bytes) finish(stream);
}

TunOutbox::Stream& TunOutbox::free_stream() {
  for (Stream& stream : streams_) {
    if (!stream.used) return stream;
  }
  Stream& victim = streams_[next_victim_++ % max_streams];
  finish(victim);
  return victim;
}

void TunOutbox::finish(Stream& stream) {
  stream.used = false;
  if (stream.packets == 1) return write_single(stream.first, stream.state);
  const Shape& shape = stream.shape;
  const bool is_tcp = shape.protocol == protocol::tcp;
  const size_t rest_bytes = shape.transport_bytes + stream.payload_bytes;
  put_length(stream.first.ip, rest_bytes);
  const MutableBytes header = stream.first.rest.first(shape.transport_bytes);
  if (is_tcp) put8(header, tcp::flags, u8(header, tcp::flags) | stream.push);
  else put16(header, udp::length, static_cast<unsigned>(rest_bytes));
  const size_t field = is_tcp ? tcp::checksum : udp::checksum;
  put16(header, field, pseudo_sum(stream.first.ip, shape.protocol, rest_bytes));
  VnetHeader vnet;
  vnet.flags = VnetHeader::needs_checksum;
  vnet.gso_type = !is_tcp ? VnetHeader::gso_udp : shape.version == 4 ? VnetHeader::gso_tcp4 : VnetHeader::gso_tcp6;
  vnet.header_bytes = static_cast<uint16_t>(shape.ip_bytes + shape.transport_bytes);
  vnet.gso_bytes = static_cast<uint16_t>(shape.payload_bytes);
  vnet.checksum_start = static_cast<uint16_t>(shape.ip_bytes);
  vnet.checksum_offset = static_cast<uint16_t>(field);
  sink_->write({vnet, std::span(stream.parts).first(stream.part_count), stream.packets});
}

void TunOutbox::write_single(const TunPieces& pieces, ChecksumState state) {
  VnetHeader vnet;
  if (state == ChecksumState::partial) {
    const bool is_tcp = u8(pieces.ip, inner_version(pieces.ip) == 4 ? ipv4::protocol : ipv6::next_header) == protocol::tcp;
    const size_t field = is_tcp ? tcp::checksum : udp::checksum;
    if (capabilities_.tun_checksum) {
      vnet.flags = VnetHeader::needs_checksum;
      vnet.checksum_start = static_cast<uint16_t>(pieces.ip.size());
      vnet.checksum_offset = static_cast<uint16_t>(field);
    } else {
      const auto sum = static_cast<uint16_t>(~sum_words(pieces.rest));
      put16(pieces.rest, field, sum == 0 && !is_tcp ? 0xffff : sum);
    }
  }
  const std::array<iovec, 2> parts{piece(pieces.ip), piece(pieces.rest)};
  sink_->write({vnet, std::span(parts).first(pieces.rest.empty() ? 1 : 2), 1});
}

void TunOutbox::flush() {
  for (Stream& stream : streams_) {
    if (stream.used) finish(stream);
  }
}

}  // namespace i3
