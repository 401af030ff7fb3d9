// sendmmsg with UDP_SEGMENT: many datagrams, and trains of them, in one call.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <functional>

#include "../counters.h"
#include "../packets.h"
#include "offloads.h"

namespace i3 {

class UdpSender {
 public:
  // `wanted.udp_segment` false: also for sockets that are none of UDP.
  void open(int fd, bool is_v6, const Offloads& wanted);
  // For UDP: from now on messages stay whole that are to. Otherwise the system decides.
  void keep_whole();
  // `handler`: called for messages that tell, when the kernel refuses them for a reason that is about where they go.
  using RefusalHandler = std::function<void(const UdpMessage&, SendFailure)>;
  void on_refusal(RefusalHandler handler) { on_refusal_ = std::move(handler); }
  // What the kernel does not take is counted io_error. errno when the socket is broken, otherwise 0.
  int send(std::span<const UdpMessage> messages, LaneCounters& counters);

  bool segments() const { return segment_; }

 private:
  // Headers of one call. They fit one object, so nothing is allocated per packet.
  class Call {
   public:
    bool is_full() const { return count_ == most; }
    bool is_empty() const { return count_ == 0; }
    void clear() { count_ = 0; }
    // `message` may be a train; `whole` false: it is cut and this is the datagram `bytes` of it. False: its family is not ours.
    bool add(const UdpMessage& message, Bytes bytes, bool whole, bool is_v6, bool traffic_class);

    size_t size() const { return count_; }
    mmsghdr* from(size_t index) { return &headers_[index]; }
    const UdpMessage& message(size_t index) const { return *messages_[index]; }
    // How many datagrams it is.
    size_t datagrams(size_t index) const { return is_train(index) ? messages_[index]->segments : 1; }
    bool is_train(size_t index) const { return trains_[index]; }

   private:
    static constexpr size_t most = 64;
    static constexpr size_t control_bytes = CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(in6_pktinfo));
    struct alignas(cmsghdr) Control {
      std::array<uint8_t, control_bytes> bytes{};
    };

    std::array<mmsghdr, most> headers_{};
    std::array<iovec, most> vectors_{};
    std::array<sockaddr_in6, most> names_{};
    std::array<Control, most> controls_{};
    std::array<const UdpMessage*, most> messages_{};
    std::array<bool, most> trains_{};
    size_t count_ = 0;
  };

  // Both return the errno that ends all sending (socket full or broken), otherwise 0. `call` is empty afterwards.
  int flush(Call& call, LaneCounters& counters);
  // Datagram by datagram.
  int send_cut(const UdpMessage& message, Call& call, LaneCounters& counters);
  int refuse(Call& call, size_t index, int error, LaneCounters& counters);
  void tell(const UdpMessage& message, int error) const;
  // Sets the socket for `message`. What waits in `call` goes out before. errno as flush().
  int set_whole(const UdpMessage& message, Call& call, LaneCounters& counters);

  int fd_ = -1;
  bool is_v6_ = false;
  bool traffic_class_ = false;
  Flag segment_;
  bool keeps_whole_ = false;
  // How the socket is set, for IPv4 and IPv6.
  std::array<bool, 2> is_whole_{};
  RefusalHandler on_refusal_;
  Call calls_;
  // For trains that the kernel refuses while `calls_` is being sent.
  Call cut_;
};

}  // namespace i3
