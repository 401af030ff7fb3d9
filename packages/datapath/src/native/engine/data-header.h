// The i3 data header (docs/wire.md §3) and the first byte of datagrams (§1).
#pragma once

#include "limits.h"
#include "packets.h"

namespace i3 {

constexpr size_t id_bytes = 32, ring_key_bytes = 16;

namespace data_header {
constexpr size_t flags = 1, hop_limit = 2, copy_budget = 3, stack_length = 4, payload_kind = 5, nonce = 8, nonce_bytes = 8, ids = 16;
constexpr uint8_t cache_request = 0x01, shortcut_ok = 0x02, forwarded = 0x04;
constexpr uint8_t first_byte = 0x11;
constexpr uint8_t ip_packet = 1, hip = 3, esp = 4, last_payload_kind = 5;
constexpr size_t bytes_with(size_t stack) { return ids + id_bytes * stack; }
// Its length; 0 when it is malformed. The first byte has been looked at.
inline size_t parse(Bytes datagram) {
  if (datagram.size() < ids) return 0;
  const size_t stack = datagram[stack_length];
  if (stack < 1 || stack > limits::stack_length || bytes_with(stack) > datagram.size()) return 0;
  return bytes_with(stack);
}
}  // namespace data_header

// Whether a control datagram is of a type that passes between servers (docs/wire.md §4).
inline bool is_check(Bytes control) {
  constexpr unsigned check_type = 18;
  return control.size() > 1 && u8(control, 1) == check_type;
}

inline bool is_between_servers(Bytes control) {
  constexpr uint8_t first_type = 32, last_type = 59;
  return control.size() > 1 && control[1] >= first_type && control[1] <= last_type;
}

enum class DatagramClass : uint8_t { data, control, keep_alive, hip, esp, version, malformed };

inline DatagramClass classify(Bytes datagram) {
  if (datagram.empty()) return DatagramClass::malformed;
  const uint8_t first = datagram[0];
  if (first == data_header::first_byte) return DatagramClass::data;
  if (first == 0x19) return DatagramClass::control;
  if (first == 0x00) return DatagramClass::hip;
  if (first < 0x10) return DatagramClass::malformed;
  if (first < 0x20) return DatagramClass::version;
  if (first < 0xff) return DatagramClass::esp;
  return datagram.size() == 1 ? DatagramClass::keep_alive : DatagramClass::malformed;
}

}  // namespace i3
