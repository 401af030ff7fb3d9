#include "tun-queue.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace i3 {
static_assert(TunQueue::head_bytes >= sizeof(VnetHeader));

namespace {

// linux/if_tun.h of 6.2 and later; older kernels refuse them.
constexpr unsigned offload_udp = 0x20 | 0x40;
constexpr unsigned offload_tcp4 = TUN_F_TSO4;
constexpr unsigned offload_tcp6 = TUN_F_TSO6;

// The fields of the header are little-endian after TUNSETVNETLE; on little-endian machines that is no change at all.
uint16_t little(uint16_t value) { return std::endian::native == std::endian::big ? __builtin_bswap16(value) : value; }

VnetHeader swapped(const VnetHeader& vnet) {
  return {vnet.flags, vnet.gso_type, little(vnet.header_bytes), little(vnet.gso_bytes), little(vnet.checksum_start), little(vnet.checksum_offset)};
}

bool set_header(int fd) {
  int bytes = sizeof(VnetHeader);
  int little_endian = 1;
  if (::ioctl(fd, TUNSETVNETHDRSZ, &bytes) < 0) return false;
  return ::ioctl(fd, TUNSETVNETLE, &little_endian) == 0 || std::endian::native == std::endian::little;
}

}  // namespace

std::optional<PortError> TunQueue::open(std::array<char, IFNAMSIZ>& name, bool several, bool first, const Offloads& wanted) {
  i3io::UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return PortError{errno, "open", "/dev/net/tun"};
  unsigned features = 0;
  if (::ioctl(fd.get(), TUNGETFEATURES, &features) < 0) features = 0;
  // Every other offload stands on checksums, so without these there is nothing for the header to say.
  has_header_ = wanted.tun_checksum && (features & IFF_VNET_HDR) != 0;
  unsigned flags = IFF_TUN | IFF_NO_PI;
  if (has_header_) flags |= IFF_VNET_HDR;
  if (several) flags |= IFF_MULTI_QUEUE;
  // Otherwise the kernel would let us join the device of another process.
  if (several && first) flags |= IFF_TUN_EXCL;
  ifreq request{};
  std::copy(name.begin(), name.end(), std::begin(request.ifr_name));
  request.ifr_flags = static_cast<short>(flags);
  if (::ioctl(fd.get(), TUNSETIFF, &request) < 0) return PortError{errno, "ioctl", "TUNSETIFF"};
  std::copy(std::begin(request.ifr_name), std::end(request.ifr_name), name.begin());
  if (has_header_ && !set_header(fd.get())) return PortError{errno, "ioctl", "TUNSETVNETHDRSZ"};
  fd_ = std::move(fd);
  set_offloads(wanted);
  return std::nullopt;
}

void TunQueue::set_offloads(const Offloads& wanted) {
  unsigned wish = 0;
  if (wanted.tun_tcp4) wish |= offload_tcp4;
  if (wanted.tun_tcp6) wish |= offload_tcp6;
  if (wanted.tun_udp) wish |= offload_udp;
  const std::array masks{~0U, ~offload_udp, ~(offload_tcp4 | offload_tcp6), ~(offload_udp | offload_tcp4 | offload_tcp6)};
  unsigned got = 0;
  for (const unsigned mask : masks) {
    got = TUN_F_CSUM | (wish & mask);
    if (has_header_ && ::ioctl(fd_.get(), TUNSETOFFLOAD, static_cast<unsigned long>(got)) == 0) break;
    got = 0;
  }
  if (has_header_ && got == 0) (void)::ioctl(fd_.get(), TUNSETOFFLOAD, 0UL);
  checksum_.on = (got & TUN_F_CSUM) != 0;
  tcp4_.on = (got & offload_tcp4) != 0;
  tcp6_.on = (got & offload_tcp6) != 0;
  udp_.on = (got & offload_udp) != 0;
}

int TunQueue::read(MutableBytes buffer, size_t& packet_bytes, VnetHeader& vnet) {
  const size_t header_bytes = has_header_ ? sizeof(VnetHeader) : 0;
  const MutableBytes room = buffer.subspan(head_bytes - header_bytes);
  ssize_t length = -1;
  do length = ::read(fd_.get(), room.data(), room.size());
  while (length < 0 && errno == EINTR);
  if (length < 0) return errno;
  if (static_cast<size_t>(length) < header_bytes) return EAGAIN;
  packet_bytes = static_cast<size_t>(length) - header_bytes;
  vnet = VnetHeader();
  if (!has_header_) return 0;
  std::memcpy(&vnet, room.data(), sizeof vnet);
  vnet = swapped(vnet);
  return 0;
}

TunQueue::Offload* TunQueue::offload_of(const VnetHeader& vnet) {
  switch (vnet.gso_type & ~VnetHeader::gso_ecn) {
    case VnetHeader::gso_tcp4: return &tcp4_;
    case VnetHeader::gso_tcp6: return &tcp6_;
    case VnetHeader::gso_udp: return &udp_;
    default: return (vnet.flags & VnetHeader::needs_checksum) != 0 ? &checksum_ : nullptr;
  }
}

int TunQueue::write(const TunPacket& packet) {
  if (packet.parts.size() >= vectors_.size()) return EMSGSIZE;
  VnetHeader header = swapped(packet.vnet);
  vectors_[0] = {&header, sizeof header};
  std::copy(packet.parts.begin(), packet.parts.end(), vectors_.begin() + 1);
  const size_t skipped = has_header_ ? 0 : 1;
  const std::span<const iovec> used = std::span<const iovec>(vectors_).subspan(skipped, packet.parts.size() + 1 - skipped);
  ssize_t length = -1;
  do length = ::writev(fd_.get(), used.data(), static_cast<int>(used.size()));
  while (length < 0 && errno == EINTR);
  const int error = length < 0 ? errno : 0;
  if (Offload* offload = offload_of(packet.vnet)) {
    if (error == 0) offload->proven = true;
    // EIO is an interface that is down, not a header that the kernel does not know.
    else if (error == EINVAL && !offload->proven) offload->on = false;
  }
  return error;
}

bool TunQueue::is_broken(int error) { return error == EBADFD || error == EBADF || error == ENODEV; }

}  // namespace i3
