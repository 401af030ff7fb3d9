// Ones' complement sums (RFC 1071) and their incremental update (RFC 1624 eqn. 3: HC' = ~(~HC + ~m + m')).
// A delta is the folded sum of ~m + m' over the words that changed; the same delta updates every checksum that covers them.
#pragma once

#include "bytes.h"

namespace i3 {

constexpr uint16_t fold(uint64_t sum) {
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

// Sum of the big-endian words, folded; an odd last byte is the high half of a word.
uint16_t sum_words(Bytes bytes);

constexpr uint32_t word_delta(uint16_t before, uint16_t after) { return static_cast<uint16_t>(~before) + uint32_t{after}; }

// Updates the checksum at `at` and returns the delta of that word itself, for a checksum that covers it.
inline uint32_t adjust_checksum(MutableBytes bytes, size_t at, uint32_t delta) {
  const uint16_t before = u16(bytes, at);
  const auto after = static_cast<uint16_t>(~fold(static_cast<uint16_t>(~before) + uint64_t{delta}));
  put16(bytes, at, after);
  return word_delta(before, after);
}

// As adjust_checksum for UDP: 0 says "none" and stays (RFC 768); a result of 0 is written as 0xffff.
inline uint32_t adjust_udp_checksum(MutableBytes bytes, size_t at, uint32_t delta) {
  const uint16_t before = u16(bytes, at);
  if (before == 0) return 0;
  const auto sum = static_cast<uint16_t>(~fold(static_cast<uint16_t>(~before) + uint64_t{delta}));
  const uint16_t after = sum == 0 ? uint16_t{0xffff} : sum;
  put16(bytes, at, after);
  return word_delta(before, after);
}

// A partial checksum: the sum itself, not inverted.
inline void adjust_partial(MutableBytes bytes, size_t at, uint32_t delta) {
  put16(bytes, at, fold(uint64_t{u16(bytes, at)} + delta));
}

}  // namespace i3
