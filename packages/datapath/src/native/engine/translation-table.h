// Virtual addresses of one family ↔ addresses of the other that they stand for (docs/datapath.md, "Translation").
#pragma once

#include <memory>

#include "associations.h"

namespace i3 {

// What a peer of a gateway, by its flow of the family of `from`, sends to, and what that is to the gateway's system.
struct Translation {
  FlowName flow;
  FlowName from;
  FlowName to;
};

class TranslationTable {
 public:
  // Addresses of both families.
  static bool is_valid(Bytes from, Bytes to) { return FlowName::is_valid(from) && FlowName::is_valid(to) && from.size() != to.size(); }
  static bool is_of(Bytes flow, Bytes from) { return FlowName::is_valid(flow) && flow.size() == from.size(); }

  bool is_empty() const { return by_from_.size() == 0; }
  const Translation* find_from(Bytes flow, Bytes address, const Hasher& hasher) const { return entry_at(lookup_from(flow, address, hash_of(flow, address, hasher))); }
  const Translation* find_to(Bytes flow, Bytes address, const Hasher& hasher) const { return entry_at(lookup_to(flow, address, hash_of(flow, address, hasher))); }

  Status set(Bytes flow, Bytes from, Bytes to, const Hasher& hasher, Gates& gates);
  void remove(Bytes flow, Bytes from, const Hasher& hasher, Gates& gates);
  size_t memory_bytes() const { return by_from_.memory_bytes() + by_to_.memory_bytes() + entries_.memory_bytes() + by_from_.size() * sizeof(Translation); }

 private:
  static uint32_t hash_of(Bytes flow, Bytes address, const Hasher& hasher) { return hasher.bytes(address) ^ hasher.number(hasher.bytes(flow)); }
  const Translation* entry_at(uint32_t entry) const { return entry == HashIndex::none ? nullptr : entries_[entry].get(); }
  uint32_t lookup_from(Bytes flow, Bytes address, uint32_t hash) const {
    return by_from_.find(hash, [&](uint32_t entry) { return equal(entries_[entry]->from.view(), address) && equal(entries_[entry]->flow.view(), flow); });
  }
  uint32_t lookup_to(Bytes flow, Bytes address, uint32_t hash) const {
    return by_to_.find(hash, [&](uint32_t entry) { return equal(entries_[entry]->to.view(), address) && equal(entries_[entry]->flow.view(), flow); });
  }

  HashIndex by_from_;
  HashIndex by_to_;
  Slab<std::unique_ptr<Translation>> entries_;
};

}  // namespace i3
