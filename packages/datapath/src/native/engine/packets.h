// What passes between the engine and its ports. Nothing here owns memory: everything is good until the batch has ended.
#pragma once

#include <sys/uio.h>

#include "bytes.h"

namespace i3 {

// An IPv6 or IPv4-mapped address (16 bytes) and a UDP port (2, big-endian).
struct Endpoint {
  static constexpr size_t port_offset = 16;
  // Before an IPv4 address.
  static constexpr size_t mapped_bytes = 12;
  std::array<uint8_t, 18> bytes{};

  uint16_t port() const { return u16(bytes, port_offset); }
  Bytes address() const { return Bytes(bytes).first(port_offset); }
  bool is_mapped() const {
    constexpr std::array<uint8_t, mapped_bytes> mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return equal(address().first(mapped_bytes), mapped_prefix);
  }
  // As on the wire, docs/wire.md §2: 6 or 18 bytes.
  Bytes locator() const { return Bytes(bytes).subspan(is_mapped() ? mapped_bytes : 0); }
  bool operator==(const Endpoint&) const = default;
};

// Which of a host's sockets a datagram passes, and which address and interface of ours. All zero: the main port, the system's choice.
// straight: as udp, but without a detour; of what waits to leave, never of what a sink gets.
enum class Via : uint8_t { udp, hip, ip, straight };
struct Way {
  static constexpr size_t packed_bytes = 21, interface_offset = 17;
  // Of the first byte.
  static constexpr unsigned via_mask = 0x0f, whole = 0x10;
  Via via = Via::udp;
  // Nobody may cut it. Not by Via::ip.
  bool is_whole = false;
  // As in Endpoint.
  std::array<uint8_t, 16> local{};
  uint32_t interface_index = 0;

  bool has_local() const { return local != std::array<uint8_t, 16>{}; }
  uint8_t first_byte() const { return static_cast<uint8_t>(static_cast<unsigned>(via) | (is_whole ? whole : 0)); }
  bool has_place() const { return interface_index != 0 || has_local(); }
  bool operator==(const Way&) const = default;
};

// In the place of a port, by Via::ip (RFC 7401 §5.1, RFC 4303 §2).
constexpr uint16_t ip_protocol_hip = 139, ip_protocol_esp = 50;

// Why the system does not send. In the order of SEND_FAILURES in src/native-engine-upcalls.ts.
enum class SendFailure : uint8_t { unreachable, too_big };

// struct virtio_net_hdr of a TUN device with IFF_VNET_HDR, in host order (linux/virtio_net.h).
struct VnetHeader {
  static constexpr uint8_t needs_checksum = 1;
  static constexpr uint8_t data_valid = 2;
  static constexpr uint8_t gso_none = 0, gso_tcp4 = 1, gso_tcp6 = 4, gso_udp = 5, gso_ecn = 0x80;

  uint8_t flags = 0;
  uint8_t gso_type = gso_none;
  uint16_t header_bytes = 0;
  uint16_t gso_bytes = 0;
  uint16_t checksum_start = 0;
  uint16_t checksum_offset = 0;
};
static_assert(sizeof(VnetHeader) == 10);

// A datagram, or a train of them with equal length (the last may be shorter), as UDP_GRO yields it.
struct UdpInput {
  MutableBytes bytes;
  // 0: one datagram.
  size_t segment_bytes = 0;
  Endpoint from;
  uint8_t traffic_class = 0;
  Way way{};
};

// The datagram that a batch goes on with: of that input, at that byte.
struct UdpPlace {
  size_t input = 0;
  size_t at = 0;
};

// A datagram or train to send; more than `segment_bytes` bytes: UDP_SEGMENT.
struct UdpMessage {
  Bytes bytes;
  size_t segment_bytes = 0;
  size_t segments = 1;
  Endpoint to;
  uint8_t traffic_class = 0;
  Way way{};
  // ESP to the locator of a flow: the control plane is told when the system refuses it.
  bool tells = false;
};

// A packet for the TUN in pieces; with `vnet.gso_type` set it is several packets in one.
struct TunPacket {
  VnetHeader vnet;
  std::span<const iovec> parts;
  // How many packets it is.
  size_t packets = 1;
};

// Where a lane's output goes: system calls in a worker, memory in tests. Called at the latest when the batch ends.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void send(std::span<const UdpMessage> messages) = 0;
  virtual void write(const TunPacket& packet) = 0;
};

// What the ports of a lane can do; a port that steps down changes it between batches.
struct Capabilities {
  // The TUN takes packets with partial checksums.
  bool tun_checksum = true;
  bool tun_tcp4 = true;
  bool tun_tcp6 = true;
  bool tun_udp = true;
};

}  // namespace i3
