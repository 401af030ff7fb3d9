// Transforms and rewrites with fixed keys, the same for sender and receiver.
#pragma once

#include <openssl/evp.h>

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
  std::vector<uint8_t> made{0x11, flags, 16, 255, 1, kind, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8};
  append(made, id);
  return made;
}

// HIP packets (docs/wire.md §9). HIT `n`: 2001:22::n.
inline std::vector<uint8_t> make_hit(uint8_t n) { return {0x20, 0x01, 0, 0x22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n}; }
inline void append_parameter(std::vector<uint8_t>& packet, uint16_t type, Bytes contents) {
  const size_t at = packet.size();
  packet.resize(at + (4 + contents.size() + 7) / 8 * 8);
  put16(packet, at, type);
  put16(packet, at + 2, static_cast<unsigned>(contents.size()));
  copy_to(packet, at + 4, contents);
  packet[1] = static_cast<uint8_t>(packet.size() / 8 - 1);
}
inline std::vector<uint8_t> hip_packet(uint8_t type, Bytes sender, Bytes receiver) {
  return joined({std::vector<uint8_t>{59, 4, type, 0x21, 0, 0, 0, 0}, sender, receiver});
}
// To HIT `own`, with a return id, of `length` bytes: a multiple of 8 from 96 on.
inline std::vector<uint8_t> make_i1(uint8_t from, Bytes return_id, size_t length) {
  std::vector<uint8_t> made = hip_packet(1, make_hit(from), make_hit(own));
  append_parameter(made, 511, std::vector<uint8_t>{8, 7});
  append_parameter(made, 32'770, return_id);
  append_parameter(made, 32'778, std::vector<uint8_t>(length - made.size() - 4));
  return made;
}

// Of epoch `epoch` with K 10: as HipResponderSpec has it.
inline std::vector<uint8_t> make_puzzles(uint16_t epoch, Bytes secret) {
  std::vector<uint8_t> made{static_cast<uint8_t>(epoch >> 8), static_cast<uint8_t>(epoch), 10};
  append(made, secret);
  return made;
}
// To HIT `own`, with a return id and a SOLUTION of that epoch that has nothing right but K.
inline std::vector<uint8_t> make_i2(uint8_t from, Bytes return_id, Rhash rhash, uint16_t epoch) {
  std::vector<uint8_t> made = hip_packet(3, make_hit(from), make_hit(own));
  std::vector<uint8_t> solution(rhash == Rhash::sha256 ? 68 : 100);
  solution[0] = 10;
  put16(solution, 2, epoch);
  append_parameter(made, 321, solution);
  append_parameter(made, 32'770, return_id);
  return made;
}

// What a spec of a responder points to; it lives as long as its owner.
struct ResponderBytes {
  explicit ResponderBytes(Rhash rhash_, size_t r1_bytes = 320) : rhash(rhash_), hit(make_hit(own)), puzzles(joined({make_puzzles(0x0102, std::vector<uint8_t>(32, 0x5e)), make_puzzles(0x0101, std::vector<uint8_t>(32, 0x5f))})), r1(hip_packet(2, hit, std::vector<uint8_t>(16))) {
    std::vector<uint8_t> puzzle(rhash == Rhash::sha256 ? 36 : 52);
    puzzle[0] = 10;
    append_parameter(r1, 257, puzzle);
    append_parameter(r1, 61'633, std::vector<uint8_t>(r1_bytes - r1.size() - 4, 0x99));
  }
  Rhash rhash;
  std::vector<uint8_t> hit, puzzles, r1;
  // Ids at which an I1 to no HIT is answered.
  std::vector<uint8_t> open_ids = std::vector<uint8_t>(32, 0x77);

  HipResponderSpec spec() const { return {hit, open_ids, r1, 44, rhash, 7, puzzles}; }
};

// The value of a refresh chain, `index` steps before its end; at most 40.
inline std::vector<uint8_t> refresh_token(size_t index) {
  std::vector<uint8_t> value(16, 5);
  for (size_t i = 40; i > index; i--) {
    const char domain[] = "i3/1 refresh\0\0\x10";
    std::vector<uint8_t> input(domain, domain + 15);
    append(input, value);
    std::array<uint8_t, 32> digest{};
    EVP_Digest(input.data(), input.size(), digest.data(), nullptr, EVP_sha256(), nullptr);
    value.assign(digest.begin(), digest.begin() + 16);
  }
  return value;
}
// With index and token that need not belong together; docs/wire.md §4.
inline std::vector<uint8_t> make_refresh(Bytes id, uint8_t index, Bytes token) {
  std::vector<uint8_t> made{0x19, 9, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0x94, 0xc4, 32};
  append(made, id);
  if (index > 127) made.push_back(0xcc);
  append(made, std::vector<uint8_t>{index, 0xc4, 16});
  append(made, token);
  made.push_back(0xc0);
  made[5] = static_cast<uint8_t>(made.size() - 16);
  made.resize(160);
  return made;
}

// docs/wire.md §4.
inline std::vector<uint8_t> make_challenge_request(Bytes ring_key, uint16_t flags) {
  std::vector<uint8_t> made{0x19, 5, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0x92, 0xc4, 16};
  append(made, ring_key);
  if (flags > 127) append(made, std::vector<uint8_t>{0xcd, static_cast<uint8_t>(flags >> 8)});
  made.push_back(static_cast<uint8_t>(flags & 0xff));
  made[5] = static_cast<uint8_t>(made.size() - 16);
  made.resize(160);
  return made;
}

}  // namespace i3::test
