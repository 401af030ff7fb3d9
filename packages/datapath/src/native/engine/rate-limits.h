// How often the control plane hears of one source, and a program of an error; how much work a source may make. As src/reference/rate-limits.ts.
#pragma once

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <vector>

#include "hash-index.h"
#include "limits.h"
#include "packets.h"
#include "source-shares.h"

namespace i3 {

// Tokens that are filled at so many a second up to a burst.
struct TokenLevel {
  double tokens = 0;
  double at_ms = 0;

  // How many of the `wanted` there were.
  unsigned take(double now_ms, double per_second, double burst, unsigned wanted) {
    tokens = std::min(burst, tokens + ((now_ms - at_ms) * per_second) / 1000);
    at_ms = now_ms;
    const double taken = std::min<double>(wanted, std::floor(tokens));
    tokens -= taken;
    return static_cast<unsigned>(taken);
  }
};

// A token bucket per source, filled at `per_second` tokens up to `burst`. The sources beyond those that may have one share `shared_buckets`, which are made when the first of them comes.
// Once as many were there it allocates nothing.
class SourceRates {
 public:
  SourceRates(const Hasher& hasher, double per_second, double burst, size_t shared_buckets = 1)
      : hasher_(hasher), per_second_(per_second), burst_(burst), full_ms_(1000 * burst / per_second), shared_buckets_(shared_buckets) {}

  // False: too much from there.
  bool allow(double now_ms, const SourceKey& source) { return take(now_ms, source, 1) == 1; }
  // How many of the `wanted` tokens there were.
  unsigned take(double now_ms, const SourceKey& source, unsigned wanted) { return level_of(now_ms, source).take(now_ms, per_second_, burst_, wanted); }

 private:
  struct Bucket {
    SourceKey source{};
    TokenLevel level;
    bool is_used = false;
    void reset() { *this = Bucket(); }
  };

  TokenLevel& level_of(double now_ms, const SourceKey& source) {
    const uint32_t hash = hasher_.bytes(source);
    const uint32_t known = index_.find(hash, [&](uint32_t entry) { return buckets_[entry].source == source; });
    if (known != HashIndex::none) return buckets_[known].level;
    if (index_.size() >= limits::rated_sources) sweep(now_ms);
    if (index_.size() >= limits::rated_sources) return shared_bucket(hash);
    if (index_.is_full()) index_ = index_.grown();
    const uint32_t entry = buckets_.add();
    end_ = std::max(end_, entry + 1);
    index_.insert(hash, entry);
    buckets_[entry] = {source, {burst_, now_ms}, true};
    return buckets_[entry].level;
  }
  TokenLevel& shared_bucket(uint32_t hash) {
    if (shared_.empty()) [[unlikely]] shared_.assign(shared_buckets_, TokenLevel{burst_, 0});
    return shared_[hash % shared_.size()];
  }
  // Forgetting a full bucket changes nothing.
  void sweep(double now_ms) {
    if (now_ms - swept_ms_ < full_ms_) return;
    swept_ms_ = now_ms;
    for (uint32_t entry = 0; entry < end_; entry++) {
      const Bucket& bucket = buckets_[entry];
      if (!bucket.is_used || now_ms - bucket.level.at_ms < full_ms_) continue;
      index_.remove(hasher_.bytes(bucket.source), entry);
      buckets_.remove(entry);
    }
  }

  Hasher hasher_;
  double per_second_;
  double burst_;
  // After so long without use a bucket is full.
  double full_ms_;
  HashIndex index_;
  Slab<Bucket> buckets_;
  uint32_t end_ = 0;
  size_t shared_buckets_;
  std::vector<TokenLevel> shared_;
  double swept_ms_ = 0;
};

// One notice per ring key and source in an interval: two generations, so that nothing must be swept.
class NoticeLimit {
 public:
  explicit NoticeLimit(const Hasher& hasher) : current_(16, SeededHash{hasher}), previous_(current_) {}

  bool allow(double now_ms, Bytes ring_key, const Endpoint& from) {
    Key key{};
    copy_to(key, 0, ring_key);
    copy_to(key, 16, from.bytes);
    return allow(now_ms, key);
  }
  bool allow(double now_ms, const Endpoint& to, const Way& way) {
    Key key{};
    copy_to(key, 0, to.bytes);
    put8(key, 18, way.first_byte());
    copy_to(key, 19, way.local);
    put32(key, 35, way.interface_index);
    return allow(now_ms, key);
  }

