#include "refresh-packet.h"

namespace i3::refresh {
namespace {

constexpr uint8_t first_byte = 0x19, type_refresh = 9, type_ok = 8, flag_mac = 1;
constexpr size_t type_at = 1, flags_at = 2, body_length_at = 4;
// MessagePack.
constexpr uint8_t four = 0x94, bin8 = 0xc4, uint8 = 0xcc, uint16 = 0xcd, nil = 0xc0, most_fixed = 0x7f, action_insert = 1;

struct Writer {
  MutableBytes out;
  size_t at = 0;

  void byte(unsigned value) { put8(out, at++, value); }
  void bytes(Bytes value) {
    copy_to(out, at, value);
    at += value.size();
  }
};

}  // namespace

std::optional<Refresh> parse(Bytes datagram) {
  if (datagram.size() < header_bytes || datagram[type_at] != type_refresh || (datagram[flags_at] & flag_mac) != 0) return std::nullopt;
  const size_t body_bytes = u16(datagram, body_length_at);
  if (body_bytes > datagram.size() - header_bytes) return std::nullopt;
  const Bytes body = part(datagram, header_bytes, body_bytes);
  constexpr size_t id_at = 3, index_at = id_at + id_bytes;
  if (body.size() <= index_at || body[0] != four || body[1] != bin8 || body[2] != id_bytes) return std::nullopt;
  const uint8_t first = body[index_at];
  const size_t index_bytes = first <= most_fixed ? 1 : first == uint8 ? 2 : first == uint16 ? 3 : 0;
  const size_t token_at = index_at + index_bytes + 2;
  if (index_bytes == 0 || body.size() != token_at + token_bytes + 1) return std::nullopt;
  if (body[token_at - 2] != bin8 || body[token_at - 1] != token_bytes || body.back() != nil) return std::nullopt;
  const uint16_t index = index_bytes == 1 ? first : index_bytes == 2 ? body[index_at + 1] : u16(body, index_at + 1);
  return Refresh{part(body, id_at, id_bytes), part(body, token_at, token_bytes), index};
}

size_t write_ok(MutableBytes out, Bytes id, uint16_t life_ms, Bytes replica, Bytes nonce) {
  Writer writer{out, header_bytes};
  for (const unsigned value : {unsigned{four}, unsigned{action_insert}, unsigned{bin8}, unsigned{id_bytes}}) writer.byte(value);
  writer.bytes(id);
  if (life_ms > 0xff) {
    writer.byte(uint16);
    writer.byte(life_ms >> 8);
  } else if (life_ms > most_fixed) {
    writer.byte(uint8);
  }
  writer.byte(life_ms & 0xff);
  writer.byte(replica.empty() ? nil : bin8);
  if (!replica.empty()) writer.byte(static_cast<unsigned>(replica.size()));
  writer.bytes(replica);
  const std::array<uint8_t, nonce_at> beginning{first_byte, type_ok, 0, 0, 0, static_cast<uint8_t>(writer.at - header_bytes), 0, 0};
  copy_to(out, 0, beginning);
  copy_to(out, nonce_at, nonce);
  return writer.at;
}

}  // namespace i3::refresh
