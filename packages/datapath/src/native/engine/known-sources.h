// Sources that are expected to send: each has its own place for upcalls, which no flood from others takes. As src/reference/known-sources.ts.
#pragma once

#include <unordered_map>
#include <vector>

#include "limits.h"
#include "rate-limits.h"

namespace i3 {

class KnownSources {
 public:
  struct Source {
    // How often it was made known.
    size_t uses = 0;
    TokenLevel control{limits::upcalls_per_source_per_second, 0};
    TokenLevel data{limits::upcalls_per_source_per_second, 0};
  };

  // A server beside this one on the ring, by whole endpoint.
  struct Neighbour {
    Endpoint endpoint;
    TokenLevel level{limits::upcalls_per_neighbour_per_second, 0};
  };

  explicit KnownSources(const Hasher& hasher) : sources_(16, SeededHash{hasher}) {}

  // `address`: of an endpoint. False: no room.
  bool add(Bytes address) {
    const Key key = key_of(address);
    const auto found = sources_.find(key);
    if (found == sources_.end() && sources_.size() >= limits::known_sources) return false;
    (found == sources_.end() ? sources_[key] : found->second).uses++;
    return true;
  }
  // What is not known stays so.
  void remove(Bytes address) {
    const auto found = sources_.find(key_of(address));
    if (found != sources_.end() && --found->second.uses == 0) sources_.erase(found);
  }
  // nullptr: not known.
  Source* find(Bytes address) {
    const auto found = sources_.find(key_of(address));
    return found == sources_.end() ? nullptr : &found->second;
  }

  // In place of those before; who stays keeps what it has left.
  void set_neighbours(std::span<const Endpoint> endpoints) {
    std::vector<Neighbour> neighbours;
    for (const Endpoint& endpoint : endpoints) {
      const Neighbour* old = neighbour(endpoint);
      neighbours.push_back(old == nullptr ? Neighbour{endpoint} : *old);
    }
    neighbours_ = std::move(neighbours);
  }
  // nullptr: it is none.
  Neighbour* neighbour(const Endpoint& from) {
    const auto found = std::find_if(neighbours_.begin(), neighbours_.end(), [&](const Neighbour& known) { return known.endpoint == from; });
    return found == neighbours_.end() ? nullptr : &*found;
  }

 private:
  using Key = std::array<uint8_t, 16>;
  static Key key_of(Bytes address) {
    Key key{};
    copy_to(key, 0, address);
    return key;
  }
  struct SeededHash {
    Hasher hasher;
    size_t operator()(const Key& key) const { return hasher.bytes(key); }
  };
  std::unordered_map<Key, Source, SeededHash> sources_;
  std::vector<Neighbour> neighbours_;
};

}  // namespace i3
