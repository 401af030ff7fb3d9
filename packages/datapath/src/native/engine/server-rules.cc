#include "server-rules.h"

#include <algorithm>

namespace i3 {
namespace {

RingKey as_key(Bytes ring_key) {
  RingKey key{};
  copy_to(key, 0, ring_key);
  return key;
}

// One copy for each address and each stack: a second one would be the same packet.
bool is_repeated(const TriggerTable::Match& found, size_t index) { return found.targets[index].same_before > found.first; }

unsigned count_distinct(const TriggerTable::Match& found) {
  unsigned count = 0;
  for (size_t i = 0; i < found.targets.size(); i++) count += is_repeated(found, i) ? 0 : 1;
  return count;
}

bool is_forwarded(uint8_t flags) { return (flags & data_header::forwarded) != 0; }

}  // namespace

// A hop limit above what senders put in is cut: it only makes floods cheaper.
void ServerRules::serve(Bytes datagram, const Endpoint& from, uint8_t traffic_class) {
  const unsigned hop_limit = std::min<unsigned>(datagram[data_header::hop_limit], limits::hop_limit);
  route({datagram, &from, traffic_class, hop_limit, datagram[data_header::copy_budget], {}});
}

// Ours, or held from the time when it was: until its owner has registered with the server that took over (docs/wire.md §3, "At a server").
void ServerRules::route(const Work& work) {
  const TriggerTable::Match found = lane_.tables.triggers.match(work.id(), lane_.tables.hasher.bytes(work.ring_key()));
  if (!found.targets.empty() || lane_.tables.range.owns(work.ring_key())) match(work, found);
  else send_on(work);
}

void ServerRules::match(const Work& work, const TriggerTable::Match& found) {
  const unsigned copies = found.targets.size() == 1 ? 1 : count_distinct(found);
  if (copies == 0) return no_trigger(work);
  if (work.hop_limit <= 1) return lane_.drop(Drop::hop_limit);
  cache_request(work);
  if (copies == 1) return copy(work, found.targets[0], found.stacks, work.copy_budget);
  const unsigned share = work.copy_budget / copies;
  const unsigned remainder = work.copy_budget - share * copies;
  // Those that the copy budget does not allow cost nothing.
  const unsigned allowed = std::min(copies, work.copy_budget);
  const unsigned sent = allowed == 0 ? 0 : 1 + paid(work, allowed - 1);
  lane_.drop(Drop::copy_budget, copies - allowed);
  lane_.drop(Drop::rate, allowed - sent);
  for (size_t i = 0, made = 0; made < sent; i++) {
    if (is_repeated(found, i)) continue;
    copy(work, found.targets[i], found.stacks, made < remainder ? share + 1 : share);
    made++;
  }
}

bool ServerRules::is_of_server(const Work& work) { return work.head.empty() && is_forwarded(work.flags()); }

unsigned ServerRules::paid(const Work& work, unsigned wanted) {
  const std::lock_guard lock(lane_.shared.mutex);
  return lane_.shared.copy_rates.take(lane_.now_ms, source_key(*work.from), wanted);
}

void ServerRules::copy(const Work& work, const Target& target, Bytes stacks, unsigned copy_budget) {
  if (copy_budget == 0) return lane_.drop(Drop::copy_budget);
  Work made = work;
  made.hop_limit--;
  made.copy_budget = copy_budget;
  if (target.stack_ids == 0) return emit(made, target.endpoint, work.flags());
  made.hops++;
  lane_.hops++;
  const Bytes stack = part(stacks, target.stack_at, target.stack_ids * id_bytes);
  const Bytes rest = work.head.empty() ? Bytes{} : work.head.subspan(id_bytes);
  // Whatever is longer is refused below.
  std::array<uint8_t, 2 * limits::stack_length * id_bytes> head{};
  copy_to(head, 0, stack);
  copy_to(head, stack.size(), rest);
  made.head = Bytes(head).first(stack.size() + rest.size());
  if (made.stack() > limits::stack_length) return lane_.drop(Drop::malformed);
  if (made.hops > limits::free_hops && paid(made, 1) == 0) return lane_.drop(Drop::rate);
  const uint32_t key_hash = lane_.tables.hasher.bytes(made.ring_key());
  const TriggerTable::Match found = lane_.tables.triggers.match(made.id(), key_hash);
  if (!found.targets.empty() || lane_.tables.range.owns(made.ring_key())) match(made, found);
  else send(made, key_hash);
}

// To the server whose key it is; that takes one off the hop limit.
void ServerRules::send_on(const Work& work) {
  if (work.hop_limit <= 1) return astray(work);
  Work made = work;
  made.hop_limit--;
  send(made, lane_.tables.hasher.bytes(work.ring_key()));
}

void ServerRules::send(const Work& work, uint32_t key_hash) {
  const std::optional<PassOn>& pass_on = lane_.tables.pass_on;
  if (pass_on && is_of_server(work) && *work.from == pass_on->from) return emit(work, pass_on->to, work.flags());
  const Endpoint* next = lane_.tables.next_servers.lookup(work.ring_key(), key_hash);
  if (next == nullptr) return wait(work);
  // Two servers, each of which takes the other for responsible while the ring changes: neither has a trigger. A stack may well lead back.
  // From who has the triggers it would not have come: they are further on, and that one passes on what comes from us.
  const bool is_passed_back = pass_on && pass_on->to == *next;
  if (is_of_server(work) && *work.from == *next && !is_passed_back) return no_trigger(work);
  cache_request(work);
  emit(work, *next, work.flags() | data_header::forwarded);
}

// Kept with the hop limit it had before send_on(), through which it comes again.
void ServerRules::wait(const Work& work) {
  Shared& shared = lane_.shared;
  const std::lock_guard lock(shared.mutex);
  const RingKey key = as_key(work.ring_key());
  // Asked even when the packet then finds no room: otherwise a key could wait for ever behind other keys' packets.
  if (shared.waiting_routes.may_open(key, *work.from)) {
    if (!shared.data_rates.allow(lane_.now_ms, source_key(*work.from))) return lane_.drop(Drop::rate);
    shared.waiting_routes.open(key, *work.from);
    Upcall upcall;
    upcall.kind = UpcallKind::route_miss;
    upcall.from = *work.from;
    upcall.name_bytes = ring_key_bytes;
    copy_to(upcall.name, 0, key);
    lane_.push_upcall(std::move(upcall));
  }
  const size_t length = work.sent_bytes();
  WaitingQueue* queue = shared.waiting_routes.reserve(key, *work.from, length);
  if (queue == nullptr) return lane_.drop(Drop::queue_full);
  Waiting waiting;
  waiting.buffer.resize(length);
  waiting.length = length;
  waiting.from = *work.from;
  waiting.traffic_class = work.traffic_class;
  waiting.replaced = !work.head.empty();
  Work kept = work;
  kept.hop_limit++;
  write(kept, waiting.buffer, work.flags());
  queue->push(std::move(waiting));
}

std::vector<Waiting> ServerRules::take(Bytes ring_key) {
  const std::lock_guard lock(lane_.shared.mutex);
  return lane_.shared.waiting_routes.take(as_key(ring_key));
}

void ServerRules::resume(Bytes ring_key) {
  for (const Waiting& waiting : take(ring_key)) {
    if (!lane_.tables.range.serves()) {
      lane_.drop(Drop::no_route);
      continue;
    }
    const Bytes datagram = waiting.bytes();
    const Bytes head = waiting.replaced ? part(datagram, data_header::ids, id_bytes) : Bytes{};
    route({datagram, &waiting.from, waiting.traffic_class, datagram[data_header::hop_limit], datagram[data_header::copy_budget], head});
  }
}

void ServerRules::resume_if(const std::function<bool(Bytes)>& wanted) {
  std::vector<RingKey> keys;
  {
    const std::lock_guard lock(lane_.shared.mutex);
    keys = lane_.shared.waiting_routes.keys();
  }
  for (const RingKey& key : keys) {
    if (wanted(key)) resume(key);
  }
}

void ServerRules::discard(Bytes ring_key) { lane_.drop(Drop::no_route, take(ring_key).size()); }

void ServerRules::emit(const Work& work, const Endpoint& to, uint8_t flags) {
  const auto [refused, room] = lane_.udp.reserve(to, work.traffic_class, work.sent_bytes());
  if (refused != Drop::none) return lane_.drop(refused);
  write(work, room, flags);
}

// The packet as it leaves: the head in place of id[0], all else as it came but for the three fields.
void ServerRules::write(const Work& work, MutableBytes out, uint8_t flags) {
  const Bytes datagram = work.datagram;
  if (work.head.empty()) {
    copy_to(out, 0, datagram);
  } else {
    copy_to(out, 0, datagram.first(data_header::ids));
    copy_to(out, data_header::ids, work.head);
    copy_to(out, data_header::ids + work.head.size(), datagram.subspan(data_header::bytes_with(1)));
    put8(out, data_header::stack_length, static_cast<unsigned>(work.stack()));
  }
  put8(out, data_header::flags, flags);
  put8(out, data_header::hop_limit, work.hop_limit);
  put8(out, data_header::copy_budget, work.copy_budget);
}

void ServerRules::no_trigger(const Work& work) {
  lane_.drop(Drop::no_trigger);
  // A head that this server put in is not the sender's to know: a receiver's stack stays private.
  if (work.head.empty()) notify(UpcallKind::no_trigger, work, lane_.shared.no_trigger);
}

// The ways of several servers lead in a circle. A stack, or who has sent few hops, may well end so: that is no circle.
void ServerRules::astray(const Work& work) {
  lane_.drop(Drop::hop_limit);
  if (is_of_server(work)) notify(UpcallKind::astray, work, lane_.shared.astray);
}

void ServerRules::cache_request(const Work& work) {
  const bool asked = (work.flags() & (data_header::cache_request | data_header::forwarded)) == data_header::cache_request;
  if (asked && work.head.empty()) notify(UpcallKind::cache_request, work, lane_.shared.cache_request);
}

// Nothing is dropped when there may be none: the packet's fate is another matter.
void ServerRules::notify(UpcallKind kind, const Work& work, NoticeLimit& limit) {
  const std::lock_guard lock(lane_.shared.mutex);
  // The source pays first: otherwise it could fill the memory of notices for all.
  if (lane_.upcalls_full() || !lane_.shared.data_rates.allow(lane_.now_ms, source_key(*work.from))) return;
  if (!limit.allow(lane_.now_ms, work.ring_key(), *work.from)) return;
  Upcall upcall;
  upcall.kind = kind;
  upcall.from = *work.from;
  upcall.forwarded = is_forwarded(work.flags());
  upcall.shortcut_ok = (work.flags() & data_header::shortcut_ok) != 0;
  upcall.request_bytes = static_cast<uint32_t>(work.datagram.size());
  upcall.name_bytes = id_bytes;
  copy_to(upcall.name, 0, work.id());
  copy_to(upcall.nonce, 0, part(work.datagram, data_header::nonce, data_header::nonce_bytes));
  lane_.push_upcall(std::move(upcall));
}

bool ServerRules::serve_train(const UdpInput& train) {
  const Bytes first = train.bytes.first(train.segment_bytes);
  const Bytes head = first.first(data_header::bytes_with(1));
  const uint8_t flags = head[data_header::flags];
  const unsigned hop_limit = std::min<unsigned>(head[data_header::hop_limit], limits::hop_limit);
  // Whatever makes an upcall or a drop goes the slow way.
  if ((flags & data_header::cache_request) != 0 || hop_limit <= 1 || head[data_header::copy_budget] == 0) return false;
  const Bytes ring_key = part(head, data_header::ids, ring_key_bytes);
  const uint32_t key_hash = lane_.tables.hasher.bytes(ring_key);
  const TriggerTable::Match found = lane_.tables.triggers.match(part(head, data_header::ids, id_bytes), key_hash);
  uint8_t sent_flags = flags;
  const Endpoint* to = nullptr;
  if (found.targets.size() == 1 && found.targets[0].stack_ids == 0) {
    to = &found.targets[0].endpoint;
  } else if (found.targets.empty() && !lane_.tables.range.owns(ring_key)) {
    to = lane_.tables.next_servers.lookup(ring_key, key_hash);
    const std::optional<PassOn>& pass_on = lane_.tables.pass_on;
    if (to == nullptr || (is_forwarded(flags) && (train.from == *to || (pass_on && train.from == pass_on->from)))) return false;
    sent_flags |= data_header::forwarded;
  }
  if (to == nullptr) return false;
  size_t segments = 0;
  for (size_t at = 0; at < train.bytes.size(); at += train.segment_bytes, segments++) {
    const MutableBytes datagram = train.bytes.subspan(at);
    put8(datagram, data_header::flags, sent_flags);
    put8(datagram, data_header::hop_limit, hop_limit - 1);
  }
  lane_.counters.udp_in.add(segments);
  lane_.udp.pass({train.bytes, train.segment_bytes, segments, *to, train.traffic_class});
  return true;
}

}  // namespace i3
