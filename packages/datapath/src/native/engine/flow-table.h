// Virtual address → what to do with packets that local programs send to it.
#pragma once

#include <atomic>
#include <cmath>

#include "associations.h"
#include "data-header.h"
#include "queues.h"

namespace i3 {

struct Flow {
  FlowName address;
  FlowAction action = FlowAction::setup;
  // The control plane has been told of this set-up.
  bool asked = false;
  bool has_locator = false;
  uint16_t mtu = 65'535;
  uint32_t association = 0;
  uint32_t ring_key_hash = 0;
  Endpoint locator;
  Way way;
  std::array<uint8_t, 16> source{};
  std::vector<uint8_t> header;
  // NaN: never.
  std::atomic<double> last_use_ms{std::nan("")};
  std::atomic<uint64_t> packets_out{0}, bytes_out{0}, packets_in{0}, bytes_in{0};
  WaitingQueue waiting;

  Bytes ring_key() const { return part(Bytes(header), data_header::ids, ring_key_bytes); }
  void use(double now_ms) { last_use_ms.store(now_ms, std::memory_order_relaxed); }
  void count_out(size_t bytes) {
    packets_out.fetch_add(1, std::memory_order_relaxed);
    bytes_out.fetch_add(bytes, std::memory_order_relaxed);
  }
  void count_in(size_t bytes) {
    packets_in.fetch_add(1, std::memory_order_relaxed);
    bytes_in.fetch_add(bytes, std::memory_order_relaxed);
  }
  void set(const FlowSpec& spec, const Hasher& hasher);
};

class FlowTable {
 public:
  static bool is_valid(Bytes address, const FlowSpec& spec);

  Flow* find(Bytes address, const Hasher& hasher) const {
    if (index_.size() == 0) return nullptr;
    const uint32_t entry = lookup(address, hasher.bytes(address));
    return entry == HashIndex::none ? nullptr : flows_[entry].get();
  }
  // What waits and the last use stay; `setup` begins a new set-up, whose first packet asks again.
  // `then` runs before the gates open.
  Status set(Bytes address, const FlowSpec& spec, const Hasher& hasher, Gates& gates, const std::function<void(Flow&)>& then);
  // The gates are closed; the caller drops what waits.
  std::unique_ptr<Flow> remove(Bytes address, const Hasher& hasher);
  size_t memory_bytes() const { return index_.memory_bytes() + flows_.memory_bytes() + index_.size() * sizeof(Flow) + header_bytes_; }

 private:
  uint32_t lookup(Bytes address, uint32_t hash) const {
    return index_.find(hash, [&](uint32_t entry) { return equal(flows_[entry]->address.view(), address); });
  }

  HashIndex index_;
  Slab<std::unique_ptr<Flow>> flows_;
  size_t header_bytes_ = 0;
};

}  // namespace i3
