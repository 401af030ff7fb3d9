#include "engine.h"

#include "host-rules.h"
#include "server-rules.h"

namespace i3 {
namespace {

// `kind`: 0 all, 1 none, 2 from `from` to `to`, otherwise empty.
bool set_range(RingRange& range, uint8_t kind, Bytes from, Bytes to) {
  const size_t end_bytes = kind == 2 ? ring_key_bytes : 0;
  if (kind > 2 || from.size() != end_bytes || to.size() != end_bytes) return false;
  if (kind == 2) range.set(from, to);
  else range.set(kind == 0 ? RingRange::Kind::all : RingRange::Kind::none);
  return true;
}

}  // namespace

Engine::Engine(Bytes seed, size_t workers) : tables_(std::make_unique<Tables>(seed, workers)), shared_(std::make_unique<Shared>(tables_->hasher)) {
  for (size_t i = 0; i < workers; i++) lanes_.push_back(std::make_unique<Lane>(*tables_, *shared_, i));
}
Engine::~Engine() = default;

void Engine::on_upcalls(std::function<void()> callback) { shared_->on_upcalls = std::move(callback); }

void Engine::tell() {
  if (output_waits() && on_output_) on_output_();
  shared_->tell_news();
}

Status Engine::set_flow(Bytes address, const FlowSpec& spec, uint8_t strength) {
  const Status status = tables_->flows.set(address, spec, strength, tables_->hasher, tables_->gates, [this](Flow& flow, FlowWay& way) {
    // At once, so that nothing newer can leave before.
    if (way.action != FlowAction::setup) lanes_[0]->host().release(flow, way);
  });
  tell();
  return status;
}

Status Engine::remove_flow(Bytes address, uint8_t strength) {
  if (!FlowName::is_valid(address)) return Status::invalid;
  FlowTable::Removed removed;
  {
    Closed closed(tables_->gates);
    removed = tables_->flows.remove(address, strength, tables_->hasher, [this](FlowWay& way) { lanes_[0]->host().discard(way, Drop::not_allocated, false); });
  }
  return Status::ok;
}

Status Engine::set_services(Bytes address, Bytes packed, uint8_t rest) {
  auto services = Services::parse(packed, rest);
  return services ? change_services(address, std::move(services)) : Status::invalid;
}

Status Engine::remove_services(Bytes address) { return change_services(address, std::nullopt); }

Status Engine::change_services(Bytes address, std::optional<Services> services) {
  const Status status = tables_->flows.set_services(address, std::move(services), tables_->hasher, tables_->gates, [this](Flow& flow) { lanes_[0]->host().judge_again(flow); });
  tell();
  return status;
}

Status Engine::set_behind(Bytes address, uint8_t bits, Bytes flow) { return tables_->behind.set(address, bits, flow, tables_->hasher, tables_->gates); }

Status Engine::remove_behind(Bytes address, uint8_t bits) {
  if (!BehindTable::is_valid(address, bits, address)) return Status::invalid;
  tables_->behind.remove(address, bits, tables_->hasher, tables_->gates);
  return Status::ok;
}

Status Engine::set_forwarding(Bytes address, bool is_on, Bytes other) {
  Flow* flow = FlowName::is_valid(address) ? tables_->flows.find(address, tables_->hasher) : nullptr;
  if (flow == nullptr || (!other.empty() && !TranslationTable::is_valid(address, other))) return Status::invalid;
  auto made = other.empty() || !is_on ? nullptr : std::make_unique<FlowName>(other);
  Closed closed(tables_->gates);
  flow->forwards = is_on;
  std::swap(flow->other, made);
  return Status::ok;
}

Status Engine::set_translation(Bytes flow, Bytes from, Bytes to) { return tables_->translations.set(flow, from, to, tables_->hasher, tables_->gates); }

Status Engine::remove_translation(Bytes flow, Bytes from) {
  if (!TranslationTable::is_of(flow, from)) return Status::invalid;
  tables_->translations.remove(flow, from, tables_->hasher, tables_->gates);
  return Status::ok;
}

std::optional<double> Engine::behind_last_use_ms(Bytes address) const {
  const Behind* host = FlowName::is_valid(address) ? tables_->behind.find(address, static_cast<uint8_t>(address.size() * 8), tables_->hasher) : nullptr;
  const double last_use_ms = host == nullptr ? std::nan("") : host->last_use_ms.load(std::memory_order_relaxed);
  return std::isnan(last_use_ms) ? std::nullopt : std::optional(last_use_ms);
}

Status Engine::set_inbound_upcall(Bytes id) {
  if (id.size() != id_bytes) return Status::invalid;
  InboundEntry entry;
  copy_to(entry.id, 0, id);
  return tables_->inbound.set(std::move(entry), tables_->hasher, tables_->gates);
}

Status Engine::set_inbound_tun(Bytes id, Bytes flow, const RewriteSpec& rewrites, uint8_t strength) {
  if (id.size() != id_bytes || !FlowName::is_valid(flow) || !Rewrites::is_valid(rewrites) || strength > strongest) return Status::invalid;
  InboundEntry entry;
  copy_to(entry.id, 0, id);
  entry.rewrites = std::make_unique<Rewrites>(rewrites);
  entry.flow = FlowName(flow);
  entry.strength = strength;
  return tables_->inbound.set(std::move(entry), tables_->hasher, tables_->gates);
}

Status Engine::remove_inbound(Bytes id) {
  if (id.size() != id_bytes) return Status::invalid;
  tables_->inbound.remove(id, tables_->hasher, tables_->gates);
  return Status::ok;
}

Status Engine::set_outbound_association(uint32_t name, const OutboundSpec& association) {
  return set_outbound(tables_->outbound_associations, name, association, tables_->hasher, tables_->gates, lanes_.size());
}

Status Engine::remove_outbound_association(uint32_t name) {
  tables_->outbound_associations.remove(name, tables_->hasher, tables_->gates);
  return Status::ok;
}

Status Engine::set_inbound_association(uint32_t spi, const InboundSpec& association) {
  return set_inbound(tables_->inbound_associations, spi, association, tables_->hasher, tables_->gates, lanes_.size());
}

Status Engine::remove_inbound_association(uint32_t spi) {
  tables_->inbound_associations.remove(spi, tables_->hasher, tables_->gates);
  return Status::ok;
}

std::optional<uint64_t> Engine::next_sequence(uint32_t name) const {
  const OutboundAssociation* association = tables_->outbound_associations.find(name, tables_->hasher);
  if (association == nullptr) return std::nullopt;
  return association->next.load(std::memory_order_relaxed);
}

Status Engine::set_hip_responder(const HipResponderSpec& responder) {
  if (!HipResponder::is_valid(responder)) return Status::invalid;
  auto made = std::make_unique<HipResponder>(responder);
  Closed closed(tables_->gates);
  std::swap(tables_->hip, made);
  return Status::ok;
}

void Engine::remove_hip_responder() {
  Closed closed(tables_->gates);
  tables_->hip.reset();
}

Status Engine::set_known_source(Bytes address, bool is_known) {
  if (address.size() != Endpoint().address().size()) return Status::invalid;
  const std::lock_guard lock(shared_->mutex);
  if (is_known) return shared_->known.add(address) ? Status::ok : Status::full;
  shared_->known.remove(address);
  return Status::ok;
}

Status Engine::set_neighbours(Bytes endpoints) {
  constexpr size_t endpoint_bytes = sizeof(Endpoint::bytes);
  if (endpoints.size() % endpoint_bytes != 0) return Status::invalid;
  std::vector<Endpoint> neighbours(endpoints.size() / endpoint_bytes);
  for (size_t i = 0; i < neighbours.size(); i++) {
    copy_to(neighbours[i].bytes, 0, part(endpoints, i * endpoint_bytes, endpoint_bytes));
    if (neighbours[i].port() == 0) return Status::invalid;
  }
  if (neighbours.size() > limits::neighbours) return Status::full;
  const std::lock_guard lock(shared_->mutex);
  shared_->known.set_neighbours(neighbours);
  return Status::ok;
}

Status Engine::set_triggers(Bytes ring_key, Bytes packed) { return tables_->triggers.set(ring_key, packed, tables_->hasher, tables_->gates); }

Status Engine::set_lease(Bytes id, const LeaseSpec& lease) { return tables_->leases.set(id, lease, tables_->hasher, tables_->gates); }

Status Engine::remove_lease(Bytes id) {
  if (id.size() != id_bytes) return Status::invalid;
  tables_->leases.remove(id, tables_->hasher, tables_->gates);
  return Status::ok;
}

Status Engine::set_challenge_answers(const ChallengeSpec& spec) {
  RingRange range;
  if (!set_range(range, spec.kind, spec.from, spec.to) || !ChallengeAnswers::is_valid(spec)) return Status::invalid;
  auto made = std::make_unique<ChallengeAnswers>(spec, range);
  Closed closed(tables_->gates);
  std::swap(tables_->challenges, made);
  return Status::ok;
}

void Engine::remove_challenge_answers() {
  Closed closed(tables_->gates);
  tables_->challenges.reset();
}

Status Engine::set_refresh_answers(uint8_t kind, Bytes from, Bytes to, const Replicas& replicas, uint16_t life_ms) {
  auto made = std::make_unique<RefreshAnswers>();
  if (!set_range(made->range, kind, from, to) || life_ms == 0) return Status::invalid;
  for (size_t family = 0; family < replicas.size(); family++) {
    const std::optional<Endpoint>& replica = replicas[family];
    if (replica && (replica->port() == 0 || replica->is_mapped() != (family == 0))) return Status::invalid;
  }
  made->replicas = replicas;
  made->life_ms = life_ms;
  Closed closed(tables_->gates);
  std::swap(tables_->answers, made);
  return Status::ok;
}

void Engine::remove_refresh_answers() {
  Closed closed(tables_->gates);
  tables_->answers.reset();
}

void Engine::take_refreshed(std::vector<Refreshed>& out) {
  const std::lock_guard lock(shared_->mutex);
  tables_->leases.take(out);
}

// Packets that wait for a server of keys that are now ours are served; as a host none wait.
Status Engine::set_responsibility_all() {
  {
    Closed closed(tables_->gates);
    tables_->range.set(RingRange::Kind::all);
    lanes_[0]->server().resume_if([](Bytes) { return true; });
  }
  tell();
  return Status::ok;
}

Status Engine::set_responsibility_none() {
  Closed closed(tables_->gates);
  tables_->range.set(RingRange::Kind::none);
  lanes_[0]->server().resume_if([](Bytes) { return true; });
  return Status::ok;
}

Status Engine::set_responsibility_range(Bytes from, Bytes to) {
  if (from.size() != ring_key_bytes || to.size() != ring_key_bytes) return Status::invalid;
  {
    Closed closed(tables_->gates);
    tables_->range.set(from, to);
    lanes_[0]->server().resume_if([this](Bytes key) { return tables_->range.owns(key); });
  }
  tell();
  return Status::ok;
}

Status Engine::set_next_server(Bytes ring_key, const std::optional<Endpoint>& endpoint) {
  if (ring_key.size() != ring_key_bytes || (endpoint && endpoint->port() == 0)) return Status::invalid;
  const Status status = tables_->next_servers.set(ring_key, endpoint, tables_->hasher, tables_->gates, [&] { lanes_[0]->server().resume(ring_key); });
  tell();
  return status;
}

Status Engine::set_pass_on(const std::optional<Endpoint>& from, const std::optional<Endpoint>& to) {
  if (from.has_value() != to.has_value() || (from && (from->port() == 0 || to->port() == 0))) return Status::invalid;
  Closed closed(tables_->gates);
  tables_->pass_on = from ? std::optional(PassOn{*from, *to}) : std::nullopt;
  return Status::ok;
}

void Engine::set_default_server(const std::optional<Endpoint>& endpoint) {
  {
    Closed closed(tables_->gates);
    tables_->next_servers.set_default(endpoint);
    if (endpoint) lanes_[0]->server().resume_if([](Bytes) { return true; });
  }
  tell();
}

void Engine::set_uplink(uint32_t interface_index) {
  Closed closed(tables_->gates);
  for (const auto& lane : lanes_) lane->context().udp.set_uplink(interface_index);
}

Status Engine::discard_route(Bytes ring_key) {
  if (ring_key.size() != ring_key_bytes) return Status::invalid;
  Closed closed(tables_->gates);
  lanes_[0]->server().discard(ring_key);
  return Status::ok;
}

Status Engine::release(Bytes address) {
  if (!FlowName::is_valid(address)) return Status::invalid;
  {
    Closed closed(tables_->gates);
    Flow* flow = tables_->flows.find(address, tables_->hasher);
    if (flow != nullptr) lanes_[0]->host().release(*flow);
  }
  tell();
  return Status::ok;
}

Status Engine::discard(Bytes address, bool refuse) {
  if (!FlowName::is_valid(address)) return Status::invalid;
  {
    Closed closed(tables_->gates);
    Flow* flow = tables_->flows.find(address, tables_->hasher);
    if (flow != nullptr) lanes_[0]->host().discard(*flow, Drop::refused, refuse);
  }
  tell();
  return Status::ok;
}

void Engine::send(std::span<const Outgoing> datagrams) {
  {
    Closed closed(tables_->gates);
    LaneContext& lane = lanes_[0]->context();
    for (const Outgoing& datagram : datagrams) {
      const auto [refused, room] = lane.udp.reserve(datagram.to, 0, datagram.bytes.size(), datagram.way);
      if (refused != Drop::none) lane.drop(refused);
      else copy_to(room, 0, datagram.bytes);
    }
  }
  tell();
}

void Engine::set_detour(bool is_on) {
  Closed closed(tables_->gates);
  shared_->has_detour = is_on;
}

void Engine::take_detoured(std::span<const Outgoing> datagrams) {
  {
    Closed closed(tables_->gates);
    LaneCounters& counters = lanes_[0]->counters();
    const std::lock_guard lock(shared_->mutex);
    for (const Outgoing& datagram : datagrams) {
      HeldDatagram* held = datagram.bytes.size() > limits::datagram_bytes ? nullptr : shared_->detoured.add(datagram.bytes.size());
      if (held == nullptr) {
        counters.drop(datagram.bytes.size() > limits::datagram_bytes ? Drop::too_big : Drop::queue_full);
        continue;
      }
      held->to = datagram.to;
      copy_to(held->bytes, 0, datagram.bytes);
      shared_->output_waits.store(true, std::memory_order_release);
    }
  }
  tell();
}

void Engine::inject(Bytes packet) {
  {
    Closed closed(tables_->gates);
    LaneContext& lane = lanes_[0]->context();
    std::vector<uint8_t> copy(packet.begin(), packet.end());
    const Drop refused = lane.tun.hold_bytes(copy);
    if (refused != Drop::none) lane.drop(refused);
  }
  tell();
}

void Engine::submit(Bytes packet) {
  std::vector<uint8_t> buffer(packet.size() + Lane::tun_slack_bytes);
  copy_to(buffer, 0, packet);
  {
    Closed closed(tables_->gates);
    lanes_[0]->host().from_tun({buffer, 0, packet.size(), ChecksumState::complete});
  }
  tell();
}

Status Engine::deliver(Bytes id, Bytes packet) {
  if (id.size() != id_bytes) return Status::invalid;
  std::vector<uint8_t> buffer(packet.begin(), packet.end());
  {
    Closed closed(tables_->gates);
    const InboundEntry* entry = tables_->inbound.find(id, tables_->hasher);
    HostRules& host = lanes_[0]->host();
    host.forget();
    if (entry != nullptr && entry->rewrites) host.arrived({*entry->rewrites, entry->flow, entry->strength}, buffer, 0, ChecksumState::complete);
    else lanes_[0]->context().drop(Drop::unknown_id);
  }
  tell();
  return Status::ok;
}

std::optional<FlowReport> Engine::report(Bytes address) const {
  if (!FlowName::is_valid(address)) return std::nullopt;
  // Without the gates: only this thread changes the table, and the fields are atomic.
  const Flow* flow = tables_->flows.find(address, tables_->hasher);
  if (flow == nullptr) return std::nullopt;
  FlowReport report;
  const double last_use_ms = flow->last_use_ms.load(std::memory_order_relaxed);
  if (!std::isnan(last_use_ms)) report.last_use_ms = last_use_ms;
  report.packets_out = flow->packets_out.load(std::memory_order_relaxed);
  report.answers_out = flow->answers_out.load(std::memory_order_relaxed);
  report.bytes_out = flow->bytes_out.load(std::memory_order_relaxed);
  report.packets_in = flow->packets_in.load(std::memory_order_relaxed);
  report.bytes_in = flow->bytes_in.load(std::memory_order_relaxed);
  return report;
}

size_t Engine::take_upcalls(std::vector<Upcall>& out) {
  const std::lock_guard lock(shared_->mutex);
  auto& waiting = shared_->upcalls;
  for (size_t i = 0; i < limits::upcalls_per_batch && !waiting.empty(); i++) {
    shared_->upcall_bytes -= waiting.front().bytes.size();
    out.push_back(std::move(waiting.front()));
    waiting.pop_front();
    shared_->upcalls_taken++;
  }
  return waiting.size();
}

bool Engine::upcalls_wait() const {
  const std::lock_guard lock(shared_->mutex);
  return !shared_->upcalls.empty();
}

bool Engine::output_waits() const { return shared_->output_waits.load(std::memory_order_acquire); }

Engine::Totals Engine::totals() const {
  Totals totals;
  for (const auto& lane : lanes_) {
    const LaneCounters& counters = lane->counters();
    for (size_t i = 0; i < drop_reasons; i++) totals.drops[i] += counters.drops[i].read();
    totals.tun_in += counters.tun_in.read();
    totals.tun_out += counters.tun_out.read();
    totals.udp_in += counters.udp_in.read();
    totals.udp_out += counters.udp_out.read();
    totals.hip_answered += counters.hip_answered.read();
    totals.refreshed += counters.refreshed.read();
    totals.challenged += counters.challenged.read();
    totals.tun_reads += counters.tun_reads.read();
    totals.tun_writes += counters.tun_writes.read();
    totals.udp_reads += counters.udp_reads.read();
    totals.udp_sends += counters.udp_sends.read();
  }
  const std::lock_guard lock(shared_->mutex);
  totals.upcalls = shared_->upcalls_taken;
  return totals;
}

size_t Engine::table_bytes() const {
  const Tables& t = *tables_;
  return t.flows.memory_bytes() + t.behind.memory_bytes() + t.translations.memory_bytes() + t.inbound.memory_bytes() + t.outbound_associations.memory_bytes() + t.inbound_associations.memory_bytes() +
         t.triggers.memory_bytes() + t.leases.memory_bytes() + t.next_servers.memory_bytes();
}

}  // namespace i3
