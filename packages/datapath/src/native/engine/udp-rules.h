// Datagrams by their first byte (docs/datapath.md, "From UDP").
#pragma once

#include "challenge-rules.h"
#include "hip-rules.h"
#include "host-rules.h"
#include "refresh-rules.h"
#include "server-rules.h"

namespace i3 {

class UdpRules {
 public:
  UdpRules(LaneContext& lane, HostRules& host, ServerRules& server, HipRules& hip, RefreshRules& refresh, ChallengeRules& challenge)
      : lane_(lane), host_(host), server_(server), hip_(hip), refresh_(refresh), challenge_(challenge) {}
  // What the batch puts out, and its hops, are counted from now on.
  void begin() { output_before_ = output(); }
  // Lane::from_udp.
  bool arrived(std::span<const UdpInput> inputs, UdpPlace& place);

 private:
  // Datagrams that are looked at together, so that the tables' memory is on its way when it is needed: with a million triggers
  // each look-up would otherwise wait twice for it.
  static constexpr size_t window = 64;
  struct Datagram {
    MutableBytes bytes;
    const UdpInput* input;
  };

  bool may_pass(const UdpInput& input) const;
  // False, of both: the batch has put out enough, and the window goes on with `stopped_`.
  bool add(const Datagram& datagram);
  bool finish_window();
  // Packets may lead from id to id for long and put out nothing.
  uint64_t output() const { return lane_.counters.udp_out.read() + lane_.counters.tun_out.read() + lane_.hops / limits::hops_per_output; }
  bool has_put_out_enough() const { return output() - output_before_ >= limits::batch_output; }
  void one(const Datagram& datagram);
  void from_ip(const Datagram& datagram);
  void control(const Datagram& datagram);
  // The shared mutex is held.
  void control_up(const Datagram& datagram);
  void data(const Datagram& datagram);
  void for_this_host(const InboundEntry& entry, const Datagram& datagram, size_t header_bytes);

  LaneContext& lane_;
  HostRules& host_;
  ServerRules& server_;
  HipRules& hip_;
  RefreshRules& refresh_;
  ChallengeRules& challenge_;
  std::array<Datagram, window> waiting_{};
  size_t waiting_count_ = 0;
  Datagram stopped_{};
  uint64_t output_before_ = 0;
};

}  // namespace i3
