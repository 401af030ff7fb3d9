// REFRESH and TRIGGER_OK as the engine reads and writes them (docs/wire.md §4, §4.1). As src/wire/refresh.ts.
#pragma once

#include <optional>

#include "packets.h"

namespace i3::refresh {

constexpr size_t id_bytes = 32;
constexpr size_t token_bytes = 16;
constexpr size_t header_bytes = 16;
constexpr size_t nonce_at = 8;
constexpr size_t nonce_bytes = 8;
// Header, array, action, id, life, an IPv6 locator.
constexpr size_t longest_answer = header_bytes + 2 + 2 + id_bytes + 3 + 2 + 18;

struct Refresh {
  Bytes id;
  Bytes token;
  uint16_t index = 0;
};

// None: another message, a member's refresh, one with a MAC, or in another form.
std::optional<Refresh> parse(Bytes datagram);

// Into the first of `longest_answer` bytes; returns how many. `replica`: an encoded locator, or empty.
size_t write_ok(MutableBytes out, Bytes id, uint16_t life_ms, Bytes replica, Bytes nonce);

}  // namespace i3::refresh
