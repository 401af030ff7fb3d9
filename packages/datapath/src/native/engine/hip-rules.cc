#include "hip-rules.h"

#include "checksum.h"

namespace i3 {
namespace {

constexpr std::array<uint8_t, hip::mark_bytes> mark{};
constexpr std::array<uint8_t, hip::hit_bytes> no_hit{};

// An initiator, and the first half of its return id or its address.
std::array<uint8_t, 32> asker_of(Bytes initiator, Bytes path) {
  std::array<uint8_t, 32> asker{};
  copy_to(asker, 0, initiator);
  copy_to(asker, 16, path.first(16));
  return asker;
}

Bytes initiator_of(Bytes i1) { return part(i1, hip::sender_hit, hip::hit_bytes); }

// Why an I1 with a well-formed header is not answered, wherever it came from. `is_open`: to no HIT will do.
Drop refusal(const HipResponder& responder, Bytes i1, const hip::Parameters& parameters, bool is_open) {
  if (!parameters.are_valid || parameters.groups.empty() || !hip::is_hit(initiator_of(i1))) return Drop::malformed;
  const Bytes receiver = part(i1, hip::receiver_hit, hip::hit_bytes);
  return equal(receiver, responder.hit()) || (is_open && equal(receiver, no_hit)) ? Drop::none : Drop::hip;
}

// Why an I2 with a well-formed header is not for JavaScript. Cheapest first: form, whose it is, then at most two hashes.
Drop unpaid(const HipResponder& responder, Bytes i2, const hip::Parameters& parameters, Bytes path) {
  if (!parameters.are_valid || parameters.solution.size() != responder.solution_bytes() || !hip::is_hit(initiator_of(i2))) return Drop::malformed;
  if (!equal(part(i2, hip::receiver_hit, hip::hit_bytes), responder.hit())) return Drop::hip;
  return responder.is_solved(parameters.solution, initiator_of(i2), path) ? Drop::none : Drop::puzzle;
}

size_t mark_bytes_of(const Way& way) { return way.via == Via::ip ? 0 : hip::mark_bytes; }

// RFC 7401 §5.1.1: the pseudo-header of either family adds up to the words of both addresses, the protocol and the length. Each mapped
// address has one word of ones, which is a zero in this arithmetic.
bool is_summed_right(Bytes packet, const Endpoint& from, const Way& way) {
  return fold(uint64_t{sum_words(from.address())} + sum_words(way.local) + ip_protocol_hip + packet.size() + sum_words(packet)) == 0xffff;
}

}  // namespace

void HipRules::straight(Bytes datagram, const Endpoint& from, const Way& way) {
  const HipResponder* responder = lane_.tables.hip.get();
  if (responder == nullptr) return lane_.drop(Drop::hip);
  const size_t mark_bytes = mark_bytes_of(way);
  if (datagram.size() < mark_bytes || !equal(datagram.first(mark_bytes), Bytes(mark).first(mark_bytes))) return lane_.drop(Drop::malformed);
  const Bytes packet = datagram.subspan(mark_bytes);
  const std::optional<uint8_t> type = hip::type_of(packet);
  if (!type || (way.via == Via::ip && !is_summed_right(packet, from, way))) return lane_.drop(Drop::malformed);
  if (type == hip::type_i1) return straight_i1(*responder, packet, from, way);
  Shared& shared = lane_.shared;
  if (type != hip::type_i2) {
    if (!equal(part(packet, hip::receiver_hit, hip::hit_bytes), responder->hit())) return lane_.drop(Drop::hip);
    const std::lock_guard lock(shared.mutex);
    return go_up(Upward::control, shared.hip_others, packet, from, way);
  }
  const Drop reason = unpaid(*responder, packet, hip::parameters_of(packet, limits::i2_parameters), from.address());
  if (reason != Drop::none) return lane_.drop(reason);
  const std::lock_guard lock(shared.mutex);
  go_up(Upward::solved_i2, shared.hip_i2s, packet, from, way);
}

void HipRules::go_up(Upward what, SecondLimit& limit, Bytes packet, const Endpoint& from, const Way& way) {
  if (!lane_.may_go_up(what, from)) return;
  const bool is_known = what == Upward::control && lane_.shared.known.find(from.address()) != nullptr;
  if (!is_known && !limit.allow(lane_.now_ms)) return lane_.drop(Drop::rate);
  Upcall upcall;
  upcall.kind = UpcallKind::hip;
  upcall.from = from;
  upcall.way = way;
  upcall.bytes.assign(packet.begin(), packet.end());
  lane_.push_upcall(std::move(upcall));
}

bool HipRules::behind_header(Bytes id, Bytes packet) {
  const HipResponder* responder = lane_.tables.hip.get();
  if (responder == nullptr) return false;
  const std::optional<uint8_t> type = hip::type_of(packet);
  if (type == hip::type_i2) {
    const hip::Parameters parameters = hip::parameters_of(packet, limits::i2_parameters);
    const Drop reason = parameters.return_id.empty() ? Drop::malformed : unpaid(*responder, packet, parameters, parameters.return_id);
    if (reason != Drop::none) lane_.drop(reason);
    return reason != Drop::none;
  }
  if (type && type != hip::type_i1) return false;
  const hip::Parameters parameters = type ? hip::parameters_of(packet, limits::i1_parameters) : hip::Parameters();
  Drop reason = type ? refusal(*responder, packet, parameters, responder->is_open(id)) : Drop::malformed;
  if (reason == Drop::none && parameters.return_id.empty()) reason = Drop::malformed;
  // Whoever has the id need not be who sent the I1: then it must not get more than the sender spent. Other groups' R1s are no shorter.
  if (reason == Drop::none && responder->r1_bytes() > packet.size()) reason = Drop::amplification;
  if (reason == Drop::none && !hip::names_group(parameters, responder->group())) {
    const std::lock_guard lock(lane_.shared.mutex);
    if (lane_.shared.hip_i1s.allow(lane_.now_ms)) return false;
    reason = Drop::rate;
  } else if (reason == Drop::none) {
    reason = answer_behind_header(*responder, packet, parameters.return_id);
  }
  count(reason);
  return true;
}

void HipRules::straight_i1(const HipResponder& responder, Bytes i1, const Endpoint& from, const Way& way) {
  const hip::Parameters parameters = hip::parameters_of(i1, limits::i1_parameters);
  const Drop reason = refusal(responder, i1, parameters, false);
  if (reason != Drop::none) return lane_.drop(reason);
  {
    const std::lock_guard lock(lane_.shared.mutex);
    if (!lane_.shared.r1_rates.allow(lane_.now_ms, source_key(from))) return lane_.drop(Drop::rate);
    if (!hip::names_group(parameters, responder.group())) return go_up(Upward::control, lane_.shared.hip_i1s, i1, from, way);
    if (!lane_.shared.r1_limit.allow(lane_.now_ms, asker_of(initiator_of(i1), from.address()))) return lane_.drop(Drop::rate);
  }
  count(answer_straight(responder, i1, from, way));
}

void HipRules::count(Drop reason) {
  if (reason == Drop::none) lane_.counters.hip_answered.add();
  else lane_.drop(reason);
}

Drop HipRules::answer_straight(const HipResponder& responder, Bytes i1, const Endpoint& from, const Way& way) {
  const size_t mark_bytes = mark_bytes_of(way);
  const auto [refused, room] = lane_.udp.reserve(from, 0, mark_bytes + responder.r1_bytes(), way);
  if (refused != Drop::none) return refused;
  copy_to(room, 0, Bytes(mark).first(mark_bytes));
  responder.write(room.subspan(mark_bytes), initiator_of(i1), responder.random(initiator_of(i1), from.address()));
  return Drop::none;
}

Drop HipRules::answer_behind_header(const HipResponder& responder, Bytes i1, Bytes return_id) {
  const Bytes ring_key = return_id.first(ring_key_bytes);
  const Endpoint* endpoint = lane_.tables.next_servers.lookup(ring_key, lane_.tables.hasher.bytes(ring_key));
  if (endpoint == nullptr) return Drop::no_route;
  {
    const std::lock_guard lock(lane_.shared.mutex);
    if (!lane_.shared.r1_limit.allow(lane_.now_ms, asker_of(initiator_of(i1), return_id))) return Drop::rate;
  }
  constexpr size_t header_bytes = data_header::bytes_with(1);
  const auto [refused, room] = lane_.udp.reserve(*endpoint, 0, header_bytes + responder.r1_bytes());
  if (refused != Drop::none) return refused;
  const PuzzleRandom random = responder.random(initiator_of(i1), return_id);
  constexpr std::array<uint8_t, data_header::nonce> beginning{data_header::first_byte, 0, limits::hop_limit, limits::copy_budget, 1, data_header::hip, 0, 0};
  copy_to(room, 0, beginning);
  copy_to(room, data_header::nonce, random.view().first(data_header::nonce_bytes));
  copy_to(room, data_header::ids, return_id);
  responder.write(room.subspan(header_bytes), initiator_of(i1), random);
  return Drop::none;
}

}  // namespace i3
