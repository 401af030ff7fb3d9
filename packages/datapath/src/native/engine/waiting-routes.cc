#include "waiting-routes.h"

#include <algorithm>

namespace i3 {

bool WaitingRoutes::may_open(const RingKey& key, const Endpoint& from) const {
  return !routes_.contains(key) && routes_.size() < limits::waiting_routes && key_shares_.has_room(source_key(from), 1);
}

void WaitingRoutes::open(const RingKey& key, const Endpoint& from) {
  const SourceKey source = source_key(from);
  key_shares_.take(source, 1);
  routes_.emplace(key, Route{opened_++, source, {}});
}

WaitingQueue* WaitingRoutes::reserve(const RingKey& key, const Endpoint& from, size_t length) {
  const auto route = routes_.find(key);
  const SourceKey source = source_key(from);
  if (route == routes_.end() || !byte_shares_.take(source, length)) return nullptr;
  if (route->second.queue.has_room(length, limits::queued_packets_per_route, budget_)) return &route->second.queue;
  byte_shares_.give(source, length);
  return nullptr;
}

std::vector<Waiting> WaitingRoutes::take(const RingKey& key) {
  const auto route = routes_.find(key);
  if (route == routes_.end()) return {};
  std::vector<Waiting> packets = route->second.queue.take_all(budget_);
  for (const Waiting& packet : packets) byte_shares_.give(source_key(packet.from), packet.length);
  key_shares_.give(route->second.source, 1);
  routes_.erase(route);
  return packets;
}

std::vector<RingKey> WaitingRoutes::keys() const {
  std::vector<std::pair<uint64_t, RingKey>> ordered;
  for (const auto& [key, route] : routes_) ordered.emplace_back(route.order, key);
  std::sort(ordered.begin(), ordered.end());
  std::vector<RingKey> found;
  for (const auto& [order, key] : ordered) found.push_back(key);
  return found;
}

}  // namespace i3
