// What a lane counts. One thread writes (the lane's, or the control plane while it holds the gates), any thread reads.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace i3 {

// In the order of DROP_REASONS in src/native-engine.ts.
enum class Drop : uint8_t {
  malformed, version, hip, puzzle, unknown_spi, replay, integrity, sequence, ecn, unknown_id, hop_limit, copy_budget, queue_full, no_trigger,
  no_route, inner_address, inner_malformed, not_allocated, rate, amplification, refused, policy, credit, detour, too_big, translation, unfair_in, unfair_out, io_error,
  none,  // not a reason: the packet was not dropped
};
constexpr size_t drop_reasons = static_cast<size_t>(Drop::none);

class Counter {
 public:
  void add(uint64_t count = 1) { value_.store(value_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed); }
  uint64_t read() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

struct LaneCounters {
  std::array<Counter, drop_reasons> drops;
  Counter tun_in, tun_out, udp_in, udp_out, hip_answered, refreshed, challenged;
  // Ours: how much the offloads save. Packets per system call is (…_in) / reads and so on.
  Counter tun_reads, tun_writes, udp_reads, udp_sends;

  void drop(Drop reason, uint64_t count = 1) { drops[static_cast<size_t>(reason)].add(count); }
};

}  // namespace i3