 private:
  using Key = std::array<uint8_t, 39>;

  bool allow(double now_ms, const Key& key) {
    if (now_ms - since_ms_ >= limits::notice_interval_ms) {
      std::swap(previous_, current_);
      current_.clear();
      since_ms_ = now_ms;
    }
    const auto current = current_.find(key);
    const auto previous = previous_.find(key);
    const bool known = current != current_.end() || previous != previous_.end();
    const double last = current != current_.end() ? current->second : known ? previous->second : 0;
    if (known && now_ms - last < limits::notice_interval_ms) return false;
    if (current_.size() >= limits::notices) return false;
    current_[key] = now_ms;
    return true;
  }

  // Keys that others choose: the standard hash has no seed.
  struct SeededHash {
    Hasher hasher;
    size_t operator()(const Key& key) const { return hasher.bytes(Bytes(key).first(32)) ^ hasher.number(u32(key, 31)) ^ hasher.number(~u32(key, 35)); }
  };
  using Generation = std::unordered_map<Key, double, SeededHash>;
  Generation current_;
  Generation previous_;
  double since_ms_ = 0;
};

// So many in each second of the engine's clock.
class SecondLimit {
 public:
  explicit SecondLimit(unsigned per_second) : per_second_(per_second) {}
  bool allow(double now_ms) {
    const double second = std::floor(now_ms / 1000);
    if (second != second_) taken_ = 0;
    second_ = second;
    return taken_++ < per_second_;
  }

 private:
  unsigned per_second_;
  double second_ = -1;
  unsigned taken_ = 0;
};

// R1s in all. Who is refused and asks again, as a flood's made-up senders do not, has a share of its own, and of that one R1 in `r1_again_from_ms`: so a newcomer is
// in with its second I1. Remembered are 262,144 in sets of eight, a cache line each, where the oldest makes room; there is room for them from the first refusal on.
class AnswerLimit {
 public:
  explicit AnswerLimit(const Hasher& hasher) : hasher_(hasher) {}

  // `asker`: 32 bytes that name who asks, and from where.
  bool allow(double now_ms, Bytes asker) {
    if (first_.allow(now_ms)) return true;
    if (refused_.empty()) [[unlikely]] refused_.resize(sets);
    // 2^32 ms are 50 days: an entry that old may stand for a second I1 that is none.
    const auto now = static_cast<uint32_t>(static_cast<uint64_t>(now_ms));
    const uint32_t hash = hasher_.bytes(asker);
    Refused& refused = entry_of(now, set_of(asker), hash);
    if (refused.hash == hash) {
      const uint32_t age = now - refused.at_ms;
      if (age < limits::r1_again_from_ms) return false;
      if (age < limits::r1_again_to_ms) {
        if (!again_.allow(now_ms)) return false;
        refused.at_ms = now;
        return true;
      }
    }
    refused = {hash, now};
    return false;
  }

 private:
  // Hash 0: nobody's.
  struct Refused {
    uint32_t hash = 0;
    // When it was refused first, or answered again.
    uint32_t at_ms = 0;
  };
  using Set = std::array<Refused, 8>;
  static constexpr size_t sets = 32 * 1024;

  // By other bits than the hash: of 9,000 askers two have one hash in one run of a hundred, and then the same set too in one of three million.
  Set& set_of(Bytes asker) { return refused_[(hasher_.bytes(asker.first(16)) ^ hasher_.bytes(asker.subspan(16))) % sets]; }
  // That of `hash`, or the one to be overwritten.
  Refused& entry_of(uint32_t now, Set& set, uint32_t hash) {
    Refused* oldest = &set[0];
    for (Refused& entry : set) {
      if (entry.hash == hash) return entry;
      if (age_of(now, entry) > age_of(now, *oldest)) oldest = &entry;
    }
    return *oldest;
  }
  static uint64_t age_of(uint32_t now, const Refused& entry) { return entry.hash == 0 ? uint64_t{1} << 32 : now - entry.at_ms; }

  Hasher hasher_;
  SecondLimit first_{limits::r1_per_second};
  SecondLimit again_{limits::r1_again_per_second};
  std::vector<Set> refused_;
};

}  // namespace i3
