// What a host does with packets from its TUN, and with packets that arrive for it (docs/datapath.md).
#pragma once

#include "icmp-errors.h"
#include "lane-state.h"

namespace i3 {

// An IP packet in a buffer with Lane::tun_slack_bytes behind it, whose bytes may be changed.
struct Inner {
  MutableBytes buffer;
  size_t at;
  size_t length;
  ChecksumState checksum;
  // Of the other family, from which it was made; empty: none.
  Bytes original{};

  MutableBytes packet() const { return part(buffer, at, length); }
};

// How packets get to the TUN: what they must carry, the flow that they belong to, and how they were protected.
struct TunTarget {
  const Rewrites& rewrites;
  const FlowName& flow;
  uint8_t strength;
};

class HostRules {
 public:
  explicit HostRules(LaneContext& lane);

  // A packet, or several in one, that a local program sent; `bytes` without the slack.
  void from_tun(MutableBytes buffer, size_t bytes, const VnetHeader& vnet);
  void from_tun(const Inner& inner);
  // What waits in a way, or in all, goes through the flow as it now is, in order.
  void release(Flow& flow, FlowWay& way);
  void release(Flow& flow);
  // As release, but set-ups that the control plane knows of go on.
  void judge_again(Flow& flow);
  // The waiting packets are dropped; the next one asks again.
  void discard(FlowWay& way, Drop reason, bool answer);
  void discard(Flow& flow, Drop reason, bool answer);

  // An IP packet for an id of ours, as it stands in the datagram.
  void arrived(const TunTarget& target, MutableBytes bytes, uint8_t outer_class, ChecksumState state);
  // ESP from the SPI on. `straight`: the datagram that is nothing else; nullptr: it was behind a data header.
  void esp_arrived(MutableBytes packet, uint8_t outer_class, const UdpInput* straight);
  // A batch begins: tables may have changed.
  void forget() {
    cached_name_ = nullptr;
    last_to_.is_known = false;
    last_aside_.peers = nullptr;
  }

 private:
  // Where packets from the TUN go by their destination.
  struct ToFlow {
    bool is_known = false;
    FlowName destination;
    Flow* flow = nullptr;
    // The destination is behind the flow's peer; nullptr: it is the peer.
    Behind* behind = nullptr;
  };
  const ToFlow& flow_to(Bytes destination);
  void use_flow(Flow& flow, const Inner& inner);
  void use_needed_way(Flow& flow, const Inner& inner);
  void use_way(Flow& flow, FlowWay& way, const Inner& inner);
  void wait(Flow& flow, FlowWay& way, const Inner& inner);
  void take_waiting(FlowWay& way, std::vector<Waiting>& into);
  void use_again(Flow& flow, std::vector<Waiting>& packets);
  bool may_answer(Bytes packet);
  void answer(const IcmpError& error, Bytes packet);
  void answer_sender(IcmpError error, const Inner& inner);
  static bool is_own(const FlowWay& way, Bytes packet);
  void send(Flow& flow, const FlowWay& way, const Inner& inner);
  bool fits_mtu(Flow& flow, const FlowWay& way, const Inner& inner);
  void send_fragments(Flow& flow, const FlowWay& way, const Inner& inner);
  void send_fragments6(Flow& flow, const FlowWay& way, const Inner& inner, size_t most);
  void emit(Flow& flow, const FlowWay& way, const Inner& inner);
  void emit_plain(Flow& flow, const FlowWay& way, const Inner& inner);
  void emit_sealed(Flow& flow, const FlowWay& way, const Inner& inner);
  void count_out(Flow& flow, Bytes packet);
  const Endpoint* server_of(const FlowWay& way) const;
  Flow* flow_named(const FlowName& name);

  struct Opened {
    MutableBytes payload;
    uint8_t next_header = 0;
    ChecksumState checksum = ChecksumState::complete;
  };
  std::optional<Opened> open(InboundAssociation& association, MutableBytes packet, uint64_t sequence, const UdpInput* straight);
  bool tell_elsewhere(const InboundAssociation& association, const UdpInput& origin);
  static bool needs_look_inside(uint8_t next_header, Bytes payload);
  void beet_arrived(const InboundAssociation& association, const Opened& opened, uint8_t traffic_class);
  struct Judged {
    const RewritePlan* plan = nullptr;
    // For what it quotes, the other way round.
    const RewritePlan* quoted = nullptr;
    // Where they point for an error about a host behind the peer.
    std::optional<RewritePlan> kept;
    Transport transport;
    // Of a host behind the peer, or about it.
    Behind* behind = nullptr;
    // It goes on as a packet of the other family; nullptr: as it is.
    const Translation* translation = nullptr;
  };
  Behind* behind_of(const RewritePlan& peers, Bytes host) const;
  bool is_forwarded(const TunTarget& target, const RewritePlan& peers, Bytes packet) const;
  bool may_speak(const RewritePlan& peers, Bytes source) const;
  // A packet, no error, between a host behind the peer and this one, or between the peer and a host behind this one.
  struct Aside {
    // Of the peer and this host; nullptr: nothing is known.
    const RewritePlan* peers = nullptr;
    RewritePlan plan;
    Behind* behind = nullptr;
    const Translation* translation = nullptr;
  };
  static void use_aside(const Aside& aside, Judged& judged);
  Drop judge(const TunTarget& target, Bytes packet, Judged& judged);
  Drop deliver(const TunTarget& target, const Judged& judged, MutableBytes packet, ChecksumState state);

  // In host-translation.cc.
  Flow* other_of(const Flow& flow) const;
  const Translation* translation_of(Bytes flow, Bytes packet) const;
  bool turn_back(const Flow& flow, const Inner& inner);
  Drop write_translated(const Translation& translation, MutableBytes packet, ChecksumState state);
  Drop write_fragments6(MutableBytes packet, uint32_t identification);

  LaneContext& lane_;
  // For fragments, and for those of fragments that take another way; `cutting_` says how many of them are in use.
  std::array<std::vector<uint8_t>, 2> scratch_;
  size_t cutting_ = 0;
  // For packets from the TUN that become ones of the other family.
  std::vector<uint8_t> turned_;
  const FlowName* cached_name_ = nullptr;
  Flow* cached_flow_ = nullptr;
  // Of the last packet of the batch: those of a train go the same way.
  ToFlow last_to_;
  Aside last_aside_;
};

}  // namespace i3
