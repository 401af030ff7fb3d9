// Triggers whose refreshes the engine answers by itself, by id, and those that were refreshed since the control plane asked (docs/datapath.md, "Refreshes").
#pragma once

#include "engine.h"
#include "gates.h"
#include "refresh-packet.h"
#include "ring-range.h"

namespace i3 {

struct Lease {
  std::array<uint8_t, refresh::id_bytes> id{};
  std::array<uint8_t, refresh::token_bytes> token{};
  Endpoint owner;
  bool is_replica = false;
  bool is_listed = false;
  uint16_t index = 0;
  // Since the control plane was last told.
  uint32_t times = 0;
  double end_ms = 0;
  double at_ms = 0;
  // In the list of those that it has to be told of.
  uint32_t before = HashIndex::none;
  uint32_t next = HashIndex::none;

  void reset() { *this = Lease(); }
};

class LeaseTable {
 public:
  Status set(Bytes id, const LeaseSpec& spec, const Hasher& hasher, Gates& gates);
  void remove(Bytes id, const Hasher& hasher, Gates& gates);

  // HashIndex::none: there is none.
  uint32_t find(Bytes id, const Hasher& hasher) const;
  Lease& operator[](uint32_t entry) const { return leases_[entry]; }
  // It goes to the end of the list. With the shared mutex.
  void refreshed(uint32_t entry, double now_ms);
  // Appends at most limits::refreshed_per_batch and takes them off the list. With the shared mutex.
  void take(std::vector<Refreshed>& out);
  size_t memory_bytes() const { return index_.memory_bytes() + leases_.memory_bytes(); }

 private:
  void unlist(Lease& lease);

  HashIndex index_;
  Slab<Lease> leases_;
  uint32_t first_ = HashIndex::none;
  uint32_t last_ = HashIndex::none;
};

// What answering takes besides.
struct RefreshAnswers {
  RingRange range;
  Replicas replicas;
  uint16_t life_ms = 0;
};

}  // namespace i3
