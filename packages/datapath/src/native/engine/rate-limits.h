// How often the control plane hears of one source, and a program of an error. As src/reference/rate-limits.ts.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <unordered_map>

#include "hash-index.h"
#include "limits.h"
#include "packets.h"

namespace i3 {

// Keys that others choose: the standard hash has no seed.
template <size_t size>
struct SeededHash {
  Hasher hasher;
  size_t operator()(const std::array<uint8_t, size>& key) const {
    if constexpr (size == 16) return hasher.bytes(key);
    return hasher.bytes(Bytes(key).first(32)) ^ hasher.number(u16(key, 32));
  }
};

// A token bucket per source address (ports are free to choose).
class SourceRates {
 public:
  explicit SourceRates(const Hasher& hasher) : buckets_(16, SeededHash<16>{hasher}) {}

  // False: too much from there.
  bool allow(double now_ms, const Endpoint& from) {
    Bucket& bucket = bucket_of(now_ms, from);
    constexpr double limit = limits::upcalls_per_source_per_second;
    bucket.tokens = std::min(limit, bucket.tokens + ((now_ms - bucket.at_ms) * limit) / 1000);
    bucket.at_ms = now_ms;
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }

 private:
  using Key = std::array<uint8_t, 16>;
  struct Bucket {
    double tokens = limits::upcalls_per_source_per_second;
    double at_ms = 0;
  };

  Bucket& bucket_of(double now_ms, const Endpoint& from) {
    Key key{};
    copy_to(key, 0, from.address());
    const auto known = buckets_.find(key);
    if (known != buckets_.end()) return known->second;
    if (buckets_.size() >= limits::rated_sources) sweep(now_ms);
    if (buckets_.size() >= limits::rated_sources) return shared_;
    return buckets_.emplace(key, Bucket{limits::upcalls_per_source_per_second, now_ms}).first->second;
  }
  // A bucket that was not used for a second is full: forgetting it changes nothing.
  void sweep(double now_ms) {
    if (now_ms - swept_ms_ < 1000) return;
    swept_ms_ = now_ms;
    std::erase_if(buckets_, [now_ms](const auto& entry) { return now_ms - entry.second.at_ms >= 1000; });
  }

  std::unordered_map<Key, Bucket, SeededHash<16>> buckets_;
  Bucket shared_;
  double swept_ms_ = 0;
};

// One notice per ring key and source in an interval: two generations, so that nothing must be swept.
class NoticeLimit {
 public:
  explicit NoticeLimit(const Hasher& hasher) : current_(16, SeededHash<34>{hasher}), previous_(current_) {}

  bool allow(double now_ms, Bytes ring_key, const Endpoint& from) {
    if (now_ms - since_ms_ >= limits::notice_interval_ms) {
      std::swap(previous_, current_);
      current_.clear();
      since_ms_ = now_ms;
    }
    Key key{};
    copy_to(key, 0, ring_key);
    copy_to(key, 16, from.bytes);
    const auto current = current_.find(key);
    const auto previous = previous_.find(key);
    const bool known = current != current_.end() || previous != previous_.end();
    const double last = current != current_.end() ? current->second : known ? previous->second : 0;
    if (known && now_ms - last < limits::notice_interval_ms) return false;
    if (current_.size() >= limits::notices) return false;
    current_[key] = now_ms;
    return true;
  }

 private:
  using Key = std::array<uint8_t, 34>;
  using Generation = std::unordered_map<Key, double, SeededHash<34>>;
  Generation current_;
  Generation previous_;
  double since_ms_ = 0;
};

class ErrorLimit {
 public:
  bool allow(double now_ms) {
    const double second = std::floor(now_ms / 1000);
    if (second != second_) sent_ = 0;
    second_ = second;
    return sent_++ < limits::icmp_errors_per_second;
  }

 private:
  double second_ = 0;
  unsigned sent_ = 0;
};

}  // namespace i3
