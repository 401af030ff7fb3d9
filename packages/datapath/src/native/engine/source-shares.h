// What each source holds of a room that all sources share, so that none fills it alone. As src/reference/source-shares.ts.
#pragma once

#include <algorithm>
#include <map>

#include "packets.h"

namespace i3 {

// Who a datagram is from as far as shares go: its IPv4 address (mapped), or the /64 of its IPv6 address, since whoever has one of
// these has them all. Ports are free to choose.
using SourceKey = std::array<uint8_t, 16>;
inline SourceKey source_key(const Endpoint& from) {
  constexpr size_t ipv6_source_bytes = 8;
  const Bytes address = from.address();
  SourceKey key{};
  copy_to(key, 0, from.is_mapped() ? address : address.first(ipv6_source_bytes));
  return key;
}

// Sources that hold nothing are not remembered, so what is held bounds this too. A tree, so that an attacker's sources cost no more than others.
class SourceShares {
 public:
  explicit SourceShares(size_t limit) : limit_(limit) {}

  bool has_room(const SourceKey& source, size_t amount) const {
    const auto found = held_.find(source);
    return (found == held_.end() ? 0 : found->second) + amount <= limit_;
  }
  // False, and nothing taken, when the source would hold more than the limit.
  bool take(const SourceKey& source, size_t amount) {
    const auto found = held_.find(source);
    const size_t held = (found == held_.end() ? 0 : found->second) + amount;
    if (held > limit_) return false;
    if (found == held_.end()) held_.emplace(source, held);
    else found->second = held;
    return true;
  }
  void give(const SourceKey& source, size_t amount) {
    const auto found = held_.find(source);
    if (found == held_.end()) return;
    found->second -= std::min(found->second, amount);
    if (found->second == 0) held_.erase(found);
  }

 private:
  size_t limit_;
  std::map<SourceKey, size_t> held_;
};

}  // namespace i3
