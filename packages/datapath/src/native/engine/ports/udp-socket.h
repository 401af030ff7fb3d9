// A UDP socket of one worker.
#pragma once

#include <netinet/in.h>

#include <optional>

#include "../../unique-fd.h"
#include "offloads.h"
#include "port-error.h"
#include "udp-receiver.h"
#include "udp-sender.h"

namespace i3 {

struct UdpOptions {
  bool is_v6 = false;
  sockaddr_in6 name{};  // also holds sockaddr_in, which is shorter
  socklen_t name_bytes = 0;
  // SO_MARK, 0: none.
  uint32_t mark = 0;
  // Each way; 0: the system's.
  int buffer_bytes = 0;
  // hip: it tells which address of ours a datagram came to.
  Via via = Via::udp;
};

// CAP_NET_ADMIN may pass net.core.*mem_max; the others are cut to the limit silently. 0: as it is.
void set_udp_buffers(int fd, int bytes);
bool set_option(int fd, int level, int name, int value);
// -1 with errno.
int bound_port(int fd);

class UdpSocket {
 public:
  // `several`: sockets of other workers have the same port. `first`: this one is alone with it when it is bound, and then lets
  // the others in; so a port that is in use is EADDRINUSE with several workers too.
  std::optional<PortError> open(const UdpOptions& options, bool several, bool first, const Offloads& wanted);
  void close() { fd_.reset(-1); }

  int fd() const { return fd_.get(); }
  explicit operator bool() const { return static_cast<bool>(fd_); }
  uint16_t port() const { return port_; }
  // Asked by other threads too.
  bool segments() const { return sender_.segments(); }
  bool receives_trains() const { return receives_trains_; }
  bool has_traffic_class() const { return has_traffic_class_; }

  void on_refusal(UdpSender::RefusalHandler handler) { sender_.on_refusal(std::move(handler)); }
  UdpReceiver::Received receive() { return receiver_.receive(fd()); }
  // Since this was asked last its buffer has had no room for datagrams.
  bool has_lost();
  int send(std::span<const UdpMessage> messages, LaneCounters& counters) { return sender_.send(messages, counters); }

 private:
  std::optional<PortError> configure(const UdpOptions& options, bool several, bool first);

  i3io::UniqueFd fd_;
  uint16_t port_ = 0;
  uint32_t drops_ = 0;
  bool receives_trains_ = false;
  bool has_traffic_class_ = false;
  UdpReceiver receiver_;
  UdpSender sender_;
};

}  // namespace i3
