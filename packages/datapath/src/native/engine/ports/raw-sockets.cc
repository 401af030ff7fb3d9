#include "raw-sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "../checksum.h"
#include "../hip-packet.h"
#include "socket-address.h"

namespace i3 {
namespace {

constexpr const char* raw_socket = "raw socket";

bool lacks_family(int error) { return error == EAFNOSUPPORT || error == EPROTONOSUPPORT; }

// The names of connected sockets are of their family.
bool connect_to(int fd, const sockaddr_in6& name, socklen_t bytes) { return connect(fd, reinterpret_cast<const sockaddr*>(&name), bytes) == 0; }

}  // namespace

std::optional<PortError> RawSocket::open(bool is_v6, uint16_t protocol, const UdpOptions& options, const Offloads& wanted) {
  is_v6_ = is_v6;
  protocol_ = protocol;
  fd_ = i3io::UniqueFd(socket(is_v6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
  if (!fd_) return PortError{errno, raw_socket};
  if (options.mark != 0 && setsockopt(fd(), SOL_SOCKET, SO_MARK, &options.mark, sizeof options.mark) < 0) return PortError{errno, raw_socket, "SO_MARK"};
  set_udp_buffers(fd(), options.buffer_bytes);
  if (is_v6 && !set_option(fd(), SOL_IPV6, IPV6_RECVPKTINFO, 1)) return PortError{errno, raw_socket, "IPV6_RECVPKTINFO"};
  // IPv4's header says it itself.
  if (is_v6 && wanted.traffic_class) (void)set_option(fd(), SOL_IPV6, IPV6_RECVTCLASS, 1);
  receiver_ = std::make_unique<UdpReceiver>();
  receiver_->set_way(Via::ip, protocol, !is_v6);
  Offloads possible = wanted;
  possible.udp_segment = false;
  sender_.open(fd(), is_v6, possible);
  return std::nullopt;
}

std::optional<PortError> RawSocket::open_to_send(const RawSocket& first, const Offloads& wanted) {
  is_v6_ = first.is_v6_;
  protocol_ = first.protocol_;
  if (!first) return std::nullopt;
  fd_ = i3io::UniqueFd(fcntl(first.fd(), F_DUPFD_CLOEXEC, 0));
  if (!fd_) return PortError{errno, raw_socket};
  Offloads possible = wanted;
  possible.udp_segment = false;
  sender_.open(fd(), is_v6_, possible);
  return std::nullopt;
}

std::optional<PortError> SourceFinder::open(uint32_t mark) {
  for (auto [fd, family] : {std::pair(&fd4_, AF_INET), std::pair(&fd6_, AF_INET6)}) {
    *fd = i3io::UniqueFd(socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!*fd && family == AF_INET6 && lacks_family(errno)) continue;
    if (!*fd) return PortError{errno, raw_socket};
    // Routes may depend on it.
    if (mark != 0 && setsockopt(fd->get(), SOL_SOCKET, SO_MARK, &mark, sizeof mark) < 0) return PortError{errno, raw_socket, "SO_MARK"};
  }
  return std::nullopt;
}

// Connecting a UDP socket looks the route up and sends nothing.
std::array<uint8_t, 16> SourceFinder::find(const Endpoint& to) {
  const bool is_v6 = !to.is_mapped();
  const int fd = is_v6 ? fd6_.get() : fd4_.get();
  sockaddr_in6 name{};
  const socklen_t bytes = fill_name(name, to, is_v6);
  // It would keep the address of the last time.
  sockaddr_in6 nobody{};
  nobody.sin6_family = AF_UNSPEC;
  (void)connect_to(fd, nobody, sizeof nobody);
  if (fd < 0 || bytes == 0 || !connect_to(fd, name, bytes)) return {};
  sockaddr_in6 own{};
  socklen_t own_bytes = sizeof own;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&own), &own_bytes) < 0) return {};
  std::array<uint8_t, 16> address{};
  copy_to(address, 0, endpoint_of(own).address());
  return address;
}

std::optional<PortError> RawSockets::open(const UdpOptions& options, const Offloads& wanted) {
  size_t next = 0;
  for (const bool is_v6 : {false, true}) {
    for (const uint16_t protocol : {ip_protocol_hip, ip_protocol_esp}) {
      const auto error = sockets_[next++].open(is_v6, protocol, options, wanted);
      if (error && !(is_v6 && lacks_family(error->number))) return error;
    }
  }
  return finder_.open(options.mark);
}

std::optional<PortError> RawSockets::open_to_send(const RawSockets& first, uint32_t mark, const Offloads& wanted) {
  for (size_t i = 0; i < count; i++) {
    if (auto error = sockets_[i].open_to_send(first.sockets_[i], wanted)) return error;
  }
  return finder_.open(mark);
}

RawSocket* RawSockets::socket_for(const UdpMessage& message) {
  const bool is_v6 = !message.to.is_mapped();
  const auto fits = [&](const RawSocket& socket) { return socket && socket.is_v6() == is_v6 && socket.protocol() == message.to.port(); };
  const auto found = std::find_if(sockets_.begin(), sockets_.end(), fits);
  return found == sockets_.end() ? nullptr : &*found;
}

int RawSockets::send(std::span<const UdpMessage> messages, LaneCounters& counters) {
  for (size_t at = 0; at < messages.size();) {
    RawSocket* socket = socket_for(messages[at]);
    if (socket == nullptr) {
      counters.drop(Drop::io_error, messages[at++].segments);
      continue;
    }
    // Neighbours that take the same way go together.
    size_t end = at + 1;
    if (socket->protocol() == ip_protocol_esp) {
      while (end < messages.size() && socket_for(messages[end]) == socket) end++;
    }
    const auto some = messages.subspan(at, end - at);
    const int error = socket->protocol() == ip_protocol_hip ? send_hip(*socket, some.front(), counters) : socket->send(some, counters);
    at = end;
    if (error == 0) continue;
    for (; at < messages.size(); at++) counters.drop(Drop::io_error, messages[at].segments);
    return error;
  }
  return 0;
}

// One by one with their checksums, which need the address of ours: whoever answers says it, for others the kernel does.
int RawSockets::send_hip(RawSocket& socket, const UdpMessage& message, LaneCounters& counters) {
  UdpMessage one = message;
  one.segments = 1;
  if (!one.way.has_local()) one.way.local = finder_.find(message.to);
  for (size_t i = 0; i < message.segments; i++) {
    const size_t at = i * message.segment_bytes;
    const Bytes packet = part(message.bytes, at, std::min(message.segment_bytes, message.bytes.size() - at));
    if (!one.way.has_local() || packet.size() < hip::header_bytes) {
      counters.drop(Drop::io_error);
      continue;
    }
    packet_.assign(packet.begin(), packet.end());
    put16(packet_, hip::checksum, 0);
    const uint64_t sum = uint64_t{sum_words(message.to.address())} + sum_words(one.way.local) + ip_protocol_hip + packet.size() + sum_words(packet_);
    put16(packet_, hip::checksum, static_cast<uint16_t>(~fold(sum)));
    one.bytes = packet_;
    one.segment_bytes = packet_.size();
    if (const int error = socket.send({&one, 1}, counters)) {
      counters.drop(Drop::io_error, message.segments - i - 1);
      return error;
    }
  }
  return 0;
}

}  // namespace i3
