// What the engine knows of HIP packets (docs/wire.md §9): the header, which groups an I1 names, how an I2 has solved its puzzle, where answers go. As src/wire/hip.ts.
#pragma once

#include <algorithm>
#include <optional>

#include "data-header.h"

namespace i3::hip {

constexpr size_t mark_bytes = 4, header_bytes = 40, hit_bytes = 16;
constexpr size_t next_header = 0, length = 1, type = 2, version = 3, checksum = 4, sender_hit = 8, receiver_hit = 24;
constexpr uint8_t type_i1 = 1, type_r1 = 2, type_i2 = 3;
constexpr uint16_t puzzle = 257, solution = 321, dh_group_list = 511, i3_return_id = 32'770;
// In PUZZLE's and SOLUTION's contents; in SOLUTION's #J is behind #I.
constexpr size_t puzzle_difficulty = 0, puzzle_opaque = 2, puzzle_random = 4;
constexpr size_t parameter_head_bytes = 4;

// Nothing: the header is malformed.
inline std::optional<uint8_t> type_of(Bytes packet) {
  constexpr uint8_t no_next_header = 59, fixed_type_bit = 0x80, version_bits = 0xf1, version_2 = 0x21;
  if (packet.size() < header_bytes || (u8(packet, length) + size_t{1}) * 8 != packet.size()) return std::nullopt;
  const uint8_t found = u8(packet, type);
  const bool fits = u8(packet, next_header) == no_next_header && (found & fixed_type_bit) == 0 && (u8(packet, version) & version_bits) == version_2;
  return fits ? std::optional(found) : std::nullopt;
}

// In ORCHIDv2's 2001:20::/28 (RFC 7343 §2).
inline bool is_hit(Bytes hit) { return (u32(hit, 0) & 0xffff'fff0) == 0x2001'0020; }

struct Parameters {
  bool are_valid = false;
  // Contents of DH_GROUP_LIST, SOLUTION and I3_RETURN_ID, or nothing.
  Bytes groups;
  Bytes solution;
  Bytes return_id;
};

// Of a packet whose header is well-formed: what is left is always a multiple of 8, so that type and length are there. Not valid: malformed, more than `most`, or one of these
// stands twice.
inline Parameters parameters_of(Bytes packet, size_t most) {
  Parameters found;
  size_t count = 0;
  for (size_t at = header_bytes; at < packet.size();) {
    const size_t contents_bytes = u16(packet, at + 2);
    const size_t whole = (parameter_head_bytes + contents_bytes + 7) & ~size_t{7};
    if (++count > most || whole > packet.size() - at) return {};
    const uint16_t type = u16(packet, at);
    const Bytes contents = part(packet, at + parameter_head_bytes, contents_bytes);
    if (type == dh_group_list) {
      if (contents.empty() || !found.groups.empty()) return {};
      found.groups = contents;
    } else if (type == solution) {
      if (contents.empty() || !found.solution.empty()) return {};
      found.solution = contents;
    } else if (type == i3_return_id) {
      if (contents_bytes != id_bytes || !found.return_id.empty()) return {};
      found.return_id = contents;
    }
    at += whole;
  }
  found.are_valid = true;
  return found;
}

// What is longer than the limit is cut.
inline bool names_group(const Parameters& parameters, uint8_t group) {
  const Bytes groups = parameters.groups.first(std::min(parameters.groups.size(), limits::dh_groups));
  return std::find(groups.begin(), groups.end(), group) != groups.end();
}

}  // namespace i3::hip
