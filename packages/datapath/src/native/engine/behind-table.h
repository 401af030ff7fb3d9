// Hosts behind a peer: an address, or all of a prefix → the peer's flow (docs/datapath.md, "Behind a peer").
#pragma once

#include <atomic>
#include <cmath>
#include <memory>

#include "associations.h"

namespace i3 {

struct Behind {
  FlowName address;
  uint8_t bits = 0;
  FlowName flow;
  // NaN: never.
  std::atomic<double> last_use_ms{std::nan("")};

  void use(double now_ms) { last_use_ms.store(now_ms, std::memory_order_relaxed); }
  bool covers(Bytes other) const;
};

class BehindTable {
 public:
  // Addresses of one family, and no bit set behind the prefix.
  static bool is_valid(Bytes address, size_t bits, Bytes flow);

  // The one with the longest prefix.
  Behind* find(Bytes address, const Hasher& hasher) const {
    if (index_.size() != 0) {
      const uint32_t entry = lookup(address, hasher.bytes(address));
      if (entry != HashIndex::none) return hosts_[entry].get();
    }
    return prefixes_.empty() ? nullptr : find_prefix(address);
  }
  // Of a single address.
  Behind* host(Bytes address, const Hasher& hasher) const {
    const uint32_t entry = lookup(address, hasher.bytes(address));
    return entry == HashIndex::none ? nullptr : hosts_[entry].get();
  }

  // The last use of what was there stays.
  Status set(Bytes address, uint8_t bits, Bytes flow, const Hasher& hasher, Gates& gates);
  void remove(Bytes address, uint8_t bits, const Hasher& hasher, Gates& gates);
  size_t memory_bytes() const { return index_.memory_bytes() + hosts_.memory_bytes() + (index_.size() + prefixes_.size()) * sizeof(Behind); }

 private:
  using Prefixes = std::vector<std::unique_ptr<Behind>>;
  uint32_t lookup(Bytes address, uint32_t hash) const {
    return index_.find(hash, [&](uint32_t entry) { return equal(hosts_[entry]->address.view(), address); });
  }
  Behind* find_prefix(Bytes address) const;
  Prefixes::iterator place_of(Bytes address, uint8_t bits);
  Status set_prefix(std::unique_ptr<Behind> made, Gates& gates);

  HashIndex index_;
  Slab<std::unique_ptr<Behind>> hosts_;
  // The longest first.
  Prefixes prefixes_;
};

}  // namespace i3
