// CHALLENGE_REQUEST and CHALLENGE as the engine reads and writes them (docs/wire.md §4, §4.1). As src/wire/challenge.ts.
#pragma once

#include <optional>

#include "packets.h"

namespace i3::challenge {

constexpr size_t ring_key_bytes = 16;
constexpr size_t node_key_bytes = 16;
constexpr size_t cookie_bytes = 24;
constexpr size_t header_bytes = 16;
constexpr size_t nonce_at = 8;
constexpr size_t nonce_bytes = 8;
// Header, array, ring key, cookie, an IPv6 locator, time, node key.
constexpr size_t longest_answer = header_bytes + 1 + (2 + ring_key_bytes) + (2 + cookie_bytes) + (2 + 18) + 9 + (2 + node_key_bytes);

struct Request {
  Bytes ring_key;
  Bytes nonce;
  // Of the trigger that is to follow is it a replica.
  bool is_replica = false;
};

// None: another message, one with a MAC, or in another form.
std::optional<Request> parse(Bytes datagram);

struct Challenge {
  Bytes cookie;
  // An encoded locator.
  Bytes observed;
  uint64_t time_ms = 0;
  Bytes node_key;
};
constexpr size_t uint_bytes(uint64_t value) { return value <= 0x7f ? 1 : value <= 0xff ? 2 : value <= 0xffff ? 3 : value <= 0xffff'ffff ? 5 : 9; }
// Of an answer.
constexpr size_t answer_bytes(size_t observed_bytes, uint64_t time_ms) { return longest_answer - 18 - 9 + observed_bytes + uint_bytes(time_ms); }
// Into exactly so many.
void write(MutableBytes out, const Request& request, const Challenge& challenge);

}  // namespace i3::challenge
