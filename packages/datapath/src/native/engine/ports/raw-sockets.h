// HIP and ESP bare in IP (protocols 139 and 50): raw sockets of both families. They need CAP_NET_RAW.
#pragma once

#include <memory>
#include <vector>

#include "udp-socket.h"

namespace i3 {

// One protocol of one family. Every raw socket gets each packet, so that one worker reads and the others share its socket to send.
class RawSocket {
 public:
  std::optional<PortError> open(bool is_v6, uint16_t protocol, const UdpOptions& options, const Offloads& wanted);
  std::optional<PortError> open_to_send(const RawSocket& first, const Offloads& wanted);

  int fd() const { return fd_.get(); }
  explicit operator bool() const { return static_cast<bool>(fd_); }
  bool is_v6() const { return is_v6_; }
  uint16_t protocol() const { return protocol_; }

  void on_refusal(UdpSender::RefusalHandler handler) { sender_.on_refusal(std::move(handler)); }
  // Only of one that was opened with open().
  UdpReceiver::Received receive() { return receiver_->receive(fd()); }
  int send(std::span<const UdpMessage> messages, LaneCounters& counters) { return sender_.send(messages, counters); }

 private:
  i3io::UniqueFd fd_;
  bool is_v6_ = false;
  uint16_t protocol_ = 0;
  std::unique_ptr<UdpReceiver> receiver_;
  UdpSender sender_;
};

// Which address of ours the kernel sends from to somebody.
class SourceFinder {
 public:
  std::optional<PortError> open(uint32_t mark);
  // Zeros: there is no way there.
  std::array<uint8_t, 16> find(const Endpoint& to);

 private:
  i3io::UniqueFd fd4_;
  i3io::UniqueFd fd6_;
};

class RawSockets {
 public:
  static constexpr size_t count = 4;

  // Without IPv6 on this machine there are those of IPv4 alone.
  std::optional<PortError> open(const UdpOptions& options, const Offloads& wanted);
  std::optional<PortError> open_to_send(const RawSockets& first, uint32_t mark, const Offloads& wanted);

  RawSocket& operator[](size_t index) { return sockets_[index]; }
  // As UdpSender::send; each message goes by the socket of its family and protocol.
  int send(std::span<const UdpMessage> messages, LaneCounters& counters);

 private:
  RawSocket* socket_for(const UdpMessage& message);
  int send_hip(RawSocket& socket, const UdpMessage& message, LaneCounters& counters);

  // HIP and ESP over IPv4, then over IPv6.
  std::array<RawSocket, count> sockets_;
  SourceFinder finder_;
  // A HIP packet with its checksum.
  std::vector<uint8_t> packet_;
};

}  // namespace i3
