// How long a worker lets packets gather before it looks again. A packet that wakes a worker by itself costs several times what it costs among many, so a
// flood of small packets is taken in batches; below that rate, and for trains, nothing waits.
#pragma once

#include <algorithm>
#include <cstddef>

namespace i3 {

class Pace {
 public:
  // Ours: below this many reads a millisecond a wake-up for each is no burden; a ping never waits.
  static constexpr double least_rate = 25;
  // What a batch should have, and the most that any packet may wait, µs.
  static constexpr double wanted_reads = 40;
  static constexpr double longest_wait_us = 250;

  // A round of the loop ended: how many small packets it read, and when. Returns the µs to wait.
  double after(size_t small_reads, double now_ms) {
    const double elapsed_ms = std::max(now_ms - last_ms_, 0.001);
    last_ms_ = now_ms;
    // Of the last millisecond or so: an idle time forgets what was before.
    const double weight = std::min(1.0, elapsed_ms / memory_ms);
    rate_ += (static_cast<double>(small_reads) / elapsed_ms - rate_) * weight;
    if (rate_ < least_rate || static_cast<double>(small_reads) >= wanted_reads) return 0;
    return std::min(longest_wait_us, 1'000 * wanted_reads / rate_);
  }

  // Packets come one by one: each is worked on as soon as it is read.
  bool is_slow() const { return rate_ < slow_rate; }

 private:
  // Ours, packets a millisecond.
  static constexpr double slow_rate = 2;
  static constexpr double memory_ms = 1;
  double last_ms_ = 0;
  // Small packets a millisecond.
  double rate_ = 0;
};

}  // namespace i3
