#include "netlink.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>

#include "system-error.h"

namespace i3io {
namespace {

// The kernel's dump messages are at most this long.
constexpr size_t receive_bytes = 64 * 1024;
// The kernel answers within the call; this only keeps a bug from hanging the process.
constexpr timeval patience{.tv_sec = 5, .tv_usec = 0};

// NLMSG_ERROR: | error (negative errno, 0 = acknowledgement) | nlmsghdr of the request | attributes (NETLINK_EXT_ACK) |
NetlinkResult read_error(const NetlinkMessage& message) {
  NetlinkResult result;
  result.error = -read_as<nlmsgerr>(message.body).error;
  if (result.error == 0 || (message.flags & NLM_F_ACK_TLVS) == 0) return result;
  for_each_attribute(after<nlmsgerr>(message.body), [&result](uint16_t type, std::span<const uint8_t> value) {
    if (type != NLMSGERR_ATTR_MSG || value.empty()) return;
    const auto* text = reinterpret_cast<const char*>(value.data());
    result.message.assign(text, strnlen(text, value.size()));
  });
  return result;
}

}  // namespace

bool for_each_message(std::span<const uint8_t> bytes, const MessageVisitor& visit) {
  while (bytes.size() >= sizeof(nlmsghdr)) {
    const auto header = read_as<nlmsghdr>(bytes);
    if (header.nlmsg_len < sizeof(nlmsghdr) || header.nlmsg_len > bytes.size()) return false;
    visit({header.nlmsg_type, header.nlmsg_flags, header.nlmsg_seq, bytes.subspan(sizeof(nlmsghdr), header.nlmsg_len - sizeof(nlmsghdr))});
    bytes = bytes.subspan(std::min<size_t>(NLMSG_ALIGN(header.nlmsg_len), bytes.size()));
  }
  return bytes.empty();
}

bool for_each_attribute(std::span<const uint8_t> bytes, const AttributeVisitor& visit) {
  while (bytes.size() >= sizeof(rtattr)) {
    const auto header = read_as<rtattr>(bytes);
    if (header.rta_len < sizeof(rtattr) || header.rta_len > bytes.size()) return false;
    visit(header.rta_type & NLA_TYPE_MASK, bytes.subspan(sizeof(rtattr), header.rta_len - sizeof(rtattr)));
    bytes = bytes.subspan(std::min<size_t>(RTA_ALIGN(header.rta_len), bytes.size()));
  }
  return bytes.empty();
}

UniqueFd open_netlink(int protocol) {
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!fd) return fd;
  const int on = 1;
  // Both only make errors readable; old kernels have neither.
  setsockopt(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  if (setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0) return UniqueFd();
  return fd;
}

int send_to_kernel(int fd, Request& request, uint32_t sequence) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  const std::span<const uint8_t> bytes = request.finish(sequence);
  if (bytes.empty()) return EMSGSIZE;
  while (sendto(fd, bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) < 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

std::span<const uint8_t> receive_from_kernel(int fd, std::span<uint8_t> buffer, int flags) {
  for (;;) {
    sockaddr_nl from{};
    socklen_t from_bytes = sizeof from;
    const ssize_t length = recvfrom(fd, buffer.data(), buffer.size(), flags | MSG_TRUNC, reinterpret_cast<sockaddr*>(&from), &from_bytes);
    if (length < 0 && errno == EINTR) continue;
    if (length < 0) return {};
    // Only the kernel is port 0.
    if (from.nl_pid != 0) continue;
    if (length > 0 && static_cast<size_t>(length) <= buffer.size()) return buffer.first(static_cast<size_t>(length));
    errno = EMSGSIZE;
    return {};
  }
}

int NetlinkSocket::open() {
  if (fd_) return 0;
  fd_ = open_netlink(protocol_);
  if (!fd_) return errno;
  buffer_.resize(receive_bytes);
  return 0;
}

int NetlinkSocket::send(Request& request) {
  const int error = open();
  return error != 0 ? error : send_to_kernel(fd_.get(), request, ++sequence_);
}

std::span<const uint8_t> NetlinkSocket::receive() { return receive_from_kernel(fd_.get(), buffer_, 0); }

// A socket that failed half-way may still hold answers to an old request: the next request opens a new one.
NetlinkResult NetlinkSocket::fail(int error) {
  fd_.reset(-1);
  return {error, {}};
}

NetlinkResult NetlinkSocket::acknowledge(Request& request) {
  if (const int error = send(request)) return fail(error);
  for (;;) {
    const std::span<const uint8_t> bytes = receive();
    if (bytes.empty()) return fail(errno);
    bool done = false;
    NetlinkResult result;
    for_each_message(bytes, [&](const NetlinkMessage& message) {
      if (message.sequence != sequence_ || message.type != NLMSG_ERROR) return;
      result = read_error(message);
      done = true;
    });
    if (done) return result;
  }
}

NetlinkResult NetlinkSocket::dump(Request& request, const MessageVisitor& visit) {
  if (const int error = send(request)) return fail(error);
  bool interrupted = false;
  for (;;) {
    const std::span<const uint8_t> bytes = receive();
    if (bytes.empty()) return fail(errno);
    bool done = false;
    NetlinkResult result;
    for_each_message(bytes, [&](const NetlinkMessage& message) {
      if (message.sequence != sequence_) return;
      if ((message.flags & NLM_F_DUMP_INTR) != 0) interrupted = true;
      if (message.type == NLMSG_ERROR) result = read_error(message);
      if (message.type == NLMSG_DONE || message.type == NLMSG_ERROR) done = true;
      else visit(message);
    });
    if (done && result.error == 0 && interrupted) result.error = EAGAIN;
    if (done) return result;
  }
}

napi_value finish_request(napi_env env, const NetlinkResult& result, const char* syscall) {
  if (result.error == 0) return nullptr;
  return throw_system(env, result.error, syscall, result.message.empty() ? nullptr : result.message.c_str());
}

}  // namespace i3io
