// Route netlink (rtnetlink(7)): building requests, waiting for their acknowledgement, walking answers.
//
//     nlmsghdr | family header (ifinfomsg, ifaddrmsg, rtmsg, fib_rule_hdr) | rtattr, rtattr, …
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
    attribute(type, std::span(reinterpret_cast<const uint8_t*>(&value), sizeof value));
  }

  std::span<const uint8_t> finish(uint32_t sequence) {
    header().nlmsg_len = static_cast<uint32_t>(length_);
    header().nlmsg_seq = sequence;
    return std::span(buffer_).first(length_);
  }

 private:
  nlmsghdr& header() { return *reinterpret_cast<nlmsghdr*>(buffer_.data()); }
  // Every part is padded to four bytes. What does not fit is left out; the kernel then refuses the message.
  void append(const void* data, size_t size) {
    if (size == 0 || length_ + NLMSG_ALIGN(size) > buffer_.size()) return;
    std::memcpy(buffer_.data() + length_, data, size);
    length_ += NLMSG_ALIGN(size);
  }

  alignas(nlmsghdr) std::array<uint8_t, 512> buffer_{};
  size_t length_ = sizeof(nlmsghdr);
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

// Bytes that are no whole message or attribute end the walk.
void for_each_message(std::span<const uint8_t> bytes, const MessageVisitor& visit);
void for_each_attribute(std::span<const uint8_t> bytes, const AttributeVisitor& visit);

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

// The socket for requests, opened by the first one and kept. The kernel answers within the call that asks.
class NetlinkSocket {
 public:
  // Sends and waits for the acknowledgement.
  NetlinkResult acknowledge(Request& request);
  // Sends a dump request and visits every message of the answer. EAGAIN when tables kept changing meanwhile.
  NetlinkResult dump(Request& request, const MessageVisitor& visit);

 private:
  int open();
  int send(Request& request);
  // One datagram; empty with errno set on failure.
  std::span<const uint8_t> receive();
  NetlinkResult fail(int error);

  UniqueFd fd_;
  uint32_t sequence_ = 0;
  std::vector<uint8_t> buffer_;
};

// Throws unless it went well; returns undefined (nullptr).
napi_value finish_request(napi_env env, const NetlinkResult& result, const char* syscall);

}  // namespace i3io
