// What goes into an ESP packet: BEET or tunnel mode, padding and the checksum's state in its length (docs/wire.md §7).
#pragma once

#include "associations.h"

namespace i3 {

// The plaintext of a packet: what of it, and the trailer.
struct EspForm {
  // Bytes of the packet's beginning that stay away.
  size_t skipped = 0;
  size_t payload = 0;
  size_t padding = 0;
  uint8_t next_header = 0;

  size_t trailer_bytes() const { return padding + 2; }
  size_t sealed_bytes(TransformKind kind) const { return esp_header_bytes + iv_bytes(kind) + payload + trailer_bytes() + icv_bytes; }
  // Writes the trailer behind the packet of `length` bytes at `at` and returns the plaintext.
  Bytes put_trailer(MutableBytes buffer, size_t at, size_t length) const;
};

// `bare`: the addresses are the association's, so that the header may stay away.
EspForm esp_form(const OutboundAssociation& association, Bytes packet, ChecksumState state, bool bare);
ChecksumState state_of_padding(size_t payload, size_t padding, TransformKind kind);
// A protocol that may stand where the receiver has to guess nothing.
bool may_travel_bare(uint8_t protocol);
// The header that the receiver of a BEET packet rebuilds, with the plan's `from` addresses.
void put_beet_header(MutableBytes ip, const RewritePlan& plan, uint8_t next_header, uint8_t traffic_class, size_t payload_bytes);

// Bytes behind a packet (of the next one in a train), while a trailer stands in their place.
class SavedTail {
 public:
  SavedTail(MutableBytes buffer, size_t at, size_t length) : place_(part(buffer, at, length)) { copy_to(saved_, 0, place_); }
  ~SavedTail() { copy_to(place_, 0, Bytes(saved_).first(place_.size())); }
  SavedTail(const SavedTail&) = delete;
  SavedTail& operator=(const SavedTail&) = delete;

 private:
  MutableBytes place_;
  // The longest trailer: 15 bytes to align, 32 for the state, 2.
  std::array<uint8_t, 64> saved_{};
};

}  // namespace i3
