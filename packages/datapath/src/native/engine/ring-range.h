// The ring keys that belong to this server: (from, to] on a circle of 2^128 (Chord §4).
#pragma once

#include "data-header.h"

namespace i3 {

class RingRange {
 public:
  enum class Kind : uint8_t { none, all, range };

  void set(Kind kind) { kind_ = kind; }
  // A range whose ends are equal is the whole circle, as Chord's (n, n] is.
  void set(Bytes from, Bytes to) {
    copy_to(from_, 0, from);
    copy_to(to_, 0, to);
    kind_ = Kind::range;
  }
  // This node is a server.
  bool serves() const { return kind_ != Kind::none; }
  bool owns(Bytes ring_key) const {
    if (kind_ != Kind::range) return kind_ == Kind::all;
    const bool above_from = compare(ring_key, from_) > 0;
    const bool up_to = compare(ring_key, to_) <= 0;
    const bool wraps = compare(from_, to_) >= 0;
    return wraps ? above_from || up_to : above_from && up_to;
  }

 private:
  static int compare(Bytes a, Bytes b) { return std::memcmp(a.data(), b.data(), ring_key_bytes); }

  Kind kind_ = Kind::none;
  std::array<uint8_t, ring_key_bytes> from_{};
  std::array<uint8_t, ring_key_bytes> to_{};
};

}  // namespace i3
