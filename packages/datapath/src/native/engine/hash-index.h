// Open-addressing index from a 32-bit hash to an entry's number; the entries themselves are in a Slab. Lanes look up, the control
// plane changes: in place while it holds the gates, and by building a larger one beforehand, so that growing delays no packet.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "huge-array.h"

namespace i3 {

// Seeded, because ids and addresses are chosen by others.
class Hasher {
 public:
  explicit Hasher(Bytes seed) : a_(load<uint64_t>(seed, 0) | 1), b_(load<uint64_t>(seed, 8) | 1) {}

  uint32_t number(uint32_t value) const { return finish(mix(value ^ a_, b_)); }
  // 4, 16 or 32 bytes.
  uint32_t bytes(Bytes key) const {
    if (key.size() == 4) return number(load<uint32_t>(key, 0));
    const uint64_t first = mix(load<uint64_t>(key, 0) ^ a_, load<uint64_t>(key, 8) ^ b_);
    if (key.size() == 16) return finish(first);
    return finish(mix(load<uint64_t>(key, 16) ^ first, load<uint64_t>(key, 24) ^ b_));
  }

 private:
  static uint64_t mix(uint64_t x, uint64_t y) {
    const auto product = static_cast<unsigned __int128>(x) * y;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  }
  uint32_t finish(uint64_t hash) const {
    const uint64_t mixed = mix(hash ^ b_, 0x9e37'79b9'7f4a'7c15);
    return static_cast<uint32_t>(mixed ^ (mixed >> 32));
  }

  uint64_t a_;
  uint64_t b_;
};

class HashIndex {
 public:
  static constexpr uint32_t none = UINT32_MAX;

  HashIndex() : slots_(initial_slots) {}

  size_t size() const { return size_; }
  size_t memory_bytes() const { return slots_.size() * sizeof(Slot); }
  [[gnu::always_inline]] void prefetch(uint32_t hash) const { __builtin_prefetch(&slots_[hash & mask()]); }

  // The entry with this hash for which `is_it(entry)` holds, or none.
  template <typename IsIt>
  uint32_t find(uint32_t hash, IsIt is_it) const {
    for (size_t at = hash & mask();; at = (at + 1) & mask()) {
      const Slot& slot = slots_[at];
      if (slot.entry == none) return none;
      if (slot.hash == hash && is_it(slot.entry)) return slot.entry;
    }
  }
  // The first entry with this hash near its place, perhaps another one's: only to prefetch it.
  uint32_t likely(uint32_t hash) const {
    for (size_t i = 0; i < 4; i++) {
      const Slot& slot = slots_[(hash + i) & mask()];
      if (slot.hash == hash || slot.entry == none) return slot.entry;
    }
    return none;
  }

  bool is_full() const { return (size_ + 1) * 2 > slots_.size(); }
  // A copy with room for more; made without any lock, for only the control plane changes this one.
  HashIndex grown() const {
    HashIndex larger;
    larger.slots_ = HugeArray<Slot>(slots_.size() * 2);
    for (const Slot& slot : slots_) {
      if (slot.entry != none) larger.insert(slot.hash, slot.entry);
    }
    return larger;
  }
  // There is room, and the entry is not in it.
  void insert(uint32_t hash, uint32_t entry) {
    size_t at = hash & mask();
    while (slots_[at].entry != none) at = (at + 1) & mask();
    slots_[at] = {hash, entry};
    size_++;
  }
  // It is in it. What follows moves up, so that no search ends early.
  void remove(uint32_t hash, uint32_t entry) {
    size_t hole = hash & mask();
    while (slots_[hole].entry != entry) hole = (hole + 1) & mask();
    size_--;
    for (size_t at = (hole + 1) & mask(); slots_[at].entry != none; at = (at + 1) & mask()) {
      const size_t home = slots_[at].hash & mask();
      if (((at - home) & mask()) < ((at - hole) & mask())) continue;
      slots_[hole] = slots_[at];
      hole = at;
    }
    slots_[hole] = Slot{};
  }

 private:
  static constexpr size_t initial_slots = 64;
  struct Slot {
    uint32_t hash = 0;
    uint32_t entry = none;
  };
  size_t mask() const { return slots_.size() - 1; }

  HugeArray<Slot> slots_;
  size_t size_ = 0;
};

// Entries with stable addresses and small numbers: the first ones in small chunks, many in chunks of a huge page.
template <typename T>
class Slab {
 public:
  T& operator[](uint32_t entry) const {
    if (entry < small_entries) return small_[entry / small_chunk][entry % small_chunk];
    return large_[(entry - small_entries) / large_chunk][(entry - small_entries) % large_chunk];
  }
  size_t memory_bytes() const {
    return (small_.size() * small_chunk + large_.size() * large_chunk) * sizeof(T) + free_.capacity() * sizeof(uint32_t);
  }

  // Makes a large chunk ready beforehand, without any lock: two megabytes take a millisecond.
  void prepare() {
    const bool is_needed = free_.empty() && used_ >= small_entries && used_ - small_entries == large_.size() * large_chunk;
    if (is_needed && spare_.size() == 0) spare_ = HugeArray<T>(large_chunk);
  }
  // After prepare().
  uint32_t add() {
    if (!free_.empty()) {
      const uint32_t entry = free_.back();
      free_.pop_back();
      return entry;
    }
    const bool is_small = used_ < small_entries;
    if (is_small && used_ == small_.size() * small_chunk) small_.emplace_back(small_chunk);
    if (!is_small && used_ - small_entries == large_.size() * large_chunk) large_.push_back(std::move(spare_));
    return used_++;
  }
  void remove(uint32_t entry) {
    (*this)[entry].reset();
    free_.push_back(entry);
  }

 private:
  static constexpr uint32_t small_chunk = 64;
  static constexpr uint32_t small_entries = 16'384;
  static constexpr uint32_t large_chunk = std::min(uint32_t{32'768}, std::bit_floor(static_cast<uint32_t>(2 * 1024 * 1024 / sizeof(T))));
  std::vector<HugeArray<T>> small_;
  std::vector<HugeArray<T>> large_;
  HugeArray<T> spare_;
  std::vector<uint32_t> free_;
  uint32_t used_ = 0;
};

}  // namespace i3
