// Ring key → the server where packets for it go next.
#pragma once

#include <optional>

#include "engine.h"
#include "gates.h"
#include "ring-range.h"

namespace i3 {

class NextServers {
 public:
  // The default server's endpoint when the key is not in the table; nullptr when there is none.
  const Endpoint* lookup(Bytes ring_key, uint32_t key_hash) const {
    const uint32_t entry = index_.size() == 0 ? HashIndex::none : find(ring_key, key_hash);
    if (entry != HashIndex::none) return &servers_[entry].endpoint;
    return fallback_ ? &*fallback_ : nullptr;
  }

  // `then` runs before the gates open, when there is a server now.
  Status set(Bytes ring_key, const std::optional<Endpoint>& endpoint, const Hasher& hasher, Gates& gates, const std::function<void()>& then) {
    const uint32_t key_hash = hasher.bytes(ring_key);
    uint32_t entry = find(ring_key, key_hash);
    if (entry == HashIndex::none && !endpoint) return Status::ok;
    if (entry == HashIndex::none && index_.size() >= limits::next_servers) return Status::full;
    if (entry == HashIndex::none) grow_if_full(index_, servers_, gates);
    Closed closed(gates);
    if (!endpoint) {
      index_.remove(key_hash, entry);
      servers_.remove(entry);
      return Status::ok;
    }
    if (entry == HashIndex::none) {
      entry = servers_.add();
      copy_to(servers_[entry].key, 0, ring_key);
      index_.insert(key_hash, entry);
    }
    servers_[entry].endpoint = *endpoint;
    then();
    return Status::ok;
  }

  // The gates are closed.
  void set_default(const std::optional<Endpoint>& endpoint) { fallback_ = endpoint; }
  size_t memory_bytes() const { return index_.memory_bytes() + servers_.memory_bytes(); }

 private:
  struct Server {
    std::array<uint8_t, ring_key_bytes> key{};
    Endpoint endpoint;
    void reset() { *this = Server(); }
  };
  uint32_t find(Bytes ring_key, uint32_t key_hash) const {
    return index_.find(key_hash, [&](uint32_t entry) { return equal(servers_[entry].key, ring_key); });
  }

  HashIndex index_;
  Slab<Server> servers_;
  std::optional<Endpoint> fallback_;
};

}  // namespace i3
