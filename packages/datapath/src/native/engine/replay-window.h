// Anti-replay with 64-bit sequence numbers of which 32 bits travel (RFC 4303 §3.4.3, appendix A2), window of 8,192 as a ring of bits.
#pragma once

#include <optional>

#include "bytes.h"

namespace i3 {

class ReplayWindow {
 public:
  static constexpr uint64_t size = 8'192;

  // The 64-bit number of a packet that carries `low`; none when it would lie before 0.
  std::optional<uint64_t> infer(uint32_t low) const {
    const auto top_low = static_cast<uint32_t>(highest_);
    const uint64_t top_high = highest_ >> 32;
    const auto bottom = static_cast<uint32_t>(top_low - (size - 1));
    uint64_t high = top_high;
    if (top_low >= size - 1) {
      if (low < bottom) high = top_high + 1;
      if (high > UINT32_MAX) return std::nullopt;
    } else if (low >= bottom) {
      if (top_high == 0) return std::nullopt;
      high = top_high - 1;
    }
    return (high << 32) | low;
  }
  // New, and not too old.
  bool accepts(uint64_t sequence) const {
    if (sequence == 0) return false;
    if (sequence > highest_) return true;
    return highest_ - sequence < size && !is_set(sequence);
  }
  bool is_newest(uint64_t sequence) const { return sequence > highest_; }
  // After the packet was proved to be genuine.
  void mark(uint64_t sequence) {
    if (sequence > highest_) advance(sequence);
    bits_[word(sequence)] |= bit(sequence);
  }

 private:
  static constexpr size_t words = size / 64;
  static size_t word(uint64_t sequence) { return (sequence / 64) % words; }
  static uint64_t bit(uint64_t sequence) { return uint64_t{1} << (sequence % 64); }
  bool is_set(uint64_t sequence) const { return (bits_[word(sequence)] & bit(sequence)) != 0; }

  // The bits of the numbers that come into the window are cleared, one by one at word borders and by whole words between.
  void advance(uint64_t sequence) {
    if (sequence - highest_ >= size) {
      bits_.fill(0);
    } else {
      uint64_t at = highest_ + 1;
      while (at <= sequence) {
        if (at % 64 == 0 && at + 63 <= sequence) {
          bits_[word(at)] = 0;
          at += 64;
        } else {
          bits_[word(at)] &= ~bit(at);
          at++;
        }
        if (at == 0) break;  // past 2^64 - 1
      }
    }
    highest_ = sequence;
  }

  uint64_t highest_ = 0;
  std::array<uint64_t, words> bits_{};
};

}  // namespace i3
