// One queue of a TUN device: a virtio_net_hdr and a packet per read and write, or several packets of a flow in one.
#pragma once

#include <net/if.h>

#include <array>
#include <optional>

#include "../../unique-fd.h"
#include "../packets.h"
#include "offloads.h"
#include "port-error.h"

namespace i3 {

class TunQueue {
 public:
  // `name` may hold a %d and then becomes what the kernel chose. `several`: the device has more than one queue; `first`: this is
  // the one that makes it, and a device of others is EBUSY. Flags of `wanted` that are false stay off.
  std::optional<PortError> open(std::array<char, IFNAMSIZ>& name, bool several, bool first, const Offloads& wanted);
  void close() { fd_.reset(-1); }

  int fd() const { return fd_.get(); }
  explicit operator bool() const { return static_cast<bool>(fd_); }
  // Also asked by other threads.
  Capabilities capabilities() const { return {checksum_.on, tcp4_.on, tcp6_.on, udp_.on}; }

  // errno, 0 when there is a packet: in `buffer` behind `head_bytes`, which are for the header, so that one plain read takes both.
  static constexpr size_t head_bytes = 16;
  int read(MutableBytes buffer, size_t& packet_bytes, VnetHeader& vnet);
  // errno. An offload that the kernel has never taken and refuses now is off from then on.
  int write(const TunPacket& packet);
  // The device is gone, for good.
  static bool is_broken(int error);

 private:
  struct Offload {
    Flag on;
    // The kernel took one: a later refusal is about that packet.
    bool proven = false;
  };

  void set_offloads(const Offloads& wanted);
  // The one that the packet needs, or nullptr.
  Offload* offload_of(const VnetHeader& vnet);

  i3io::UniqueFd fd_;
  bool has_header_ = false;
  Offload checksum_, tcp4_, tcp6_, udp_;
  // A packet of many segments has a part or two for each, and UIO_MAXIOV is 1,024.
  std::array<iovec, 1'024> vectors_{};
};

}  // namespace i3
