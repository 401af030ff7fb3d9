#include "mtu.h"

#include <algorithm>

#include "checksum.h"

namespace i3 {
namespace {

// Where the value of the MSS option is in the TCP header; none when there is none or the options cannot be walked.
std::optional<size_t> find_mss(Bytes header) {
  constexpr uint8_t end_of_options = 0, no_operation = 1, mss = 2;
  size_t at = tcp::min_bytes;
  while (at < header.size()) {
    const uint8_t kind = header[at];
    if (kind == end_of_options) return std::nullopt;
    if (kind == no_operation) {
      at++;
      continue;
    }
    if (at + 2 > header.size() || header[at + 1] < 2 || at + header[at + 1] > header.size()) return std::nullopt;
    if (kind == mss) return header[at + 1] == 4 ? std::optional(at + 2) : std::nullopt;
    at += header[at + 1];
  }
  return std::nullopt;
}

}  // namespace

void clamp_mss(MutableBytes packet, const Transport& transport, uint16_t mtu, ChecksumState state) {
  if (!transport.found() || transport.protocol != protocol::tcp || transport.offset + tcp::min_bytes > packet.size()) return;
  const MutableBytes segment = packet.subspan(transport.offset);
  const size_t header_bytes = (u8(segment, tcp::data_offset) >> 4) * size_t{4};
  if ((u8(segment, tcp::flags) & tcp::syn) == 0 || header_bytes < tcp::min_bytes || header_bytes > segment.size()) return;
  const auto at = find_mss(segment.first(header_bytes));
  const auto most = static_cast<uint16_t>(mtu - (inner_version(packet) == 4 ? 40 : 60));
  if (!at || u16(segment, *at) <= most) return;
  const uint16_t before = u16(segment, *at);
  put16(segment, *at, most);
  if (state == ChecksumState::partial) return;
  // At an odd place the value lies across two words: its bytes are swapped in the sum.
  const uint32_t delta = *at % 2 == 0 ? word_delta(before, most) : word_delta(big_endian(before), big_endian(most));
  adjust_checksum(segment, tcp::checksum, delta);
}

size_t make_fragment(MutableBytes out, Bytes packet, size_t at, size_t piece_bytes) {
  const size_t length = std::min(piece_bytes, packet.size() - at);
  const bool is_last = at + length == packet.size();
  const uint16_t field = u16(packet, ipv4::fragment);
  const auto offset = static_cast<uint16_t>((field & ipv4::offset_mask) + (at - ipv4::min_bytes) / 8);
  copy_to(out, 0, packet.first(ipv4::min_bytes));
  copy_to(out, ipv4::min_bytes, packet.subspan(at, length));
  put16(out, ipv4::total_length, static_cast<unsigned>(ipv4::min_bytes + length));
  put16(out, ipv4::fragment, (field & ~unsigned{ipv4::offset_mask}) | (offset & ipv4::offset_mask) | (is_last ? 0u : unsigned{ipv4::more_fragments}));
  put16(out, ipv4::checksum, 0);
  put16(out, ipv4::checksum, static_cast<uint16_t>(~sum_words(out.first(ipv4::min_bytes))));
  return ipv4::min_bytes + length;
}

}  // namespace i3
