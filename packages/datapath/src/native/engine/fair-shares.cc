#include "fair-shares.h"

#include <algorithm>

namespace i3 {

void FairShares::roll() {
  const double standing_ms = now_ms_ - *std::min_element(standing_ms_.begin(), standing_ms_.end());
  const bool is_shared = level_ != unlimited;
  if (now_ms_ - changed_ms_ > limits::share_alone_ms || (is_shared && !has_lost_ && now_ms_ >= until_ms_)) {
    end();
  } else if (!is_shared && has_lost_) {
    share();
  } else if (is_shared) {
    if (has_lost_) until_ms_ = now_ms_ + hold_ms_;
    if (standing_ms >= limits::share_window_ms) level_ = std::min(level_, std::max(lower_level(), floor_));
    else rise(std::floor((now_ms_ - window_ms_) / limits::share_window_ms));
  }
  has_lost_ = false;
  window_ms_ = now_ms_;
  peers_ = 0;
  // Slots of 2^32 windows ago: a year and more.
  window_++;
}

void FairShares::share() {
  const bool is_soon = now_ms_ - ended_ms_ < limits::share_soon_ms;
  hold_ms_ = is_soon ? std::min(2 * hold_ms_, limits::share_most_hold_ms) : limits::share_hold_ms;
  until_ms_ = now_ms_ + hold_ms_;
  const uint64_t lower = lower_level();
  if (!is_soon && lower != unlimited) floor_ = std::max(limits::share_least, lower / limits::share_floor_part);
  level_ = std::min(is_soon ? last_level_ : unlimited, lower);
}

void FairShares::end() {
  if (level_ == unlimited) return;
  ended_ms_ = now_ms_;
  last_level_ = level_;
  level_ = unlimited;
}

void FairShares::rise(double windows) {
  for (double i = 0; i < windows && level_ < limits::share_most; i++) level_ += level_ / limits::share_growth;
  if (level_ >= limits::share_most) end();
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
