#include "udp-sender.h"

#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "port-error.h"
#include "socket-address.h"

namespace i3 {
namespace {

constexpr int udp_segment = 103;  // linux/udp.h
// What no path cuts: 1,200 bytes with IPv4's header, 1,220 with IPv6's. Those go as the socket is set.
constexpr size_t never_cut_bytes = 1'172;

// With PROBE what the interface takes goes out whole, whatever ICMP has said of the path. Without DF routers cut too, so that nothing depends on ICMP; those of IPv6 never do.
bool set_socket(int fd, bool is_v6, bool whole) {
  const int value = is_v6 ? (whole ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_WANT) : (whole ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DONT);
  return setsockopt(fd, is_v6 ? SOL_IPV6 : SOL_IP, is_v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, &value, sizeof value) == 0;
}

bool is_about_trains(int error) { return error == EIO || error == EINVAL || error == ENOPROTOOPT || error == EMSGSIZE; }

// EINVAL and EMSGSIZE are about this train: its datagrams are longer than the path takes. The others are about the way out.
bool is_about_all_trains(int error) { return error == EIO || error == ENOPROTOOPT; }

std::optional<SendFailure> failure_of(int error, const Way& way) {
  switch (error) {
    case EMSGSIZE: return SendFailure::too_big;
    case ENETUNREACH: case EHOSTUNREACH: case EADDRNOTAVAIL: case ENODEV: case ENETDOWN: case EAFNOSUPPORT: return SendFailure::unreachable;
    // The address is not ours any more.
    case EINVAL: return way.has_place() ? std::optional(SendFailure::unreachable) : std::nullopt;
    default: return std::nullopt;
  }
}

}  // namespace

bool UdpSender::Call::add(const UdpMessage& message, Bytes bytes, bool whole, bool is_v6, bool traffic_class) {
  const size_t index = count_;
  const socklen_t name_bytes = fill_name(names_[index], message.to, is_v6);
  if (name_bytes == 0) return false;
  count_++;
  messages_[index] = &message;
  trains_[index] = whole && message.segments > 1;
  // The kernel only reads it.
  vectors_[index] = {const_cast<uint8_t*>(bytes.data()), bytes.size()};
  msghdr& header = headers_[index].msg_hdr;
  header = {};
  header.msg_name = &names_[index];
  header.msg_namelen = name_bytes;
  header.msg_iov = &vectors_[index];
  header.msg_iovlen = 1;
  uint8_t* control = controls_[index].bytes.data();
  const auto put = [&](int level, int type, auto value) {
    cmsghdr head{};
    head.cmsg_level = level;
    head.cmsg_type = type;
    head.cmsg_len = CMSG_LEN(sizeof value);
    std::memcpy(control + header.msg_controllen, &head, sizeof head);
    std::memcpy(control + header.msg_controllen + CMSG_LEN(0), &value, sizeof value);
    header.msg_control = control;
    header.msg_controllen += CMSG_SPACE(sizeof value);
  };
  if (trains_[index]) put(SOL_UDP, udp_segment, static_cast<uint16_t>(message.segment_bytes));
  if (message.way.has_place()) {
    if (is_v6) {
      // Also on its way to IPv4 the kernel reads IPv6's field, and wants a mapped address in it.
      const bool is_any4 = message.to.is_mapped() && !message.way.has_local();
      const std::array<uint8_t, 16> local = is_any4 ? mapped(in_addr{}) : message.way.local;
      in6_pktinfo info{};
      std::memcpy(&info.ipi6_addr, local.data(), local.size());
      info.ipi6_ifindex = message.way.interface_index;
      put(SOL_IPV6, IPV6_PKTINFO, info);
    } else {
      in_pktinfo info{};
      std::memcpy(&info.ipi_spec_dst, message.way.local.data() + 12, sizeof info.ipi_spec_dst);
      info.ipi_ifindex = static_cast<int>(message.way.interface_index);
      put(SOL_IP, IP_PKTINFO, info);
    }
  }
  if (traffic_class && message.traffic_class != 0) {
    // Also on an IPv6 socket the kernel sends to a mapped address as IPv4, and looks for IPv4's field then.
    const int value = message.traffic_class;
    if (message.to.is_mapped()) put(SOL_IP, IP_TOS, value);
    else put(SOL_IPV6, IPV6_TCLASS, value);
  }
  return true;
}

void UdpSender::open(int fd, bool is_v6, const Offloads& wanted) {
  fd_ = fd;
  is_v6_ = is_v6;
  traffic_class_ = wanted.traffic_class;
  const int none = 0;
  segment_ = wanted.udp_segment && setsockopt(fd, SOL_UDP, udp_segment, &none, sizeof none) == 0;
}

void UdpSender::keep_whole() {
  keeps_whole_ = true;
  (void)set_socket(fd_, false, false);
  if (is_v6_) (void)set_socket(fd_, true, false);
}

int UdpSender::set_whole(const UdpMessage& message, Call& call, LaneCounters& counters) {
  const bool is_v6 = !message.to.is_mapped();
  bool& now = is_whole_[is_v6 ? 1 : 0];
  if (!keeps_whole_ || message.way.is_whole == now || message.segment_bytes <= never_cut_bytes || (is_v6 && !is_v6_)) return 0;
  const int error = call.is_empty() ? 0 : flush(call, counters);
  if (set_socket(fd_, is_v6, message.way.is_whole)) now = message.way.is_whole;
  return error;
}

int UdpSender::send(std::span<const UdpMessage> messages, LaneCounters& counters) {
  int error = 0;
  for (const UdpMessage& message : messages) {
    if (error == 0) error = set_whole(message, calls_, counters);
    // Full or broken: the rest would fare no better.
    if (error != 0) {
      counters.drop(Drop::io_error, message.segments);
    } else if (message.segments > 1 && !segment_) {
      error = send_cut(message, calls_, counters);
    } else {
      if (!calls_.add(message, message.bytes, true, is_v6_, traffic_class_)) {
        counters.drop(Drop::io_error, message.segments);
        tell(message, EAFNOSUPPORT);
      }
      if (calls_.is_full()) error = flush(calls_, counters);
    }
  }
  if (error == 0) error = flush(calls_, counters);
  return error == EAGAIN ? 0 : error;
}

int UdpSender::send_cut(const UdpMessage& message, Call& call, LaneCounters& counters) {
  size_t at = 0;
  for (size_t sent = 0; sent < message.segments; sent++) {
    const size_t length = std::min(message.segment_bytes, message.bytes.size() - at);
    if (!call.add(message, part(message.bytes, at, length), false, is_v6_, traffic_class_)) counters.drop(Drop::io_error);
    at += length;
    if (!call.is_full()) continue;
    if (const int error = flush(call, counters)) {
      counters.drop(Drop::io_error, message.segments - sent - 1);
      return error;
    }
  }
  return 0;
}

int UdpSender::flush(Call& call, LaneCounters& counters) {
  size_t at = 0;
  int error = 0;
  while (at < call.size() && error == 0) {
    const int result = sendmmsg(fd_, call.from(at), static_cast<unsigned>(call.size() - at), MSG_DONTWAIT);
    if (result > 0) {
      counters.udp_sends.add();
      at += static_cast<size_t>(result);
    } else if (errno == EAGAIN || is_socket_broken(errno)) {
      error = errno;
    } else if (errno != EINTR) {
      error = refuse(call, at++, errno, counters);
    }
  }
  for (; at < call.size(); at++) counters.drop(Drop::io_error, call.datagrams(at));
  call.clear();
  return error;
}

void UdpSender::tell(const UdpMessage& message, int error) const {
  if (!message.tells || !on_refusal_) return;
  if (const auto failure = failure_of(error, message.way)) on_refusal_(message, *failure);
}

// The error belongs to this message, or came in by ICMP from an earlier one.
int UdpSender::refuse(Call& call, size_t index, int error, LaneCounters& counters) {
  if (!call.is_train(index) || !is_about_trains(error)) {
    counters.drop(Drop::io_error, call.datagrams(index));
    tell(call.message(index), error);
    return 0;
  }
  if (is_about_all_trains(error)) segment_ = false;
  if (const int failed = send_cut(call.message(index), cut_, counters)) return failed;
  return flush(cut_, counters);
}

}  // namespace i3
