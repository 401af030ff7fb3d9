// Our ids → what to do with data packets that arrive for exactly one of them.
#pragma once

#include "associations.h"
#include "data-header.h"

namespace i3 {

struct InboundEntry {
  std::array<uint8_t, id_bytes> id{};
  // Empty: packets go up.
  std::unique_ptr<Rewrites> rewrites;
  FlowName flow;
  uint8_t strength = strongest;

  void reset() { *this = InboundEntry(); }
};

class InboundTable {
 public:
  const InboundEntry* find(Bytes id, const Hasher& hasher) const {
    if (index_.size() == 0) return nullptr;
    const uint32_t entry = lookup(id, hasher.bytes(id));
    return entry == HashIndex::none ? nullptr : &entries_[entry];
  }

  Status set(InboundEntry made, const Hasher& hasher, Gates& gates) {
    const uint32_t hash = hasher.bytes(made.id);
    uint32_t entry = lookup(made.id, hash);
    if (entry == HashIndex::none && index_.size() >= limits::inbound) return Status::full;
    if (entry == HashIndex::none) grow_if_full(index_, entries_, gates);
    Closed closed(gates);
    if (entry == HashIndex::none) {
      entry = entries_.add();
      index_.insert(hash, entry);
    }
    std::swap(entries_[entry], made);
    return Status::ok;
  }

  void remove(Bytes id, const Hasher& hasher, Gates& gates) {
    const uint32_t hash = hasher.bytes(id);
    const uint32_t entry = lookup(id, hash);
    if (entry == HashIndex::none) return;
    Closed closed(gates);
    index_.remove(hash, entry);
    entries_.remove(entry);
  }
  size_t memory_bytes() const { return index_.memory_bytes() + entries_.memory_bytes() + index_.size() * sizeof(Rewrites); }

 private:
  uint32_t lookup(Bytes id, uint32_t hash) const {
    return index_.find(hash, [&](uint32_t entry) { return equal(entries_[entry].id, id); });
  }

  HashIndex index_;
  Slab<InboundEntry> entries_;
};

}  // namespace i3
