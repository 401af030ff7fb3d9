// How much of a lane each peer may take while more comes than the lane can do (docs/datapath.md, "Shares"). As the reference's
// src/reference/fair-shares.ts, which says why it is so.
#pragma once

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "flow-table.h"
#include "limits.h"

namespace i3 {

class FairShares {
 public:
  enum class Side : uint8_t { tun, udp, hip };

  FairShares() : slots_(slot_count) {}

  void begin(double now_ms) {
    now_ms_ = now_ms;
    if (now_ms >= window_ms_ + limits::share_window_ms) [[unlikely]] roll();
  }
  // A port was read: whether more waits behind it.
  void saw(Side side, bool more) {
    double& since = standing_ms_[static_cast<size_t>(side)];
    if (!more) since = never;
    else if (since == never) since = now_ms_;
  }
  void saw_loss() { has_lost_ = true; }
  // Before anything costs.
  bool may(const Flow* flow) {
    if (level_ == unlimited || flow == nullptr) [[likely]] return true;
    const Slot* slot = find(flow);
    return slot->flow != flow || slot->used < level_;
  }
  // A packet of the peer's, or for it, that was worked on.
  void charge(const Flow* flow, size_t bytes) {
    if (flow == nullptr) return;
    if (flow != last_flow_) {
      if (last_flow_ != nullptr) changed_ms_ = now_ms_;
      last_flow_ = flow;
    }
    Slot* slot = find(flow);
    if (slot->flow != flow) {
      if (peers_ == limits::share_peers) return;
      *slot = {flow, 0, window_};
      peers_++;
    }
    slot->used += bytes + limits::share_packet_cost;
  }

 private:
  // Twice as many as there are peers at most, a power of two.
  static constexpr size_t slot_count = 2 * limits::share_peers;
  static constexpr uint64_t unlimited = std::numeric_limits<uint64_t>::max();
  static constexpr double never = std::numeric_limits<double>::infinity();

  struct Slot {
    const Flow* flow = nullptr;
    uint64_t used = 0;
    // What is of another one is free.
    uint32_t window = 0;
  };

  // Its slot of this window, or a free one.
  Slot* find(const Flow* flow) {
    size_t at = (reinterpret_cast<uintptr_t>(flow) * 0x9e37'79b9'7f4a'7c15ULL >> 32) & (slot_count - 1);
    while (slots_[at].window == window_ && slots_[at].flow != flow) at = (at + 1) & (slot_count - 1);
    if (slots_[at].window != window_) slots_[at].flow = nullptr;
    return &slots_[at];
  }
  void roll();
  void share();
  void end();
  void rise(double windows);
  uint64_t lower_level() const;

  std::vector<Slot> slots_;
  uint32_t window_ = 1;
  size_t peers_ = 0;
  uint64_t level_ = unlimited;
  double now_ms_ = 0;
  double window_ms_ = 0;
  std::array<double, 3> standing_ms_{never, never, never};
  bool has_lost_ = false;
  double hold_ms_ = limits::share_hold_ms;
  double until_ms_ = -never;
  double ended_ms_ = -never;
  uint64_t floor_ = limits::share_least;
  uint64_t last_level_ = unlimited;
  const Flow* last_flow_ = nullptr;
  double changed_ms_ = -never;
};

}  // namespace i3
