// Trains from the TUN (virtio_net_hdr with gso_type set) as the packets that they stand for, each made in place: its headers
// are written right before its payload, over bytes that have been dealt with.
//
//     | IP, transport | payload 0 | payload 1 | payload 2 |      first
//                  | IP, transport | payload 1 | payload 2 |      second
#pragma once

#include "checksum-state.h"
#include "packets.h"

namespace i3 {

class Segments {
 public:
  // None when the header contradicts the packet; `packet` is as long as its IP header says.
  static std::optional<Segments> parse(MutableBytes packet, const VnetHeader& vnet);

  size_t count() const { return count_; }
  // Makes packet `index` of `packet`; in rising order, once each. Its checksum is partial. Returns where it lies.
  struct Place {
    size_t at;
    size_t length;
  };
  Place make(MutableBytes packet, size_t index) const;

 private:
  static constexpr size_t max_header_bytes = 60 + 60;

  bool is_tcp_ = false;
  unsigned version_ = 0;
  size_t ip_bytes_ = 0;
  size_t header_bytes_ = 0;
  size_t segment_bytes_ = 0;
  size_t payload_bytes_ = 0;
  size_t count_ = 0;
  // Of the IPv4 header without length, identification and checksum; of the pseudo-header without the length.
  uint32_t ip_sum_ = 0;
  uint32_t pseudo_sum_ = 0;
  std::array<uint8_t, max_header_bytes> header_{};
};

}  // namespace i3
