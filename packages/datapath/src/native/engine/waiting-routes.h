// Packets at a server that wait for a next server, by ring key: bounded over all, for each key and for each source.
#pragma once

#include <array>
#include <map>
#include <vector>

#include "limits.h"
#include "queues.h"
#include "source-shares.h"

namespace i3 {

using RingKey = std::array<uint8_t, 16>;

class WaitingRoutes {
 public:
  explicit WaitingRoutes(QueueBudget& budget) : budget_(budget) {}

  // The key does not wait and could, as far as there is room, of all and of this source.
  bool may_open(const RingKey& key, const Endpoint& from) const;
  // A key that may_open().
  void open(const RingKey& key, const Endpoint& from);
  // The queue of an opened key with room taken for a packet of that length, which is to be pushed; nullptr when there is none.
  WaitingQueue* reserve(const RingKey& key, const Endpoint& from, size_t length);
  // What waits for the key, which waits no longer.
  std::vector<Waiting> take(const RingKey& key);
  // In the order in which they began to wait.
  std::vector<RingKey> keys() const;

 private:
  struct Route {
    uint64_t order = 0;
    // Whose share the key is.
    SourceKey source{};
    WaitingQueue queue;
  };

  QueueBudget& budget_;
  // A tree, so that an attacker's keys cost no more than others.
  std::map<RingKey, Route> routes_;
  uint64_t opened_ = 0;
  SourceShares key_shares_{limits::waiting_routes_per_source};
  SourceShares byte_shares_{limits::waiting_bytes_per_source};
};

}  // namespace i3
