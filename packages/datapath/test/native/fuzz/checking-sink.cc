#include "checking-sink.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace i3::test {
namespace {

constexpr size_t max_datagram = 65'507, max_segments = 64, max_messages = 128, max_packet = 65'535;

size_t transport_at(Bytes packet) { return packet[0] >> 4 == 4 ? (packet[0] & 15u) * 4 : 40; }

// Its length says so; whatever else is wrong with it may have been wrong before.
void check_packet(Bytes packet) {
  CHECK(packet.size() <= max_packet);
  if (packet[0] == raw_mark) return;
  const unsigned version = packet[0] >> 4;
  CHECK(version == 4 || version == 6);
  CHECK(packet.size() >= (version == 4 ? 20u : 40u));
  if (version == 4) {
    CHECK(transport_at(packet) >= 20 && transport_at(packet) <= packet.size());
    CHECK(u16(packet, 2) == packet.size());
  } else {
    CHECK(u16(packet, 4) + 40u == packet.size());
  }
}

void check_checksum_request(Bytes packet, const VnetHeader& vnet) {
  const uint8_t next = packet[0] >> 4 == 4 ? packet[9] : packet[6];
  CHECK(next == 6 || next == 17);
  CHECK(vnet.checksum_start == transport_at(packet));
  CHECK(vnet.checksum_offset == (next == 6 ? 16 : 6));
  CHECK(vnet.checksum_start + vnet.checksum_offset + size_t{2} <= packet.size());
}

// Several packets in one: what the kernel asks of virtio_net_hdr, and what its segmentation will rely on.
void check_gso(Bytes packet, const TunPacket& written, const Capabilities& capabilities) {
  const VnetHeader& vnet = written.vnet;
  CHECK(vnet.flags == VnetHeader::needs_checksum);
  const bool is_v4 = packet[0] >> 4 == 4;
  const size_t at = transport_at(packet);
  CHECK(at == (is_v4 ? 20u : 40u));
  const uint8_t next = is_v4 ? packet[9] : packet[6];
  const bool is_tcp = next == 6;
  if (is_tcp) CHECK(is_v4 ? vnet.gso_type == VnetHeader::gso_tcp4 && capabilities.tun_tcp4 : vnet.gso_type == VnetHeader::gso_tcp6 && capabilities.tun_tcp6);
  else CHECK(vnet.gso_type == VnetHeader::gso_udp && capabilities.tun_udp);
  const size_t header_bytes = at + (is_tcp ? (packet[at + 12] >> 4) * size_t{4} : 8);
  CHECK(vnet.header_bytes == header_bytes && header_bytes < packet.size() && vnet.gso_bytes > 0);
  const size_t payload = packet.size() - header_bytes;
  CHECK(written.packets >= 2 && written.packets <= max_segments);
  CHECK((payload + vnet.gso_bytes - 1) / vnet.gso_bytes == written.packets);
  if (!is_tcp) CHECK(u16(packet, at + 4) == packet.size() - at);
  if (is_v4) CHECK(naive_sum(packet.first(20)) == 0xffff);
  const Bytes addresses = is_v4 ? packet.subspan(12, 8) : packet.subspan(8, 32);
  const uint32_t length = static_cast<uint32_t>(packet.size() - at);
  CHECK(u16(packet, at + vnet.checksum_offset) == naive_sum(addresses, length + next));
}

}  // namespace

void fail(const char* what, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
  std::abort();
}

uint32_t naive_sum(Bytes bytes, uint32_t sum) {
  for (size_t at = 0; at < bytes.size(); at += 2) {
    sum += static_cast<uint32_t>(bytes[at] << 8) + (at + 1 < bytes.size() ? bytes[at + 1] : 0u);
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return (sum & 0xffff) + (sum >> 16);
}

void CheckingSink::send(std::span<const UdpMessage> messages) {
  CHECK(!messages.empty() && messages.size() <= max_messages);
  for (const UdpMessage& message : messages) {
    const size_t size = message.bytes.size();
    CHECK(size <= max_datagram && message.segments >= 1 && message.segments <= max_segments && message.to.port() != 0);
    CHECK(message.way.via != Via::straight);
    CHECK(!only_to || message.way.via != Via::udp || message.to == *only_to);
    if (message.segments == 1) CHECK(size <= message.segment_bytes);
    else CHECK((size + message.segment_bytes - 1) / message.segment_bytes == message.segments);
    for (size_t i = 0; i < message.segments; i++) {
      const size_t at = i * message.segment_bytes;
      const Bytes datagram = message.bytes.subspan(at, std::min(message.segment_bytes, size - at));
      // Copying reads every byte.
      datagrams.push_back({message.to, message.traffic_class, {datagram.begin(), datagram.end()}, message.way});
      if (datagrams.size() > kept) datagrams.pop_front();
      datagram_count++;
    }
  }
}

void CheckingSink::write(const TunPacket& written) {
  std::vector<uint8_t> packet;
  for (const iovec& part : written.parts) {
    const auto* bytes = static_cast<const uint8_t*>(part.iov_base);
    packet.insert(packet.end(), bytes, bytes + part.iov_len);
  }
  packet_count += written.packets;
  CHECK(written.parts.size() <= max_segments + 2);
  if (packet.empty()) return CHECK(written.packets == 1);
  check_packet(packet);
  const VnetHeader& vnet = written.vnet;
  CHECK(vnet.flags == 0 || (vnet.flags == VnetHeader::needs_checksum && capabilities.tun_checksum));
  if (vnet.flags != 0) check_checksum_request(packet, vnet);
  if (vnet.gso_type != VnetHeader::gso_none) check_gso(packet, written, capabilities);
  else CHECK(written.packets == 1);
  packets.push_back(std::move(packet));
  if (packets.size() > kept) packets.pop_front();
}

}  // namespace i3::test
