// Transforms and rewrites with fixed keys, the same for sender and receiver.
#pragma once

#include "choices.h"
#include "engine.h"

namespace i3::test {

// Bytes that a spec points to; it lives as long as its owner.
struct KeyBytes {
  explicit KeyBytes(uint8_t n) : cipher(32, static_cast<uint8_t>(0x40 + n)), salt(4, n), mac(32, static_cast<uint8_t>(0x80 + n)) {}
  std::vector<uint8_t> cipher, salt, mac;

  TransformSpec spec(TransformKind kind, size_t key_bytes) const {
    TransformSpec made;
    made.kind = kind;
    if (kind != TransformKind::null_hmac) made.key = Bytes(cipher).first(key_bytes);
    if (kind == TransformKind::aes_gcm) made.salt = salt;
    else made.integrity_key = mac;
    return made;
  }
};

// Association `n` of 1 to 6: every transform and key length, with and without BEET and checksum state.
constexpr uint32_t associations = 6;
constexpr uint32_t first_spi = 0x2000'0000;
inline TransformKind kind_of(uint32_t n) { return n == 3 ? TransformKind::null_hmac : n == 4 || n == 5 ? TransformKind::aes_cbc_hmac : TransformKind::aes_gcm; }
inline size_t key_bytes_of(uint32_t n) { return n == 1 || n == 4 ? 16 : 32; }
inline uint8_t beet_of(uint32_t n) { return n == 2 || n == 5 ? 4 : n == 3 || n == 6 ? 6 : 0; }
inline bool checksum_state_of(uint32_t n) { return n % 2 == 0 || n == 3; }

// Packets of peer `from` to this host: as they come, or with both addresses changed.
inline std::vector<uint8_t> pairs(unsigned version, uint8_t from, uint8_t source_to, uint8_t destination_to) {
  const auto address = [version](uint8_t n) { return version == 4 ? address4(n) : address6(n); };
  return joined({address(from), address(source_to), address(own), address(destination_to)});
}

inline std::vector<uint8_t> data_header_to(Bytes id, uint8_t kind, uint8_t flags = 0) {
  std::vector<uint8_t> made{0x11, flags, 16, 64, 1, kind, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8};
  append(made, id);
  return made;
}

}  // namespace i3::test
