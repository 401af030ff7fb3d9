// Hosts behind a peer: an address, or all of a prefix → the peer's flow (docs/datapath.md, "Behind a peer").
#pragma once

#include <atomic>
#include <cmath>
#include <memory>

#include "associations.h"

namespace i3 {

struct Behind {
  // What is not of the prefix is 0.
  FlowName address;
  uint8_t bits = 0;
  FlowName flow;
  // NaN: never.
  std::atomic<double> last_use_ms{std::nan("")};

  void use(double now_ms) { last_use_ms.store(now_ms, std::memory_order_relaxed); }
};

class BehindTable {
 public:
  // Addresses of one family, and no bit set behind the prefix.
  static bool is_valid(Bytes address, size_t bits, Bytes flow);

  // The one with the longest prefix: a lookup for each length in use.
  Behind* find(Bytes address, const Hasher& hasher) const {
    for (const uint8_t bits : lengths_[address.size() == 4 ? 0 : 1]) {
      Behind* found = find(address, bits, hasher);
      if (found != nullptr) return found;
    }
    return nullptr;
  }
  // Of exactly that prefix, which begins the address.
  Behind* find(Bytes address, uint8_t bits, const Hasher& hasher) const;

  // The last use of what was there stays.
  Status set(Bytes address, uint8_t bits, Bytes flow, const Hasher& hasher, Gates& gates);
  void remove(Bytes address, uint8_t bits, const Hasher& hasher, Gates& gates);
  size_t memory_bytes() const { return index_.memory_bytes() + entries_.memory_bytes() + index_.size() * sizeof(Behind); }

 private:
  uint32_t lookup(const FlowName& prefix, uint8_t bits, uint32_t hash) const {
    return index_.find(hash, [&](uint32_t entry) { return entries_[entry]->bits == bits && equal(entries_[entry]->address.view(), prefix.view()); });
  }
  void count(const FlowName& prefix, uint8_t bits, int by);

  HashIndex index_;
  Slab<std::unique_ptr<Behind>> entries_;
  // Of IPv4 and of IPv6, those in use, the longest first; and how many there are of each.
  std::array<std::vector<uint8_t>, 2> lengths_;
  std::array<std::array<uint32_t, 129>, 2> counts_{};
  size_t prefixes_ = 0;
};

}  // namespace i3
