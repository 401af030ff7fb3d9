#include "udp-receiver.h"

#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>

#include "socket-address.h"

namespace i3 {
namespace {

// Trains are long: a few of them fill what the cache holds while they are worked on.
constexpr size_t few_slots = 4;
constexpr size_t long_bytes = 8'192;
constexpr int udp_gro = 104;  // linux/udp.h

// What the kernel wrote, a byte for IP_TOS and an int for the others.
unsigned value_of(const cmsghdr& message) {
  if (message.cmsg_len < CMSG_LEN(sizeof(int))) return *CMSG_DATA(&message);
  int value = 0;
  std::memcpy(&value, CMSG_DATA(&message), sizeof value);
  return static_cast<unsigned>(value);
}

template <typename T>
T read_as(const cmsghdr& message) {
  T value{};
  std::memcpy(&value, CMSG_DATA(&message), std::min<size_t>(sizeof value, message.cmsg_len - CMSG_LEN(0)));
  return value;
}

// A raw socket of IPv4 yields the header too, which says what a control message would.
void strip_ipv4(UdpInput& input) {
  const Bytes header = input.bytes;
  const size_t header_bytes = header.empty() ? 0 : (u8(header, 0) & 0x0f) * size_t{4};
  // The kernel has seen to it.
  if (header_bytes < 20 || header_bytes > header.size()) {
    input.bytes = {};
    return;
  }
  input.traffic_class = u8(header, 1);
  in_addr destination{};
  std::memcpy(&destination, part(header, 16, 4).data(), 4);
  input.way.local = mapped(destination);
  input.bytes = input.bytes.subspan(header_bytes);
}

void read_control(msghdr& header, UdpInput& input) {
  for (cmsghdr* message = CMSG_FIRSTHDR(&header); message != nullptr; message = CMSG_NXTHDR(&header, message)) {
    const auto is = [message](int level, int type) { return message->cmsg_level == level && message->cmsg_type == type; };
    if (is(SOL_UDP, udp_gro)) input.segment_bytes = value_of(*message);
    else if (is(SOL_IP, IP_PKTINFO)) input.way.local = mapped(read_as<in_pktinfo>(*message).ipi_addr);
    else if (is(SOL_IPV6, IPV6_PKTINFO)) std::memcpy(input.way.local.data(), read_as<in6_pktinfo>(*message).ipi6_addr.s6_addr, input.way.local.size());
    else if (is(SOL_IP, IP_TOS) || is(SOL_IPV6, IPV6_TCLASS)) input.traffic_class = static_cast<uint8_t>(value_of(*message));
  }
}

}  // namespace

UdpReceiver::UdpReceiver() : arena_(std::make_unique_for_overwrite<uint8_t[]>(slots * stride)) {
  for (size_t i = 0; i < slots; i++) vectors_[i] = {arena_.get() + i * stride, 65'536};
}

void UdpReceiver::prepare(size_t index) {
  msghdr& header = messages_[index].msg_hdr;
  header = {};
  header.msg_name = &names_[index];
  header.msg_namelen = sizeof names_[index];
  header.msg_iov = &vectors_[index];
  header.msg_iovlen = 1;
  header.msg_control = controls_[index].bytes.data();
  header.msg_controllen = control_bytes;
}

void UdpReceiver::take(size_t index, Received& result) {
  mmsghdr& message = messages_[index];
  if ((message.msg_hdr.msg_flags & MSG_TRUNC) != 0) {
    result.cut++;
    return;
  }
  UdpInput& input = inputs_[taken_++];
  input = {MutableBytes(arena_.get() + index * stride, message.msg_len), 0, endpoint_of(names_[index]), 0, {via_, {}}};
  read_control(message.msg_hdr, input);
  if (via_ == Via::ip) put16(input.from.bytes, Endpoint::port_offset, ip_protocol_);
  if (strips_ipv4_) strip_ipv4(input);
  // A train of one.
  if (input.segment_bytes >= input.bytes.size()) input.segment_bytes = 0;
  result.bytes += input.bytes.size();
}

UdpReceiver::Received UdpReceiver::receive(int fd) {
  Received result;
  for (size_t i = 0; i < used_; i++) prepare(i);
  used_ = 0;
  int count = -1;
  do count = recvmmsg(fd, messages_.data(), static_cast<unsigned>(wanted_), MSG_DONTWAIT, nullptr);
  while (count < 0 && errno == EINTR);
  if (count < 0) {
    result.error = errno;
    return result;
  }
  const auto received = static_cast<size_t>(count);
  used_ = received;
  taken_ = 0;
  for (size_t i = 0; i < received; i++) take(i, result);
  result.inputs = std::span<const UdpInput>(inputs_).first(taken_);
  result.full = received == wanted_;
  wanted_ = received > 0 && result.bytes / received > long_bytes ? few_slots : slots;
  return result;
}

}  // namespace i3
