// Datagrams by their first byte (docs/datapath.md, "From UDP").
#pragma once

#include "hip-rules.h"
#include "host-rules.h"
#include "server-rules.h"

namespace i3 {

class UdpRules {
 public:
  UdpRules(LaneContext& lane, HostRules& host, ServerRules& server, HipRules& hip) : lane_(lane), host_(host), server_(server), hip_(hip) {}
  void arrived(std::span<const UdpInput> inputs);

 private:
  // Datagrams that are looked at together, so that the tables' memory is on its way when it is needed: with a million triggers
  // each look-up would otherwise wait twice for it.
  static constexpr size_t window = 64;
  struct Datagram {
    MutableBytes bytes;
    const UdpInput* input;
  };

  bool pass_train(const UdpInput& input);
  void add(const Datagram& datagram);
  void finish_window();
  void one(const Datagram& datagram);
  void control(const Datagram& datagram);
  void data(const Datagram& datagram);
  void for_this_host(const InboundEntry& entry, const Datagram& datagram, size_t header_bytes);

  LaneContext& lane_;
  HostRules& host_;
  ServerRules& server_;
  HipRules& hip_;
  std::array<Datagram, window> waiting_{};
  size_t waiting_count_ = 0;
};

}  // namespace i3
