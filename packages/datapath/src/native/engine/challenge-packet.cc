#include "challenge-packet.h"

namespace i3::challenge {
namespace {

constexpr uint8_t first_byte = 0x19, type_request = 5, type_challenge = 6, flag_mac = 1, flag_replica = 2;
constexpr size_t type_at = 1, flags_at = 2, body_length_at = 4;
// MessagePack.
constexpr uint8_t two = 0x92, five = 0x95, bin8 = 0xc4, uint8 = 0xcc, uint16 = 0xcd, uint32 = 0xce, int64 = 0xd3, most_fixed = 0x7f;

struct Writer {
  MutableBytes out;
  size_t at = 0;

  void byte(unsigned value) { put8(out, at++, value); }
  void binary(Bytes value) {
    byte(bin8);
    byte(static_cast<unsigned>(value.size()));
    copy_to(out, at, value);
    at += value.size();
  }
  // As maskLocator of src/wire in common.
  void masked(Bytes value, Bytes nonce) {
    const size_t value_at = at + 2;
    binary(value);
    for (size_t i = 0; i < value.size(); i++) out[value_at + i] ^= nonce[nonce.size() - 1 - i % nonce.size()];
  }
  void uint(uint64_t value) {
    const size_t bytes = uint_bytes(value);
    if (bytes > 1) byte(bytes == 2 ? uint8 : bytes == 3 ? uint16 : bytes == 5 ? uint32 : int64);
    for (size_t left = bytes == 1 ? 1 : bytes - 1; left > 0; left--) byte(static_cast<unsigned>(value >> 8 * (left - 1) & 0xff));
  }
};

}  // namespace

std::optional<Request> parse(Bytes datagram) {
  if (datagram.size() < header_bytes || datagram[type_at] != type_request || (datagram[flags_at] & flag_mac) != 0) return std::nullopt;
  const size_t body_bytes = u16(datagram, body_length_at);
  if (body_bytes > datagram.size() - header_bytes) return std::nullopt;
  const Bytes body = part(datagram, header_bytes, body_bytes);
  constexpr size_t ring_key_at = 3, trigger_flags_at = ring_key_at + ring_key_bytes;
  if (body.size() <= trigger_flags_at || body[0] != two || body[1] != bin8 || body[2] != ring_key_bytes) return std::nullopt;
  const uint8_t first = body[trigger_flags_at];
  const size_t flags_bytes = first <= most_fixed ? 1 : first == uint8 ? 2 : first == uint16 ? 3 : 0;
  if (flags_bytes == 0 || body.size() != trigger_flags_at + flags_bytes) return std::nullopt;
  return Request{part(body, ring_key_at, ring_key_bytes), part(datagram, nonce_at, nonce_bytes), (body.back() & flag_replica) != 0};
}

void write(MutableBytes out, const Request& request, const Challenge& challenge) {
  require(out.size() == answer_bytes(challenge.observed.size(), challenge.time_ms));
  const std::array<uint8_t, nonce_at> beginning{first_byte, type_challenge, 0, 0, 0, static_cast<uint8_t>(out.size() - header_bytes), 0, 0};
  copy_to(out, 0, beginning);
  copy_to(out, nonce_at, request.nonce);
  Writer writer{out, header_bytes};
  writer.byte(five);
  writer.binary(request.ring_key);
  writer.binary(challenge.cookie);
  writer.masked(challenge.observed, request.nonce);
  writer.uint(challenge.time_ms);
  writer.binary(challenge.node_key);
}

}  // namespace i3::challenge
