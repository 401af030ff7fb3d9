#include "esp-form.h"

#include "checksum.h"

namespace i3 {
namespace {

constexpr uint8_t rebuilt_ttl = 64;

// The header is exactly the one that the receiver will rebuild, but for its addresses.
bool can_travel_bare(Bytes packet) {
  if (inner_version(packet) == 4) {
    return ipv4_header_bytes(packet) == ipv4::min_bytes && u16(packet, ipv4::fragment) == ipv4::dont_fragment && u8(packet, ipv4::ttl) == rebuilt_ttl &&
           may_travel_bare(u8(packet, ipv4::protocol));
  }
  return u8(packet, ipv6::hop_limit) == rebuilt_ttl && may_travel_bare(u8(packet, ipv6::next_header));
}

size_t least_padding(size_t payload, size_t step) { return (step - (payload + 2) % step) % step; }

}  // namespace

bool may_travel_bare(uint8_t next) {
  return next != protocol::hop_by_hop && next != protocol::ipv4 && next != protocol::ipv6 && next != protocol::routing && next != protocol::fragment &&
         next != protocol::none && next != protocol::destination_options;
}

EspForm esp_form(const OutboundAssociation& association, Bytes packet, ChecksumState state, bool bare) {
  EspForm form;
  const unsigned version = inner_version(packet);
  if (bare && association.beet == version && can_travel_bare(packet)) {
    form.skipped = version == 4 ? ipv4::min_bytes : ipv6::header_bytes;
    form.next_header = u8(packet, version == 4 ? ipv4::protocol : ipv6::next_header);
  } else {
    form.next_header = version == 4 ? protocol::ipv4 : protocol::ipv6;
  }
  form.payload = packet.size() - form.skipped;
  const size_t step = padding_step(association.keys.kind());
  form.padding = least_padding(form.payload, step);
  if (association.checksum_state) form.padding += step * static_cast<size_t>(state);
  return form;
}

Bytes EspForm::put_trailer(MutableBytes buffer, size_t at, size_t length) const {
  const MutableBytes trailer = part(buffer, at + length, trailer_bytes());
  for (size_t i = 0; i < padding; i++) put8(trailer, i, static_cast<unsigned>(i + 1));
  put8(trailer, padding, static_cast<unsigned>(padding));
  put8(trailer, padding + 1, next_header);
  return part(buffer, at + skipped, payload + trailer_bytes());
}

ChecksumState state_of_padding(size_t payload, size_t padding, TransformKind kind) {
  const size_t step = padding_step(kind);
  const size_t least = least_padding(payload, step);
  if (padding < least || (padding - least) % step != 0) return ChecksumState::complete;
  const size_t state = (padding - least) / step;
  return state == 1 ? ChecksumState::partial : state == 2 ? ChecksumState::verified : ChecksumState::complete;
}

void put_beet_header(MutableBytes ip, const RewritePlan& plan, uint8_t next_header, uint8_t traffic_class, size_t payload_bytes) {
  if (plan.address_size == 4) {
    put8(ip, 0, 0x45);
    put8(ip, ipv4::tos, traffic_class);
    put16(ip, ipv4::total_length, static_cast<unsigned>(ipv4::min_bytes + payload_bytes));
    put16(ip, ipv4::fragment, ipv4::dont_fragment);
    put8(ip, ipv4::ttl, rebuilt_ttl);
    put8(ip, ipv4::protocol, next_header);
  } else {
    put16(ip, 0, 0x6000u | static_cast<unsigned>(traffic_class << 4));
    put16(ip, ipv6::payload_length, static_cast<unsigned>(payload_bytes));
    put8(ip, ipv6::next_header, next_header);
    put8(ip, ipv6::hop_limit, rebuilt_ttl);
  }
  const unsigned version = plan.address_size == 4 ? 4 : 6;
  copy_to(ip, source_offset(version), plan.view(plan.source_from));
  copy_to(ip, destination_offset(version), plan.view(plan.destination_from));
  if (version == 4) put16(ip, ipv4::checksum, static_cast<uint16_t>(~sum_words(ip)));
}

}  // namespace i3
