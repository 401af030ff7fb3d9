// Virtual address → what to do with packets that local programs send to it.
#pragma once

#include <atomic>
#include <cmath>
#include <memory>
#include <unordered_map>

#include "associations.h"
#include "data-header.h"
#include "queues.h"
#include "services.h"

namespace i3 {

// What may go to a peer that has not answered there yet, by all ways of one account together.
struct Credit {
  explicit Credit(const FlowSpec& spec) : endpoint(*spec.locator), way(spec.way), bytes(spec.credit_bytes), account(spec.credit_account) {}

  Endpoint endpoint;
  Way way;
  uint64_t bytes;
  uint32_t account;
  // That have it.
  uint32_t ways = 0;
  // Also what found no room, so that nothing goes there any more once one packet did not: they stay in order.
  std::atomic<uint64_t> used_bytes{0};

  bool is_of(const FlowSpec& spec) const { return endpoint == *spec.locator && way == spec.way && bytes == spec.credit_bytes; }
  // What a packet of so many bytes costs. By several lanes at once: together they take the credit at most.
  uint64_t cost(size_t sealed_bytes) const { return sealed_bytes + (way.via == Via::ip ? 0 : udp::header_bytes); }
  bool take(uint64_t cost) {
    if (used_bytes.load(std::memory_order_relaxed) > bytes) return false;
    return used_bytes.fetch_add(cost, std::memory_order_relaxed) + cost <= bytes;
  }
  void give_back(uint64_t cost) { used_bytes.fetch_sub(cost, std::memory_order_relaxed); }
};

// Where packets go that no server carries.
struct StraightTo {
  StraightTo(const FlowSpec& spec, std::shared_ptr<Credit> credit_) : endpoint(*spec.locator), way(spec.way), credit(std::move(credit_)) {}

  Endpoint endpoint;
  Way way;
  // nullptr: no limit.
  std::shared_ptr<Credit> credit;
};

// What is done with packets of an address that need one strength.
struct FlowWay {
  explicit FlowWay(uint8_t strength_) : strength(strength_) {}

  std::vector<uint8_t> header;
  WaitingQueue waiting;
  uint32_t association = 0;
  uint32_t ring_key_hash = 0;
  uint16_t mtu = 65'535;
  // Few have it, and it is large.
  std::unique_ptr<StraightTo> straight;
  std::array<uint8_t, 16> source{};
  FlowAction action = FlowAction::none;
  // The control plane has been told of this set-up.
  bool asked = false;
  uint8_t strength;

  bool is_set() const { return action != FlowAction::none; }
  Bytes ring_key() const { return part(Bytes(header), data_header::ids, ring_key_bytes); }
  void set(const FlowSpec& spec, const Hasher& hasher, std::shared_ptr<Credit> credit);
};

// With its way of strength 2, which is the only one of most.
struct Flow : FlowWay {
  explicit Flow(Bytes address_) : FlowWay(strongest), address(address_) {}

  FlowName address;
  // It has services, or other ways: FlowTable::more knows them.
  bool has_more = false;
  // Its peer sends to, and hears from, others than this host.
  bool forwards = false;
  // The same peer's flow of the other family; nullptr: none is known.
  std::unique_ptr<FlowName> other;
  // NaN: never.
  std::atomic<double> last_use_ms{std::nan("")};
  std::atomic<uint64_t> packets_out{0}, bytes_out{0}, packets_in{0}, bytes_in{0}, answers_out{0};

  void use(double now_ms) { last_use_ms.store(now_ms, std::memory_order_relaxed); }
  void count_out(Bytes packet) {
    packets_out.fetch_add(1, std::memory_order_relaxed);
    bytes_out.fetch_add(packet.size(), std::memory_order_relaxed);
    if (is_answer(packet)) answers_out.fetch_add(1, std::memory_order_relaxed);
  }
  void count_in(size_t bytes) {
    packets_in.fetch_add(1, std::memory_order_relaxed);
    bytes_in.fetch_add(bytes, std::memory_order_relaxed);
  }
};
// There are 65,536 of them (docs/datapath.md, LIMITS).
static_assert(sizeof(Flow) <= 168);

// What few flows have.
struct MoreOfFlow {
  explicit MoreOfFlow(Flow& flow_) : flow(flow_) {}

