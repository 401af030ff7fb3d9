// What the lanes share besides the tables: upcalls, queues and limits, all of the slow path and behind one mutex; and output of the
// control plane, which waits for a lane's next batch.
#pragma once

#include <atomic>
#include <deque>
#include <mutex>

#include "engine.h"
#include "gates.h"
#include "known-sources.h"
#include "queues.h"
#include "rate-limits.h"
#include "waiting-routes.h"

namespace i3 {

struct HeldDatagram {
  Endpoint to;
  uint8_t traffic_class = 0;
  Way way;
  bool tells = false;
  std::vector<uint8_t> bytes;
};

struct HeldPacket {
  std::vector<uint8_t> bytes;
  ChecksumState checksum = ChecksumState::complete;
};

// Output between batches, bounded.
template <typename Packet>
class Held {
 public:
  // nullptr: no room.
  Packet* add(size_t length) {
    if (bytes_ + length > limits::held_bytes || packets_.size() >= limits::held_packets) return nullptr;
    bytes_ += length;
    packets_.emplace_back().bytes.resize(length);
    return &packets_.back();
  }
  // Undoes the last add.
  void retract() {
    bytes_ -= packets_.back().bytes.size();
    packets_.pop_back();
  }
  bool empty() const { return packets_.empty(); }
  std::deque<Packet> take_all() {
    bytes_ = 0;
    return std::exchange(packets_, {});
  }

 private:
  std::deque<Packet> packets_;
  size_t bytes_ = 0;
};

struct Shared {
  explicit Shared(const Hasher& hasher)
      : known(hasher),
        control_rates(hasher, limits::upcalls_per_source_per_second, limits::upcalls_per_source_per_second, limits::shared_buckets),
        data_rates(hasher, limits::upcalls_per_source_per_second, limits::upcalls_per_source_per_second),
        copy_rates(hasher, limits::copies_per_source_per_second, limits::copies_per_source_burst, limits::shared_buckets),
        r1_rates(hasher, limits::r1_per_source_per_second, limits::r1_per_source_burst, limits::shared_buckets),
        i2_rates(hasher, limits::hip_i2s_per_source_per_second, limits::hip_i2s_per_source_burst, limits::shared_buckets),
        r1_limit(hasher),
        no_trigger(hasher),
        astray(hasher),
        cache_request(hasher),
        send_failures(hasher) {}

  mutable Gate mutex;
  // All below: with the mutex.
  std::deque<Upcall> upcalls;
  size_t upcall_bytes = 0;
  uint64_t upcalls_taken = 0;
  KnownSources known;
  SourceRates control_rates;
  SourceRates data_rates;
  SourceRates copy_rates;
  SourceRates r1_rates;
  // Of those who have solved a puzzle, so that what made-up sources send does not count against newcomers.
  SourceRates i2_rates;
  AnswerLimit r1_limit;
  SecondLimit hip_i1s{limits::hip_i1s_per_second};
  // Without a data header, of all sources.
  SecondLimit hip_i2s{limits::hip_i2s_per_second};
  SecondLimit hip_others{limits::hip_others_per_second};
  NoticeLimit no_trigger;
  NoticeLimit astray;
  NoticeLimit cache_request;
  NoticeLimit send_failures;
  SecondLimit errors{limits::icmp_errors_per_second};
  QueueBudget budget;
  WaitingRoutes waiting_routes{budget};
  Held<HeldDatagram> datagrams;
  Held<HeldPacket> packets;
  // Input: `to` is where they came from.
  Held<HeldDatagram> detoured;
  // Read without the mutex, to leave the common case alone.
  std::atomic<bool> output_waits{false};

  // Written with all gates closed.
  bool has_detour = false;

  // Set before any lane runs.
  std::function<void()> on_upcalls;
  // An upcall was pushed that on_upcalls was not called for.
  std::atomic<bool> has_news{false};

  void push_upcall(Upcall upcall) {
    upcall_bytes += upcall.bytes.size();
    upcalls.push_back(std::move(upcall));
    has_news.store(true, std::memory_order_release);
  }
  // Without the mutex, and once packets are on their way: the thread that it wakes may take the processor.
  void tell_news() {
    if (has_news.load(std::memory_order_relaxed) && has_news.exchange(false, std::memory_order_acq_rel) && on_upcalls) on_upcalls();
  }
  // `shares`: of the room beyond that of all; known sources have one, neighbours two.
  bool upcalls_full(size_t shares = 0) const {
    return upcalls.size() >= limits::waiting_upcalls + shares * limits::more_known_upcalls || upcall_bytes >= limits::waiting_upcall_bytes + shares * limits::more_known_upcall_bytes;
  }
};

}  // namespace i3
