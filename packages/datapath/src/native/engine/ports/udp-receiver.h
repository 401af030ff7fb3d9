// recvmmsg: many datagrams, with UDP_GRO trains of them, in one call.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <memory>

#include "../packets.h"

namespace i3 {

class UdpReceiver {
 public:
  struct Received {
    // Good until the next call.
    std::span<const UdpInput> inputs;
    // Datagrams that were longer than their buffer: none of `inputs`.
    size_t cut = 0;
    size_t bytes = 0;
    // errno when nothing came.
    int error = 0;
    // There may be more.
    bool full = false;
  };

  UdpReceiver();
  // What comes in is said to have come this way. `ip_protocol`, with Via::ip: what stands in the place of the port; `strip_ipv4`: an IPv4 header stands before it.
  void set_way(Via via, uint16_t ip_protocol = 0, bool strip_ipv4 = false) {
    via_ = via;
    ip_protocol_ = ip_protocol;
    strips_ipv4_ = strip_ipv4;
  }
  Received receive(int fd);

 private:
  static constexpr size_t slots = 64;
  // Room for the longest datagram and for changes in place. No multiple of 4,096: the beginnings of all slots would share a few
  // sets of the cache.
  static constexpr size_t stride = 65'536 + 192;
  // IP_TOS or IPV6_TCLASS, UDP_GRO, and one to spare; IPV6_PKTINFO, which is longer than IP_PKTINFO.
  static constexpr size_t control_bytes = 3 * CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(in6_pktinfo));
  struct alignas(cmsghdr) Control {
    std::array<uint8_t, control_bytes> bytes;
  };

  void prepare(size_t index);
  void take(size_t index, Received& result);

  Via via_ = Via::udp;
  uint16_t ip_protocol_ = 0;
  bool strips_ipv4_ = false;
  std::unique_ptr<uint8_t[]> arena_;
  std::array<mmsghdr, slots> messages_{};
  std::array<iovec, slots> vectors_{};
  std::array<sockaddr_in6, slots> names_{};
  std::array<Control, slots> controls_{};
  std::array<UdpInput, slots> inputs_{};
  // Slots that the last call wrote to. The others are as they must be, and touching all would cost a lone packet 64 cache lines.
  size_t used_ = slots;
  size_t wanted_ = slots;
  size_t taken_ = 0;
};

}  // namespace i3