  Flow& flow;
  std::optional<Services> services;
  // Of strength 0 and 1; nullptr: not set.
  std::array<std::unique_ptr<FlowWay>, strongest> weaker;

  // nullptr: not set.
  FlowWay* way(uint8_t strength) const {
    if (strength < strongest) return weaker[strength].get();
    return strength == strongest && flow.is_set() ? &flow : nullptr;
  }
  bool is_needed() const { return services || weaker[0] || weaker[1]; }
  bool has_ways() const { return flow.is_set() || weaker[0] || weaker[1]; }
};

class FlowTable {
 public:
  static bool is_valid(Bytes address, const FlowSpec& spec);

  Flow* find(Bytes address, const Hasher& hasher) const {
    if (index_.size() == 0) return nullptr;
    const uint32_t entry = lookup(address, hasher.bytes(address));
    return entry == HashIndex::none ? nullptr : flows_[entry].get();
  }
  // Of a flow that has more.
  MoreOfFlow& more(const Flow& flow, const Hasher& hasher) const { return *more_[lookup_more(flow.address.view(), hasher.bytes(flow.address.view()))]; }
  // The strongest first.
  template <typename Act>
  void each_way(Flow& flow, const Hasher& hasher, Act act) const {
    if (flow.is_set()) act(static_cast<FlowWay&>(flow));
    if (!flow.has_more) return;
    for (const size_t strength : {size_t{1}, size_t{0}}) {
      if (const auto& way = more(flow, hasher).weaker[strength]) act(*way);
    }
  }

  // What waits and the last use stay; `setup` begins a new set-up, whose first packet asks again.
  // `then` runs before the gates open.
  Status set(Bytes address, const FlowSpec& spec, uint8_t strength, const Hasher& hasher, Gates& gates, const std::function<void(Flow&, FlowWay&)>& then);
  // None given: no more services. `then` as above, when there is a change.
  Status set_services(Bytes address, std::optional<Services> services, const Hasher& hasher, Gates& gates, const std::function<void(Flow&)>& then);
  // A way, or all. The gates are closed; `drop` deals with what waits. What is returned is to be freed when they are open again.
  struct Removed {
    std::unique_ptr<Flow> flow;
    std::unique_ptr<MoreOfFlow> more;
    std::array<std::unique_ptr<FlowWay>, strongest> ways;
  };
  Removed remove(Bytes address, uint8_t strength, const Hasher& hasher, const std::function<void(FlowWay&)>& drop);
  size_t memory_bytes() const {
    return index_.memory_bytes() + flows_.memory_bytes() + index_.size() * sizeof(Flow) + header_bytes_ + more_index_.memory_bytes() + more_.memory_bytes() +
           more_index_.size() * sizeof(MoreOfFlow) + more_bytes_;
  }

 private:
  uint32_t lookup(Bytes address, uint32_t hash) const {
    return index_.find(hash, [&](uint32_t entry) { return equal(flows_[entry]->address.view(), address); });
  }
  uint32_t lookup_more(Bytes address, uint32_t hash) const {
    return more_index_.find(hash, [&](uint32_t entry) { return equal(more_[entry]->flow.address.view(), address); });
  }
  // Both: a flow that has more has it already, or there is room for it.
  bool has_room_for_more(const Flow* flow) const { return (flow != nullptr && flow->has_more) || more_index_.size() < limits::flows_with_services; }
  MoreOfFlow& add_more(Flow& flow, uint32_t hash);
  // When nothing is left in it.
  std::unique_ptr<MoreOfFlow> remove_more_unless_needed(Flow& flow, uint32_t hash);
  void set_way(FlowWay& way, const FlowSpec& spec, const Hasher& hasher);
  // nullptr: it needs none.
  std::shared_ptr<Credit> take_credit(const FlowSpec& spec);
  void leave_credit(const FlowWay& way);
  std::unique_ptr<FlowWay> take_way(MoreOfFlow& more, uint8_t strength);

  HashIndex index_;
  Slab<std::unique_ptr<Flow>> flows_;
  HashIndex more_index_;
  Slab<std::unique_ptr<MoreOfFlow>> more_;
  // By account, the newest of each that a way has. Lanes do not look here.
  std::unordered_map<uint32_t, std::shared_ptr<Credit>> credits_;
  size_t header_bytes_ = 0;
  // Weaker ways and services.
  size_t more_bytes_ = 0;
};

}  // namespace i3
