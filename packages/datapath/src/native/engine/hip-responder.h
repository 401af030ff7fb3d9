// R1 packets made from one that was signed beforehand (docs/datapath.md, "HIP"). As src/reference/hip-responder.ts.
#pragma once

#include <vector>

#include "engine.h"
#include "hip-packet.h"
#include "hmac.h"

namespace i3 {

// #I of one R1: 32 or 48 bytes.
struct PuzzleRandom {
  std::array<uint8_t, Hmac::max_bytes> bytes{};
  size_t size = 0;

  Bytes view() const { return Bytes(bytes).first(size); }
};

class HipResponder {
 public:
  static bool is_valid(const HipResponderSpec& spec);
  // The spec is valid.
  explicit HipResponder(const HipResponderSpec& spec);

  uint8_t group() const { return group_; }
  Bytes hit() const { return part(r1_, hip::sender_hit, hip::hit_bytes); }
  // Whether an I1 to no HIT is answered that came for this id.
  bool is_open(Bytes id) const;
  size_t r1_bytes() const { return r1_.size(); }
  // `path`: the id or address that the answer goes to.
  PuzzleRandom random(Bytes initiator, Bytes path) const;
  // `into` is as long as the R1.
  void write(MutableBytes into, Bytes initiator, const PuzzleRandom& random) const;

 private:
  std::vector<uint8_t> open_ids_;
  // With the opaque, without receiver and #I.
  std::vector<uint8_t> r1_;
  size_t random_at_;
  Rhash rhash_;
  uint8_t group_;
  Hmac mac_;
};

}  // namespace i3
