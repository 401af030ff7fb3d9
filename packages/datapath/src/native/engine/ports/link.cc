#include "link.h"

#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>

#include "../../unique-fd.h"
#include "../limits.h"

namespace i3 {
namespace {

// The kernel answers within the call; this only keeps a bug from hanging the process.
constexpr timeval patience{.tv_sec = 5, .tv_usec = 0};
// What the engine puts around a packet at most (data header with a stack of one, ESP, trailer).
constexpr uint32_t overhead_bytes = 100;
// Packets that may wait for the worker. The kernel's 500 are 4 ms of small packets at a gigabit a second: a worker that waits for a
// processor that long loses some. A thousand is what network cards and the kernel's own WireGuard have.
constexpr uint32_t queue_packets = 1'000;
// TCP leaves this much of the limit for headers (MAX_TCP_HEADER in the kernel).
constexpr uint32_t headers_bytes = 1'024;

struct Attribute {
  rtattr head;
  uint32_t value;
};
static_assert(sizeof(Attribute) == RTA_LENGTH(sizeof(uint32_t)));

// | nlmsghdr | ifinfomsg | rtattr, value | …
struct LinkRequest {
  nlmsghdr head{};
  ifinfomsg body{};
  std::array<Attribute, 2> attributes{};
};
static_assert(sizeof(LinkRequest) == NLMSG_LENGTH(sizeof(ifinfomsg)) + 2 * sizeof(Attribute));

struct Acknowledgement {
  nlmsghdr head;
  nlmsgerr body;
};

Attribute attribute(unsigned short type, uint32_t value) { return {{static_cast<unsigned short>(sizeof(Attribute)), type}, value}; }

// errno, 0 when it went well.
int set_link(int socket, unsigned index, std::span<const Attribute> attributes) {
  LinkRequest request;
  request.head.nlmsg_len = static_cast<uint32_t>(NLMSG_LENGTH(sizeof(ifinfomsg)) + attributes.size_bytes());
  request.head.nlmsg_type = RTM_NEWLINK;
  request.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  request.body.ifi_index = static_cast<int>(index);
  std::copy(attributes.begin(), attributes.end(), request.attributes.begin());
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  if (sendto(socket, &request, request.head.nlmsg_len, 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) < 0) return errno;
  Acknowledgement answer{};
  const ssize_t length = recv(socket, &answer, sizeof answer, MSG_TRUNC);
  if (length < 0) return errno;
  if (static_cast<size_t>(length) < NLMSG_LENGTH(sizeof(int)) || answer.head.nlmsg_type != NLMSG_ERROR) return EPROTO;
  return -answer.body.error;
}

}  // namespace

std::optional<PortError> tune_link(unsigned index, uint32_t mtu, bool trains) {
  i3io::UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket) return PortError{errno, "RTM_NEWLINK", "socket"};
  if (setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0) return PortError{errno, "RTM_NEWLINK", "setsockopt"};
  const std::array size{attribute(IFLA_MTU, mtu)};
  if (const int error = set_link(socket.get(), index, size)) return PortError{error, "RTM_NEWLINK", "mtu"};
  // Only bursts hang on it.
  const std::array queue{attribute(IFLA_TXQLEN, queue_packets)};
  (void)set_link(socket.get(), index, queue);
  if (!trains) return std::nullopt;
  // So that a train from the TUN leaves as one UDP_SEGMENT send. Only speed hangs on it, and not every kernel lets it be set.
  const auto most = static_cast<uint32_t>(limits::gso_segments);
  const uint32_t segments = std::clamp(static_cast<uint32_t>(limits::gso_bytes) / (mtu + overhead_bytes), 1U, most);
  const uint32_t bytes = std::min(segments * mtu + headers_bytes, 65'535U);
  const std::array train{attribute(IFLA_GSO_MAX_SEGS, segments), attribute(IFLA_GSO_MAX_SIZE, bytes)};
  (void)set_link(socket.get(), index, train);
  return std::nullopt;
}

// Not by netlink: RTM_GETSTATS waits for a lock that everybody on the machine can keep busy.
void QueueLosses::open(const char* name, unsigned index) {
  const std::string directory = std::string("/sys/class/net/") + name;
  std::array<char, 24> text{};
  const i3io::UniqueFd device(::open((directory + "/ifindex").c_str(), O_RDONLY | O_CLOEXEC));
  // Where /sys is another network namespace's.
  if (!device || ::read(device.get(), text.data(), text.size() - 1) <= 0 || std::strtoul(text.data(), nullptr, 10) != index) return;
  file_ = i3io::UniqueFd(::open((directory + "/statistics/tx_dropped").c_str(), O_RDONLY | O_CLOEXEC));
}

uint64_t QueueLosses::read() {
  std::array<char, 24> text{};
  if (file_ && pread(file_.get(), text.data(), text.size() - 1, 0) > 0) last_ = std::strtoull(text.data(), nullptr, 10);
  return last_;
}

}  // namespace i3
