#include "host-rules.h"

#include "checksum.h"
#include "esp-form.h"
#include "ip-translation.h"
#include "mtu.h"
#include "segments.h"

namespace i3 {

HostRules::HostRules(LaneContext& lane) : lane_(lane) {
  for (auto& scratch : scratch_) scratch.resize(Lane::tun_packet_bytes + Lane::tun_slack_bytes);
  turned_.resize(Lane::tun_packet_bytes + translation_growth + Lane::tun_slack_bytes);
}

void HostRules::from_tun(MutableBytes buffer, size_t bytes, const VnetHeader& vnet) {
  const MutableBytes whole = buffer.first(bytes);
  if (vnet.gso_type == VnetHeader::gso_none) {
    lane_.counters.tun_in.add();
    return from_tun({buffer, 0, bytes, take_checksum_state(whole, vnet)});
  }
  const auto length = inner_length(whole);
  const auto segments = length ? Segments::parse(buffer.first(*length), vnet) : std::nullopt;
  if (!segments) {
    lane_.counters.tun_in.add();
    return lane_.drop(Drop::inner_malformed);
  }
  lane_.counters.tun_in.add(segments->count());
  for (size_t i = 0; i < segments->count(); i++) {
    const auto [at, segment_bytes] = segments->make(buffer.first(*length), i);
    from_tun({buffer, at, segment_bytes, ChecksumState::partial});
  }
}

void HostRules::from_tun(const Inner& inner) {
  const auto length = inner_length(inner.packet());
  if (!length) return lane_.drop(Drop::inner_malformed);
  const Inner cut{inner.buffer, inner.at, *length, inner.checksum};
  const Bytes packet = cut.packet();
  if (is_unassignable(packet)) return lane_.drop(Drop::not_allocated);
  const auto [known, destination, flow, behind] = flow_to(destination_of(packet));
  if (flow == nullptr) {
    lane_.drop(Drop::not_allocated);
    return answer(IcmpError::unreachable(), packet);
  }
  if (behind != nullptr) behind->use(lane_.now_ms);
  else if (!lane_.tables.translations.is_empty() && turn_back(*flow, cut)) return;
  use_flow(*flow, cut);
}

const HostRules::ToFlow& HostRules::flow_to(Bytes destination) {
  if (last_to_.is_known && equal(last_to_.destination.view(), destination)) return last_to_;
  ToFlow to{true, FlowName(destination), lane_.tables.flows.find(destination, lane_.tables.hasher)};
  if (to.flow == nullptr) to.behind = lane_.tables.behind.find(destination, lane_.tables.hasher);
  if (to.behind != nullptr) to.flow = lane_.tables.flows.find(to.behind->flow.view(), lane_.tables.hasher);
  return last_to_ = to;
}

void HostRules::use_flow(Flow& flow, const Inner& inner) {
  if (flow.has_more) [[unlikely]] return use_needed_way(flow, inner);
  use_way(flow, flow, inner);
}

// By the way of the strength that the packet needs.
void HostRules::use_needed_way(Flow& flow, const Inner& inner) {
  const MoreOfFlow& more = lane_.tables.flows.more(flow, lane_.tables.hasher);
  const uint8_t need = more.services ? more.services->need(inner.packet()) : strongest;
  FlowWay* way = more.way(need);
  if (way != nullptr) return use_way(flow, *way, inner);
  lane_.drop(Drop::policy);
  if (need == refused_strength) answer_sender(IcmpError::unreachable(), inner);
}

void HostRules::use_way(Flow& flow, FlowWay& way, const Inner& inner) {
  switch (way.action) {
    case FlowAction::setup:
      return wait(flow, way, inner);
    case FlowAction::refuse:
      lane_.drop(Drop::refused);
      return answer_sender(IcmpError::unreachable(), inner);
    case FlowAction::tunnel:
    case FlowAction::esp:
      return send(flow, way, inner);
    case FlowAction::none:
      return lane_.drop(Drop::policy);
  }
}

// Tells the sender, unless the standards forbid it or there were too many.
bool HostRules::may_answer(Bytes packet) {
  if (!may_be_answered(packet)) return false;
  const std::lock_guard lock(lane_.shared.mutex);
  return lane_.shared.errors.allow(lane_.now_ms);
}

void HostRules::answer(const IcmpError& error, Bytes packet) {
  if (!may_answer(packet)) return;
  const MutableBytes made = make_icmp_error(lane_.copy_room(max_icmp_error_bytes), error, packet);
  lane_.tun.add(made, ChecksumState::complete);
}

void HostRules::wait(Flow& flow, FlowWay& way, const Inner& inner) {
  flow.use(lane_.now_ms);
  const std::lock_guard lock(lane_.shared.mutex);
  // As it came: it is judged again, and its sender may have to be told.
  const Bytes packet = inner.original.empty() ? Bytes(inner.packet()) : inner.original;
  if (way.waiting.has_room(packet.size(), limits::queued_packets_per_flow, lane_.shared.budget)) {
    Waiting waiting;
    waiting.buffer.resize(packet.size() + Lane::tun_slack_bytes);
    copy_to(waiting.buffer, 0, packet);
    waiting.length = packet.size();
    waiting.checksum = inner.checksum;
    way.waiting.push(std::move(waiting));
  } else {
    lane_.drop(Drop::queue_full);
  }
  // Asked even when the packet found no room: otherwise a flow could wait for ever behind other flows' queues.
  if (way.asked) return;
  way.asked = true;
  Upcall upcall;
  upcall.kind = UpcallKind::flow_setup;
  upcall.strength = way.strength;
  upcall.name_bytes = flow.address.size;
  copy_to(upcall.name, 0, flow.address.view());
  upcall.bytes.assign(packet.begin(), packet.end());
  if (inner.checksum == ChecksumState::partial) complete_checksum(upcall.bytes);
  lane_.push_upcall(std::move(upcall));
}

void HostRules::take_waiting(FlowWay& way, std::vector<Waiting>& into) {
  const std::lock_guard lock(lane_.shared.mutex);
  for (Waiting& packet : way.waiting.take_all(lane_.shared.budget)) into.push_back(std::move(packet));
}

void HostRules::use_again(Flow& flow, std::vector<Waiting>& packets) {
  // Tables have changed, and this may be outside of a batch.
  forget();
  for (Waiting& packet : packets) {
    const Inner inner{packet.buffer, 0, packet.length, packet.checksum};
    if (address_bytes(inner_version(inner.packet())) == flow.address.size) use_flow(flow, inner);
    else from_tun(inner);
  }
}

void HostRules::release(Flow& flow, FlowWay& way) {
  way.asked = false;
  std::vector<Waiting> packets;
  take_waiting(way, packets);
  use_again(flow, packets);
}

void HostRules::release(Flow& flow) {
  lane_.tables.flows.each_way(flow, lane_.tables.hasher, [](FlowWay& way) { way.asked = false; });
  judge_again(flow);
}

void HostRules::judge_again(Flow& flow) {
  std::vector<Waiting> packets;
  lane_.tables.flows.each_way(flow, lane_.tables.hasher, [&](FlowWay& way) { take_waiting(way, packets); });
  use_again(flow, packets);
}

void HostRules::discard(FlowWay& way, Drop reason, bool answers) {
  way.asked = false;
  std::vector<Waiting> packets;
  take_waiting(way, packets);
  for (const Waiting& packet : packets) {
    lane_.drop(reason);
    if (answers) answer(IcmpError::unreachable(), packet.bytes());
  }
}

void HostRules::discard(Flow& flow, Drop reason, bool answers) {
  lane_.tables.flows.each_way(flow, lane_.tables.hasher, [&](FlowWay& way) { discard(way, reason, answers); });
}

bool HostRules::is_own(const FlowWay& way, Bytes packet) {
  const Bytes source = source_of(packet);
  return equal(source, Bytes(way.source).first(source.size()));
}

void HostRules::send(Flow& flow, const FlowWay& way, const Inner& inner) {
  const MutableBytes packet = inner.packet();
  if (!flow.forwards && !is_own(way, packet)) return lane_.drop(Drop::inner_address);
  flow.use(lane_.now_ms);
  if (way.mtu == no_mtu || fits_mtu(flow, way, inner)) emit(flow, way, inner);
}

// False: it was answered or sent in pieces.
bool HostRules::fits_mtu(Flow& flow, const FlowWay& way, const Inner& inner) {
  const MutableBytes packet = inner.packet();
  const bool is_v4 = inner_version(packet) == 4;
  const uint16_t most = is_v4 ? way.mtu : std::max(way.mtu, least_mtu6);
  if (packet.size() <= most) {
    clamp_mss(packet, find_transport(packet), way.mtu, effective_state(packet, inner.checksum));
    return true;
  }
  if (is_v4 && (u16(packet, ipv4::fragment) & ipv4::dont_fragment) == 0) {
    send_fragments(flow, way, inner);
    return false;
  }
  if (!inner.original.empty() && may_be_cut(inner.original)) {
    send_fragments6(flow, way, inner, most);
    return false;
  }
  lane_.drop(Drop::too_big);
  answer_sender(IcmpError::too_big(most), inner);
  return false;
}

void HostRules::send_fragments(Flow& flow, const FlowWay& way, const Inner& inner) {
  const MutableBytes packet = inner.packet();
  const size_t first = (u16(packet, ipv4::fragment) & ipv4::offset_mask) * size_t{8};
  // A fragment that would end beyond the largest packet is no fragment of any.
  if (ipv4_header_bytes(packet) != ipv4::min_bytes || first + packet.size() - ipv4::min_bytes > 65'535) return lane_.drop(Drop::too_big);
  if (inner.checksum == ChecksumState::partial) complete_checksum(packet);
  clamp_mss(packet, find_transport(packet), way.mtu, ChecksumState::complete);
  const size_t piece_bytes = (size_t{way.mtu} - ipv4::min_bytes) / 8 * 8;
  // The first piece keeps its way and fits it, the others all have one: none is cut a third time.
  if (cutting_ == scratch_.size()) return lane_.drop(Drop::too_big);
  std::vector<uint8_t>& scratch = scratch_[cutting_++];
  for (size_t at = ipv4::min_bytes; at < packet.size(); at += piece_bytes) {
    const size_t length = make_fragment(scratch, packet, at, piece_bytes);
    const Inner piece{scratch, 0, length, ChecksumState::complete};
    // A packet of its own: the receiver judges it so, and a later one shows no ports.
    if (flow.has_more) use_flow(flow, piece);
    else emit(flow, way, piece);
  }
  cutting_--;
}

const Endpoint* HostRules::server_of(const FlowWay& way) const { return lane_.tables.next_servers.lookup(way.ring_key(), way.ring_key_hash); }

void HostRules::emit(Flow& flow, const FlowWay& way, const Inner& inner) {
  if (!lane_.shares.may(&flow)) [[unlikely]] return lane_.drop(Drop::unfair_out);
  if (way.action == FlowAction::esp) emit_sealed(flow, way, inner);
  else emit_plain(flow, way, inner);
}

void HostRules::emit_plain(Flow& flow, const FlowWay& way, const Inner& inner) {
  const MutableBytes packet = inner.packet();
  const Endpoint* endpoint = server_of(way);
  if (endpoint == nullptr) return lane_.drop(Drop::no_route);
  if (inner.checksum == ChecksumState::partial) complete_checksum(packet);
  const auto [refused, room] = lane_.udp.reserve(*endpoint, traffic_class(packet), way.header.size() + packet.size());
  if (refused != Drop::none) return lane_.drop(refused);
  copy_to(room, 0, way.header);
  copy_to(room, way.header.size(), packet);
  count_out(flow, packet);
}

void HostRules::emit_sealed(Flow& flow, const FlowWay& way, const Inner& inner) {
  OutboundAssociation* association = lane_.tables.outbound_associations.find(way.association, lane_.tables.hasher);
  const StraightTo* straight = way.straight.get();
  const Endpoint* endpoint = association == nullptr ? nullptr : straight != nullptr ? &straight->endpoint : server_of(way);
  if (endpoint == nullptr) return lane_.drop(Drop::no_route);
  if (association->next.load(std::memory_order_relaxed) == 0) return lane_.drop(Drop::sequence);
  const MutableBytes packet = inner.packet();
  ChecksumState state = effective_state(packet, inner.checksum);
  if (state == ChecksumState::partial && !association->checksum_state) {
    complete_checksum(packet);
    state = ChecksumState::complete;
  }
  const bool bare = equal(destination_of(packet), flow.address.view()) && (!flow.forwards || is_own(way, packet));
  const EspForm form = esp_form(*association, packet, state, bare);
  const size_t sealed_bytes = form.sealed_bytes(association->keys.kind());
  Credit* credit = straight == nullptr ? nullptr : straight->credit.get();
  const uint64_t cost = credit == nullptr ? 0 : credit->cost(sealed_bytes);
  if (credit != nullptr) [[unlikely]] {
    if (!credit->take(cost)) {
      credit = nullptr;
      if (way.header.empty()) return lane_.drop(Drop::credit);
      straight = nullptr;
      endpoint = server_of(way);
      if (endpoint == nullptr) return lane_.drop(Drop::no_route);
    }
  }
  const Bytes header = straight == nullptr ? Bytes(way.header) : Bytes();
  const auto [refused, room] = lane_.udp.reserve(*endpoint, traffic_class(packet), header.size() + sealed_bytes, straight == nullptr ? Way() : straight->way, straight != nullptr);
  if (refused != Drop::none) {
    if (credit != nullptr) credit->give_back(cost);
    return lane_.drop(refused);
  }
  copy_to(room, 0, header);
  const uint64_t sequence = association->take();
  const SavedTail tail(inner.buffer, inner.at + inner.length, form.trailer_bytes());
  const Bytes plaintext = form.put_trailer(inner.buffer, inner.at, inner.length);
  Cipher& cipher = *association->ciphers[lane_.index];
  if (sequence == 0 || !cipher.seal(room.subspan(header.size()), association->spi, sequence, plaintext)) {
    lane_.udp.retract();
    if (credit != nullptr) credit->give_back(cost);
    return lane_.drop(Drop::sequence);
  }
  count_out(flow, packet);
}

void HostRules::count_out(Flow& flow, Bytes packet) {
  flow.count_out(packet);
  lane_.shares.charge(&flow, packet.size());
}

Flow* HostRules::flow_named(const FlowName& name) {
  if (cached_name_ == &name) return cached_flow_;
  cached_flow_ = lane_.tables.flows.find(name.view(), lane_.tables.hasher);
  cached_name_ = &name;
  return cached_flow_;
}

// Whether the peer passes for the host at that address: nobody with a flow of its own does.
Behind* HostRules::behind_of(const RewritePlan& peers, Bytes host) const {
  Behind* behind = lane_.tables.behind.find(host, lane_.tables.hasher);
  if (behind == nullptr || !equal(behind->flow.view(), peers.view(peers.source_to))) return nullptr;
  return lane_.tables.flows.find(host, lane_.tables.hasher) == nullptr ? behind : nullptr;
}

// The peer, whose packets come protected, may send to a host that is not this one.
bool HostRules::is_forwarded(const TunTarget& target, const RewritePlan& peers, Bytes packet) const {
  if (target.strength == 0 || !equal(source_of(packet), peers.view(peers.source_from)) || !is_one_host(destination_of(packet))) return false;
  const Flow* flow = lane_.tables.flows.find(peers.view(peers.source_to), lane_.tables.hasher);
  return flow != nullptr && flow->forwards;
}

// A host that is no other peer and not this one may say something of its own, or of a packet on its way to a host behind the peer.
bool HostRules::may_speak(const RewritePlan& peers, Bytes source) const {
  return is_one_host(source) && !equal(source, peers.view(peers.destination_from)) && !equal(source, peers.view(peers.destination_to)) &&
         lane_.tables.flows.find(source, lane_.tables.hasher) == nullptr;
}

void HostRules::use_aside(const Aside& aside, Judged& judged) {
  judged.plan = judged.quoted = &aside.plan;
  judged.behind = aside.behind;
  judged.translation = aside.translation;
}

// The packet is as long as its header says. Which plan is its, by who sends to whom, and whether it may come.
Drop HostRules::judge(const TunTarget& target, Bytes packet, Judged& judged) {
  const RewritePlan* peers = target.rewrites.plan(inner_version(packet));
  if (peers == nullptr) return Drop::inner_address;
  const bool is_peers = matches_plan(packet, *peers);
  const bool is_known = last_aside_.peers == peers && matches_plan(packet, last_aside_.plan);
  const bool is_to_us = is_peers || equal(destination_of(packet), peers->view(peers->destination_from));
  if (!is_known && !is_to_us && !is_forwarded(target, *peers, packet)) return Drop::inner_address;
  judged.transport = find_transport(packet);
  if (judged.transport.kind == Transport::Kind::broken_chain || (inner_version(packet) == 4 && has_refused_options4(packet))) return Drop::inner_malformed;
  judged.plan = judged.quoted = peers;
  const auto quoted = quoted_destination(packet, judged.transport, *peers);
  if (is_peers && (!quoted || equal(*quoted, peers->view(peers->source_from)))) [[likely]] return Drop::none;
  if (is_known && !quoted) {
    use_aside(last_aside_, judged);
    return Drop::none;
  }
  if (!is_to_us) {
    Aside aside{peers, peers->keeping(RewritePlan::Side::destination, destination_of(packet))};
    if (!lane_.tables.translations.is_empty()) aside.translation = lane_.tables.translations.find_from(peers->view(peers->source_to), destination_of(packet), lane_.tables.hasher);
    use_aside(last_aside_ = aside, judged);
    return is_error_about_others(packet, judged.transport, *judged.plan) ? Drop::inner_address : Drop::none;
  }
  // Of a host behind the peer; or about a packet to one, by the peer or whoever is on the way.
  const Bytes host = quoted.value_or(source_of(packet));
  if (host.empty() || (!is_peers && !may_speak(*peers, source_of(packet)))) return Drop::inner_address;
  judged.behind = behind_of(*peers, host);
  if (judged.behind == nullptr) return Drop::inner_address;
  const Aside aside{peers, peers->keeping(RewritePlan::Side::source, source_of(packet)), judged.behind};
  if (!quoted) {
    use_aside(last_aside_ = aside, judged);
    return Drop::none;
  }
  judged.quoted = &judged.kept.emplace(aside.plan);
  if (!is_peers) judged.plan = judged.quoted;
  return Drop::none;
}

void HostRules::arrived(const TunTarget& target, MutableBytes bytes, uint8_t outer_class, ChecksumState state) {
  const auto length = inner_length(bytes);
  if (!length) return lane_.drop(Drop::inner_malformed);
  const MutableBytes packet = bytes.first(*length);
  Judged judged;
  Drop reason = judge(target, packet, judged);
  if (reason == Drop::none && !combine_ecn(packet, outer_class)) reason = Drop::ecn;
  if (reason == Drop::none) reason = deliver(target, judged, packet, state);
  if (reason != Drop::none) lane_.drop(reason);
}

Drop HostRules::deliver(const TunTarget& target, const Judged& judged, MutableBytes packet, ChecksumState state) {
  const Transport& transport = judged.transport;
  Flow* flow = flow_named(target.flow);
  const FlowWay* answers = flow;
  if (flow != nullptr && flow->has_more) [[unlikely]] {
    const MoreOfFlow& more = lane_.tables.flows.more(*flow, lane_.tables.hasher);
    const uint8_t need = more.services ? more.services->need(packet) : strongest;
    // More than is needed is always welcome: the two ends need not have the same rules.
    if (more.services && target.strength < need) return Drop::policy;
    answers = more.way(need);
  }
  if (flow != nullptr) flow->use(lane_.now_ms);
  if (judged.behind != nullptr) judged.behind->use(lane_.now_ms);
  const ChecksumState effective = effective_state(packet, state);
  if (answers != nullptr && answers->mtu != no_mtu) clamp_mss(packet, transport, answers->mtu, effective);
  rewrite_addresses(packet, transport, *judged.plan, *judged.quoted, effective);
  const Drop reason = judged.translation != nullptr ? write_translated(*judged.translation, packet, effective) : lane_.tun.add(packet, effective);
  if (reason == Drop::none && flow != nullptr) flow->count_in(packet.size());
  return reason;
}

void HostRules::esp_arrived(MutableBytes packet, uint8_t outer_class, const UdpInput* straight) {
  if (packet.size() < esp_header_bytes) return lane_.drop(Drop::malformed);
  InboundAssociation* association = lane_.tables.inbound_associations.find(u32(packet, 0), lane_.tables.hasher);
  if (association == nullptr) return lane_.drop(Drop::unknown_spi);
  if (!lane_.shares.may(flow_named(association->flow))) [[unlikely]] return lane_.drop(Drop::unfair_in);
  if (!Cipher::has_room(association->keys.kind(), packet.size())) return lane_.drop(Drop::malformed);
  std::optional<uint64_t> sequence;
  {
    const std::lock_guard lock(association->window_mutex);
    sequence = association->window.infer(u32(packet, 4));
    if (sequence && !association->window.accepts(*sequence)) sequence.reset();
  }
  if (!sequence) return lane_.drop(Drop::replay);
  const auto opened = open(*association, packet, *sequence, straight);
  if (!opened || opened->next_header == protocol::none) return;
  if (opened->next_header != protocol::ipv4 && opened->next_header != protocol::ipv6) return beet_arrived(*association, *opened, outer_class);
  const unsigned version = opened->next_header == protocol::ipv4 ? 4 : 6;
  if (opened->payload.empty() || inner_version(opened->payload) != version) return lane_.drop(Drop::inner_malformed);
  arrived({association->rewrites, association->flow, association->strength}, opened->payload, outer_class, opened->checksum);
}

// Nothing: it was dropped and counted.
std::optional<HostRules::Opened> HostRules::open(InboundAssociation& association, MutableBytes packet, uint64_t sequence, const UdpInput* straight) {
  bool tells = false;
  const MutableBytes plaintext = association.ciphers[lane_.index]->open(packet, association.number, sequence);
  if (plaintext.empty()) {
    lane_.drop(Drop::integrity);
    return std::nullopt;
  }
  {
    // Another lane may have opened the same packet meanwhile.
    const std::lock_guard lock(association.window_mutex);
    if (lane_.tables.lane_count > 1 && !association.window.accepts(sequence)) {
      lane_.drop(Drop::replay);
      return std::nullopt;
    }
    if (association.watches && straight != nullptr && association.window.is_newest(sequence)) tells = association.tells_of(straight->from, lane_.now_ms);
    association.window.mark(sequence);
  }
  lane_.shares.charge(flow_named(association.flow), packet.size());
  if (tells && !tell_elsewhere(association, *straight)) association.forget_told();
  const size_t padding = u8(plaintext, plaintext.size() - 2);
  if (padding + 2 > plaintext.size()) {
    lane_.drop(Drop::inner_malformed);
    return std::nullopt;
  }
  Opened opened{plaintext.first(plaintext.size() - 2 - padding), u8(plaintext, plaintext.size() - 1), ChecksumState::complete};
  if (association.checksum_state) opened.checksum = state_of_padding(opened.payload.size(), padding, association.keys.kind());
  return opened;
}

// False: no room.
bool HostRules::tell_elsewhere(const InboundAssociation& association, const UdpInput& origin) {
  const std::lock_guard lock(lane_.shared.mutex);
  // Who has the keys is known: a flood from others leaves room.
  if (lane_.upcalls_full(1)) return false;
  Upcall upcall;
  upcall.kind = UpcallKind::elsewhere;
  upcall.spi = association.number;
  upcall.from = origin.from;
  upcall.way = origin.way;
  lane_.push_upcall(std::move(upcall));
  return true;
}

// More than its header's first bytes matter: anything but TCP and UDP may quote packets, a SYN may have an MSS option.
bool HostRules::needs_look_inside(uint8_t next_header, Bytes payload) {
  if (next_header == protocol::udp) return false;
  return next_header != protocol::tcp || payload.size() < tcp::min_bytes || (u8(payload, tcp::flags) & tcp::syn) != 0;
}

// A transport packet without its IP header: that of the association is put before it.
void HostRules::beet_arrived(const InboundAssociation& association, const Opened& opened, uint8_t outer_class) {
  if (association.beet == 0 || !may_travel_bare(opened.next_header)) return lane_.drop(Drop::inner_malformed);
  const RewritePlan* plan = association.rewrites.plan(association.beet);
  if (plan == nullptr) return lane_.drop(Drop::inner_address);
  const size_t header_bytes = association.beet == 4 ? ipv4::min_bytes : ipv6::header_bytes;
  if (opened.payload.size() > (association.beet == 4 ? 65'535 - header_bytes : 65'535)) return lane_.drop(Drop::inner_malformed);
  std::array<uint8_t, ipv6::header_bytes> header{};
  const MutableBytes ip = MutableBytes(header).first(header_bytes);
  put_beet_header(ip, *plan, opened.next_header, outer_class, opened.payload.size());
  if (plan->changes || needs_look_inside(opened.next_header, opened.payload)) {
    const MutableBytes packet = lane_.copy_room(header_bytes + opened.payload.size());
    copy_to(packet, 0, ip);
    copy_to(packet, header_bytes, opened.payload);
    Judged judged;
    const TunTarget target{association.rewrites, association.flow, association.strength};
    Drop reason = judge(target, packet, judged);
    if (reason == Drop::none) reason = deliver(target, judged, packet, opened.checksum);
    if (reason != Drop::none) lane_.drop(reason);
    return;
  }
  Flow* flow = flow_named(association.flow);
  if (flow != nullptr && flow->has_more) [[unlikely]] {
    const MoreOfFlow& more = lane_.tables.flows.more(*flow, lane_.tables.hasher);
    if (more.services && association.strength < more.services->need(opened.next_header, opened.payload)) return lane_.drop(Drop::policy);
  }
  if (flow != nullptr) flow->use(lane_.now_ms);
  const size_t field = opened.next_header == protocol::tcp ? tcp::checksum : udp::checksum;
  const ChecksumState state = field + 2 > opened.payload.size() && opened.checksum == ChecksumState::partial ? ChecksumState::complete : opened.checksum;
  const Drop reason = lane_.tun.add_split(ip, opened.payload, state);
  if (reason != Drop::none) return lane_.drop(reason);
  if (flow != nullptr) flow->count_in(header_bytes + opened.payload.size());
}

}  // namespace i3
