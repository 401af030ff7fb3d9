// What a host's rules do between IPv4 and IPv6 (docs/datapath.md, "Translation").
#include <algorithm>

#include "host-rules.h"
#include "ip-translation.h"
#include "mtu.h"

namespace i3 {

// The same peer's flow of the other family, when the peer's packets go on there too.
Flow* HostRules::other_of(const Flow& flow) const {
  Flow* other = flow.other == nullptr ? nullptr : lane_.tables.flows.find(flow.other->view(), lane_.tables.hasher);
  return other != nullptr && other->forwards ? other : nullptr;
}

// What the packet comes from, or, of an error, to what the packet was sent that it is about: routers on the way have addresses of their own. `flow`: of the peer, in the family that it would become.
const Translation* HostRules::translation_of(Bytes flow, Bytes packet) const {
  const TranslationTable& translations = lane_.tables.translations;
  const Hasher& hasher = lane_.tables.hasher;
  const unsigned version = inner_version(packet);
  const Transport transport = find_transport(packet);
  if (transport.found() && is_quoting_error(packet, transport.offset, version, transport.protocol)) {
    const size_t at = transport.offset + icmp_quote + destination_offset(version);
    const bool is_whole = at + address_bytes(version) <= packet.size();
    const Translation* quoted = is_whole ? translations.find_to(flow, part(packet, at, address_bytes(version)), hasher) : nullptr;
    if (quoted != nullptr) return quoted;
  }
  return translations.find_to(flow, source_of(packet), hasher);
}

// A packet for a flow whose peer may know its sender by an address of the other family. False: it does not, and nothing was done.
bool HostRules::turn_back(const Flow& flow, const Inner& inner) {
  if (!flow.forwards || flow.other == nullptr) return false;
  const Bytes packet = inner.packet();
  const Translation* translation = translation_of(flow.other->view(), packet);
  if (translation == nullptr) return false;
  Flow* other = other_of(flow);
  if (other == nullptr) {
    lane_.drop(Drop::translation);
    return true;
  }
  if (hops_left(packet) < 2) {
    lane_.drop(Drop::hop_limit);
    answer(IcmpError::time_exceeded(), packet);
    return true;
  }
  const AddressPair before{translation->to.view(), flow.address.view()}, after{translation->from.view(), other->address.view()};
  const ChecksumState state = effective_state(packet, inner.checksum);
  const auto length = translate_packet(turned_, packet, before, after, state, lane_.tables.identifications);
  if (!length) lane_.drop(Drop::translation);
  else use_flow(*other, {turned_, 0, *length, state, packet});
  return true;
}

// Tells the sender of a packet, of that which it sent: what passes of it there differs by the headers.
void HostRules::answer_sender(IcmpError error, const Inner& inner) {
  if (inner.original.empty()) return answer(error, inner.packet());
  constexpr unsigned difference = ipv6::header_bytes - ipv4::min_bytes;
  if (error.mtu != 0 && inner_version(inner.original) == 6) error.mtu = static_cast<uint16_t>(std::min(std::max<unsigned>(error.mtu + difference, least_mtu6), 65'535u));
  else if (error.mtu != 0) error.mtu = static_cast<uint16_t>(error.mtu - difference - (data_offset6(inner.packet()) - ipv6::header_bytes));
  answer(error, inner.original);
}

void HostRules::send_fragments6(Flow& flow, const FlowWay& way, const Inner& inner, size_t most) {
  const MutableBytes packet = inner.packet();
  const size_t data_at = data_offset6(packet), piece_bytes = (most - ipv6::header_bytes - fragment_header_bytes6) / 8 * 8;
  if (!ends_in_range6(packet) || cutting_ == scratch_.size()) return lane_.drop(Drop::too_big);
  if (inner.checksum == ChecksumState::partial) complete_checksum(packet);
  clamp_mss(packet, find_transport(packet), way.mtu, ChecksumState::complete);
  std::vector<uint8_t>& scratch = scratch_[cutting_++];
  for (size_t at = data_at; at < packet.size(); at += piece_bytes) {
    const Inner piece{scratch, 0, make_fragment6(scratch, packet, at, piece_bytes, u16(inner.original, ipv4::identification)), ChecksumState::complete};
    if (flow.has_more) use_flow(flow, piece);
    else emit(flow, way, piece);
  }
  cutting_--;
}

// A packet of a forwarding peer, between addresses of this host's side.
Drop HostRules::write_translated(const Translation& translation, MutableBytes packet, ChecksumState state) {
  Flow* peer = lane_.tables.flows.find(source_of(packet), lane_.tables.hasher);
  Flow* other = peer == nullptr ? nullptr : other_of(*peer);
  if (other == nullptr) return Drop::translation;
  if (hops_left(packet) < 2) {
    if (!may_answer(packet)) return Drop::hop_limit;
    const MutableBytes room = lane_.copy_room(max_icmp_error_bytes + Lane::tun_slack_bytes);
    use_flow(*peer, {room, 0, make_icmp_error(room, IcmpError::time_exceeded(), packet).size(), ChecksumState::complete});
    return Drop::hop_limit;
  }
  const AddressPair before{peer->address.view(), translation.from.view()}, after{other->address.view(), translation.to.view()};
  const MutableBytes room = lane_.copy_room(packet.size() + translation_growth);
  const auto length = translate_packet(room, packet, before, after, state, lane_.tables.identifications);
  if (!length) return Drop::translation;
  const MutableBytes made = room.first(*length);
  if (made.size() <= translated_piece_bytes || !may_be_cut(packet)) return lane_.tun.add(made, state);
  if (state == ChecksumState::partial) complete_checksum(made);
  return write_fragments6(made, u16(packet, ipv4::identification));
}

Drop HostRules::write_fragments6(MutableBytes packet, uint32_t identification) {
  constexpr size_t piece_bytes = (translated_piece_bytes - ipv6::header_bytes - fragment_header_bytes6) / 8 * 8;
  if (!ends_in_range6(packet)) return Drop::translation;
  for (size_t at = data_offset6(packet); at < packet.size(); at += piece_bytes) {
    const MutableBytes room = lane_.copy_room(translated_piece_bytes);
    const Drop reason = lane_.tun.add(room.first(make_fragment6(room, packet, at, piece_bytes, identification)), ChecksumState::complete);
    if (reason != Drop::none) return reason;
  }
  return Drop::none;
}

}  // namespace i3
