// Ids → triggers. All that can match an id share its first 128 bits and so are one group; within it the id with the longest common
// prefix wins, of several the nearest by XOR, and every trigger at it is served (i3 paper §2). Nearly all groups have one trigger: such
// a group is one cache line.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine.h"
#include "gates.h"
#include "ring-range.h"

namespace i3 {

// Where one copy goes: to an address, or on with ids in place of the head of the stack.
struct Target {
  Endpoint endpoint;
  // 0: an address. Otherwise that many ids, at Group::stacks[stack_at …].
  uint8_t stack_ids = 0;
  // The number, from 1, of the group's target before it that leads to the same address or ids; 0 for none.
  uint8_t same_before = 0;
  uint32_t stack_at = 0;
};

// A group of several triggers, sorted by id; those of one id keep the order in which the control plane named them.
struct LargeGroup {
  std::vector<std::array<uint8_t, id_bytes - ring_key_bytes>> suffixes;
  std::vector<Target> targets;
  std::vector<uint8_t> stacks;
};

struct alignas(64) Group {
  std::array<uint8_t, ring_key_bytes> key{};
  Target target;
  std::unique_ptr<LargeGroup> large;

  void reset() { *this = Group(); }
  size_t triggers() const { return large ? large->targets.size() : 1; }
};
static_assert(sizeof(Group) == 64);

class TriggerTable {
 public:
  // `packed`: engine.h, set_triggers.
  Status set(Bytes ring_key, Bytes packed, const Hasher& hasher, Gates& gates);

  struct Match {
    std::span<const Target> targets;
    // How many of the group's targets stand before these.
    size_t first = 0;
    // The ids of targets that are stacks.
    Bytes stacks;
  };
  // None: no trigger shares 128 bits with the id.
  Match match(Bytes id, uint32_t key_hash) const;
  bool empty() const { return index_.size() == 0; }

  // Always inlined: GCC takes a function that only prefetches for one without effect, and leaves its calls out.
  [[gnu::always_inline]] void prefetch_index(uint32_t key_hash) const { index_.prefetch(key_hash); }
  [[gnu::always_inline]] void prefetch_group(uint32_t key_hash) const {
    const uint32_t entry = index_.likely(key_hash);
    if (entry != HashIndex::none) __builtin_prefetch(&groups_[entry]);
  }
  size_t memory_bytes() const { return index_.memory_bytes() + groups_.memory_bytes() + large_bytes_; }

 private:
  uint32_t find(Bytes ring_key, uint32_t key_hash) const;
  void remove(uint32_t entry, uint32_t key_hash, Gates& gates);
  void put(Bytes ring_key, uint32_t key_hash, uint32_t entry, Group group, Gates& gates);

  HashIndex index_;
  Slab<Group> groups_;
  size_t count_ = 0;
  size_t large_bytes_ = 0;
};

}  // namespace i3
