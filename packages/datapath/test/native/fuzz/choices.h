// Decisions drawn from the bytes of a fuzzer, or of a seeded generator.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "packets.h"

namespace i3::test {

// When the bytes are used up every choice is 0, and `is_empty` says so.
class Choices {
 public:
  explicit Choices(Bytes bytes) : rest_(bytes) {}

  bool is_empty() const { return rest_.empty(); }
  uint8_t byte() { return static_cast<uint8_t>(number(1)); }
  uint16_t word() { return static_cast<uint16_t>(number(2)); }
  uint64_t number(size_t bytes) {
    uint64_t value = 0;
    for (const uint8_t next : take(bytes)) value = value << 8 | next;
    return value;
  }
  // Below `bound`, which is at most 256.
  size_t below(size_t bound) { return byte() % bound; }
  bool flag() { return (byte() & 1) != 0; }
  // At most that many.
  Bytes take(size_t count) {
    const Bytes taken = rest_.first(std::min(count, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  template <typename T>
  const T& of(const std::vector<T>& pool) { return pool[below(pool.size())]; }

 private:
  Bytes rest_;
};

// Memory of exactly that size, so that the sanitizer sees a byte before or behind it.
class Exact {
 public:
  explicit Exact(Bytes bytes) : Exact(bytes.size()) { copy_to(view(), 0, bytes); }
  explicit Exact(size_t size) : size_(size), bytes_(std::make_unique<uint8_t[]>(size)) {}
  MutableBytes view() const { return {bytes_.get(), size_}; }

 private:
  size_t size_;
  std::unique_ptr<uint8_t[]> bytes_;
};

inline Endpoint endpoint(uint8_t host, uint16_t port = 5'610) {
  Endpoint made;
  made.bytes[10] = made.bytes[11] = 0xff;
  made.bytes[12] = 192;
  made.bytes[14] = 2;
  made.bytes[15] = host;
  put16(made.bytes, Endpoint::port_offset, port);
  return made;
}

// Names of peers: 10.0.0.n and fd00::n; n = 0x99 is this host.
inline std::vector<uint8_t> address4(uint8_t n) { return {10, 0, 0, n}; }
inline std::vector<uint8_t> address6(uint8_t n) {
  std::vector<uint8_t> made(16);
  made[0] = 0xfd;
  made[15] = n;
  return made;
}
constexpr uint8_t own = 0x99;

// Ids of one ring key share its 16 bytes; the suffix tells them apart.
inline std::vector<uint8_t> ring_key(uint8_t key) { return std::vector<uint8_t>(16, key); }
inline std::vector<uint8_t> make_id(uint8_t key, uint8_t suffix = 0) {
  std::vector<uint8_t> made(32, key);
  made[16] = suffix;
  return made;
}

inline void append(std::vector<uint8_t>& to, Bytes bytes) { to.insert(to.end(), bytes.begin(), bytes.end()); }
inline std::vector<uint8_t> joined(std::initializer_list<Bytes> pieces) {
  std::vector<uint8_t> made;
  for (const Bytes piece : pieces) append(made, piece);
  return made;
}

}  // namespace i3::test
