#include "checksum.h"

namespace i3 {

// Words are added in the machine's order, 8 bytes at a time as two halves that cannot overflow; the ones' complement sum of
// swapped words is the swapped sum (RFC 1071 §2 B), so one swap at the end suffices.
uint16_t sum_words(Bytes bytes) {
  uint64_t low = 0;
  uint64_t high = 0;
  size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    const auto word = load<uint64_t>(bytes, at);
    low += word & 0xffff'ffff;
    high += word >> 32;
  }
  uint64_t sum = uint64_t{fold(low)} + fold(high);
  for (; at + 2 <= bytes.size(); at += 2) sum += load<uint16_t>(bytes, at);
  if (at < bytes.size()) sum += std::endian::native == std::endian::big ? uint64_t{bytes[at]} << 8 : bytes[at];
  return big_endian(fold(sum));
}

}  // namespace i3
