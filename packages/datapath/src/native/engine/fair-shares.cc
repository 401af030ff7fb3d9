#include "fair-shares.h"

#include <algorithm>

namespace i3 {

void FairShares::roll() {
  const double standing_ms = now_ms_ - std::min(standing_ms_[0], standing_ms_[1]);
  const bool is_alone = now_ms_ - changed_ms_ > limits::share_alone_ms;
  if (is_alone) {
    level_ = unlimited;
  } else if (standing_ms >= (level_ == unlimited ? limits::share_standing_ms : limits::share_window_ms)) {
    level_ = std::min(level_, lower_level());
  } else if (level_ != unlimited) {
    const double passed = std::floor((now_ms_ - window_ms_) / limits::share_window_ms);
    for (double i = 0; i < passed && level_ < limits::share_most; i++) level_ += level_ / limits::share_growth;
    if (level_ >= limits::share_most) level_ = unlimited;
  }
  window_ms_ = now_ms_;
  peers_ = 0;
  // Slots of 2^32 windows ago: a year and more.
  window_++;
}

// So that all together take an eighth less than they did, and those who took little as much as before: max-min.
uint64_t FairShares::lower_level() const {
  std::vector<uint64_t> used;
  used.reserve(peers_);
  uint64_t left = 0;
  for (const Slot& slot : slots_) {
    if (slot.window != window_ || slot.flow == nullptr) continue;
    // Without what the last packet took beyond the level, which would keep it where it is.
    used.push_back(std::min(slot.used, level_));
    left += used.back();
  }
  left -= left / limits::share_cut;
  std::sort(used.begin(), used.end());
  uint64_t level = unlimited;
  for (size_t i = 0; i < used.size(); i++) {
    level = left / (used.size() - i);
    if (used[i] > level) break;
    left -= used[i];
  }
  return std::max(level, limits::share_least);
}

}  // namespace i3
