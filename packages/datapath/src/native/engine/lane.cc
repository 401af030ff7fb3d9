#include "lane.h"

#include "udp-rules.h"

namespace i3 {

class LaneState {
 public:
  LaneState(Tables& tables, Shared& shared, size_t index) : context(tables, shared, index), host(context), server(context), hip(context), refresh(context), challenge(context), udp(context, host, server, hip, refresh, challenge) {}

  LaneContext context;
  HostRules host;
  ServerRules server;
  HipRules hip;
  RefreshRules refresh;
  ChallengeRules challenge;
  UdpRules udp;
  // Output of the control plane that this batch writes, and input that came by a detour.
  std::deque<HeldPacket> packets;
  std::deque<HeldDatagram> detoured;

  void take_held();
  void read_detoured();
};

// First in, first out, before anything new. The packets stay until the batch has ended, since the outbox points into them.
void LaneState::take_held() {
  Shared& shared = context.shared;
  if (!shared.output_waits.load(std::memory_order_acquire)) return;
  std::deque<HeldDatagram> datagrams;
  {
    const std::lock_guard lock(shared.mutex);
    shared.output_waits.store(false, std::memory_order_release);
    datagrams = shared.datagrams.take_all();
    packets = shared.packets.take_all();
    detoured = shared.detoured.take_all();
  }
  for (const HeldDatagram& held : datagrams) {
    const auto [refused, room] = context.udp.reserve(held.to, held.traffic_class, held.bytes.size(), held.way, held.tells);
    if (refused != Drop::none) context.drop(refused);
    else copy_to(room, 0, held.bytes);
  }
  for (HeldPacket& held : packets) context.tun.add_as_is(held.bytes, held.checksum);
}

// As if it had come by the main port.
void LaneState::read_detoured() {
  std::vector<UdpInput> inputs;
  for (HeldDatagram& held : detoured) inputs.push_back({held.bytes, 0, held.to, 0, Way()});
  UdpPlace place;
  // What waits here is bounded; so this batch may put out more than others.
  while (!udp.arrived(inputs, place)) udp.begin();
}

Lane::Lane(Tables& tables, Shared& shared, size_t index) : state_(std::make_unique<LaneState>(tables, shared, index)) {}
Lane::~Lane() = default;

void Lane::lock() { state_->context.tables.gates[state_->context.index].lock(); }
void Lane::unlock() {
  state_->context.tables.gates[state_->context.index].unlock();
  state_->context.shared.tell_news();
}

void Lane::begin(double now_ms, Sink& sink, const Capabilities& capabilities) {
  LaneContext& context = state_->context;
  context.now_ms = std::max(context.now_ms, now_ms);
  context.shares.begin(context.now_ms);
  context.udp.attach(sink);
  context.tun.attach(sink, capabilities);
  state_->host.forget();
  state_->take_held();
  state_->udp.begin();
  if (!state_->detoured.empty()) state_->read_detoured();
}

void Lane::from_tun(MutableBytes buffer, size_t packet_bytes, const VnetHeader& vnet) { state_->host.from_tun(buffer, packet_bytes, vnet); }
bool Lane::from_udp(std::span<const UdpInput> inputs, UdpPlace& place) { return state_->udp.arrived(inputs, place); }

void Lane::saw_tun(bool more) { state_->context.shares.saw(FairShares::Side::tun, more); }
void Lane::saw_udp(bool more) { state_->context.shares.saw(FairShares::Side::udp, more); }
void Lane::saw_hip(bool more) { state_->context.shares.saw(FairShares::Side::hip, more); }
void Lane::saw_loss() { state_->context.shares.saw_loss(); }

void Lane::end() {
  LaneContext& context = state_->context;
  context.udp.detach();
  context.tun.detach();
  context.forget_copies();
  state_->packets.clear();
  state_->detoured.clear();
}

void Lane::send_failed(const Endpoint& to, const Way& way, SendFailure reason) {
  LaneContext& context = state_->context;
  const std::lock_guard lock(context.shared.mutex);
  if (!context.shared.send_failures.allow(context.now_ms, to, way) || context.upcalls_full(1)) return;
  Upcall upcall;
  upcall.kind = UpcallKind::send_failed;
  upcall.failure = reason;
  upcall.from = to;
  upcall.way = way;
  context.push_upcall(std::move(upcall));
}

LaneCounters& Lane::counters() { return state_->context.counters; }
HostRules& Lane::host() { return state_->host; }
ServerRules& Lane::server() { return state_->server; }
LaneContext& Lane::context() { return state_->context; }

}  // namespace i3
