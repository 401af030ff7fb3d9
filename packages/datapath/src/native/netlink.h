// Netlink (rtnetlink(7), and netfilter's): building requests, waiting for their acknowledgement, walking answers.
//
//     nlmsghdr | family header (ifinfomsg, ifaddrmsg, rtmsg, fib_rule_hdr, nfgenmsg) | rtattr, rtattr, …
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <node_api.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "unique-fd.h"

namespace i3io {

// What our routes and rules carry as their origin (`proto` of ip-route(8)), so that leftovers of a killed proxy can be told.
constexpr uint8_t route_protocol = 105;

// One request in a buffer of fixed size, which is enough for every message of this addon.
class Request {
 public:
  template <typename Body>
  Request(uint16_t type, uint16_t flags, const Body& body) {
    header().nlmsg_type = type;
    header().nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
    append(&body, sizeof body);
  }

  void attribute(uint16_t type, std::span<const uint8_t> value) {
    rtattr head{};
    head.rta_type = type;
    head.rta_len = static_cast<uint16_t>(sizeof head + value.size());
    append(&head, sizeof head);
    append(value.data(), value.size());
  }
  void attribute_u32(uint16_t type, uint32_t value) {
    attribute_of(type, value);
  }
  template <typename Value>
  void attribute_of(uint16_t type, const Value& value) {
    attribute(type, std::span(reinterpret_cast<const uint8_t*>(&value), sizeof value));
  }
  // Attributes up to `end_nest` are inside this one. Returns what `end_nest` wants.
  size_t begin_nest(uint16_t type) {
    const size_t at = length_;
    attribute(static_cast<uint16_t>(type | NLA_F_NESTED), {});
    return at;
  }
  void end_nest(size_t at) {
    const auto length = static_cast<uint16_t>(length_ - at);
    if (is_whole_) std::memcpy(buffer_.data() + at, &length, sizeof length);  // rta_len is first
  }

  // Empty when not everything fitted: a request that is cut may mean another thing.
  std::span<const uint8_t> finish(uint32_t sequence) {
    if (!is_whole_) return {};
    header().nlmsg_len = static_cast<uint32_t>(length_);
    header().nlmsg_seq = sequence;
    return std::span(buffer_).first(length_);
  }

 private:
  nlmsghdr& header() { return *reinterpret_cast<nlmsghdr*>(buffer_.data()); }
  // Every part is padded to four bytes.
  void append(const void* data, size_t size) {
    if (length_ + NLMSG_ALIGN(size) > buffer_.size()) is_whole_ = false;
    if (size == 0 || !is_whole_) return;
    std::memcpy(buffer_.data() + length_, data, size);
    length_ += NLMSG_ALIGN(size);
  }

  alignas(nlmsghdr) std::array<uint8_t, 512> buffer_{};
  size_t length_ = sizeof(nlmsghdr);
  bool is_whole_ = true;
};

struct NetlinkResult {
  int error = 0;        // errno of the kernel, 0 when it went well
  std::string message;  // the kernel's own words, if it had some
};

// A received message: its type and what follows nlmsghdr.
struct NetlinkMessage {
  uint16_t type;
  uint16_t flags;
  uint32_t sequence;
  std::span<const uint8_t> body;
};

using MessageVisitor = std::function<void(const NetlinkMessage&)>;
using AttributeVisitor = std::function<void(uint16_t type, std::span<const uint8_t> value)>;

// Bytes that are no whole message or attribute end the walk; false then.
bool for_each_message(std::span<const uint8_t> bytes, const MessageVisitor& visit);
bool for_each_attribute(std::span<const uint8_t> bytes, const AttributeVisitor& visit);

// Copies a value of fixed size out of possibly unaligned bytes; zeros when there are too few.
template <typename Value>
Value read_as(std::span<const uint8_t> bytes) {
  Value value{};
  if (bytes.size() >= sizeof value) std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

// The attributes behind the family header of a message.
template <typename Header>
std::span<const uint8_t> after(std::span<const uint8_t> body) {
  const size_t offset = NLMSG_ALIGN(sizeof(Header));
  return body.size() > offset ? body.subspan(offset) : std::span<const uint8_t>();
}

// A socket of the protocol (NETLINK_ROUTE, NETLINK_NETFILTER), or none with errno set.
UniqueFd open_netlink(int protocol);
// EMSGSIZE when the request is not whole. 0: sent.
int send_to_kernel(int fd, Request& request, uint32_t sequence);
// One datagram of the kernel; others may send to the socket too. Empty with errno set on failure, EMSGSIZE: it was longer than `buffer`, and is gone.
std::span<const uint8_t> receive_from_kernel(int fd, std::span<uint8_t> buffer, int flags);

// The socket for requests, opened by the first one and kept. The kernel answers within the call that asks.
class NetlinkSocket {
 public:
  explicit NetlinkSocket(int protocol) : protocol_(protocol) {}
  // Sends and waits for the acknowledgement.
  NetlinkResult acknowledge(Request& request);
  // Sends a dump request and visits every message of the answer. EAGAIN when tables kept changing meanwhile.
  NetlinkResult dump(Request& request, const MessageVisitor& visit);
  // The socket itself, which is no longer this one's.
  UniqueFd take() { return std::move(fd_); }

 private:
  int open();
  int send(Request& request);
  // One datagram; empty with errno set on failure.
  std::span<const uint8_t> receive();
  NetlinkResult fail(int error);

  int protocol_;
  UniqueFd fd_;
  uint32_t sequence_ = 0;
  std::vector<uint8_t> buffer_;
};

// Throws unless it went well; returns undefined (nullptr).
napi_value finish_request(napi_env env, const NetlinkResult& result, const char* syscall);

}  // namespace i3io
