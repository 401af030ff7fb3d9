// Big-endian integers and spans. Callers check lengths first; under I3_CHECKED (tests, fuzzers) every access is checked again.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

namespace i3 {

using Bytes = std::span<const uint8_t>;
using MutableBytes = std::span<uint8_t>;

inline void require(bool holds) {
#ifdef I3_CHECKED
  if (!holds) std::abort();
#else
  (void)holds;
#endif
}

inline Bytes part(Bytes bytes, size_t at, size_t length) {
  require(at <= bytes.size() && length <= bytes.size() - at);
  return bytes.subspan(at, length);
}
inline MutableBytes part(MutableBytes bytes, size_t at, size_t length) {
  require(at <= bytes.size() && length <= bytes.size() - at);
  return bytes.subspan(at, length);
}

// One integer of the machine's order as it stands in memory.
template <typename T>
T load(Bytes bytes, size_t at) {
  T value;
  std::memcpy(&value, part(bytes, at, sizeof(T)).data(), sizeof(T));
  return value;
}
template <typename T>
void store(MutableBytes bytes, size_t at, T value) {
  std::memcpy(part(bytes, at, sizeof(T)).data(), &value, sizeof(T));
}

template <typename T>
constexpr T big_endian(T value) {
  if constexpr (std::endian::native == std::endian::big) return value;
  if constexpr (sizeof(T) == 2) return static_cast<T>(__builtin_bswap16(value));
  if constexpr (sizeof(T) == 4) return static_cast<T>(__builtin_bswap32(value));
  if constexpr (sizeof(T) == 8) return static_cast<T>(__builtin_bswap64(value));
}

inline uint8_t u8(Bytes bytes, size_t at) { return part(bytes, at, 1)[0]; }
inline uint16_t u16(Bytes bytes, size_t at) { return big_endian(load<uint16_t>(bytes, at)); }
inline uint32_t u32(Bytes bytes, size_t at) { return big_endian(load<uint32_t>(bytes, at)); }
inline uint64_t u64(Bytes bytes, size_t at) { return big_endian(load<uint64_t>(bytes, at)); }
inline void put8(MutableBytes bytes, size_t at, unsigned value) { part(bytes, at, 1)[0] = static_cast<uint8_t>(value); }
inline void put16(MutableBytes bytes, size_t at, unsigned value) { store(bytes, at, big_endian(static_cast<uint16_t>(value))); }
inline void put32(MutableBytes bytes, size_t at, uint32_t value) { store(bytes, at, big_endian(value)); }
inline void put64(MutableBytes bytes, size_t at, uint64_t value) { store(bytes, at, big_endian(value)); }

// Copies all of `from`; the two do not overlap.
inline void copy_to(MutableBytes into, size_t at, Bytes from) {
  if (from.empty()) return;
  std::memcpy(part(into, at, from.size()).data(), from.data(), from.size());
}
inline void fill_zero(MutableBytes bytes) {
  if (!bytes.empty()) std::memset(bytes.data(), 0, bytes.size());
}
// Not for secrets: how long it takes says where they differ.
inline bool equal(Bytes a, Bytes b) {
  if (a.size() != b.size()) return false;
  // Addresses, several for each packet: calling memcmp takes longer than comparing them.
  if (a.size() == 4) return load<uint32_t>(a, 0) == load<uint32_t>(b, 0);
  if (a.size() == 16) return load<uint64_t>(a, 0) == load<uint64_t>(b, 0) && load<uint64_t>(a, 8) == load<uint64_t>(b, 8);
  return a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace i3
