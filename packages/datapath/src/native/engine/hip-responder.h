// R1 packets made from one that was signed beforehand, and their puzzles when they come back solved (docs/datapath.md, "HIP"). As src/reference/hip-responder.ts.
#pragma once

#include <deque>
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
  // Whether SOLUTION's contents solve a puzzle of ours that the initiator got on this path; at most two hashes.
  size_t solution_bytes() const { return hip::puzzle_random + 2 * Hmac::bytes(rhash_); }
  bool is_solved(Bytes solution, Bytes initiator, Bytes path) const;
  // `into` is as long as the R1.
  void write(MutableBytes into, Bytes initiator, const PuzzleRandom& random) const;

 private:
  // Of one epoch.
  struct Puzzles {
    Puzzles(Rhash rhash, Bytes packed);
    uint16_t epoch;
    uint8_t difficulty;
    Hmac mac;
  };
  PuzzleRandom random_of(const Puzzles& puzzles, Bytes initiator, Bytes path) const;

  std::vector<uint8_t> open_ids_;
  // With the opaque, without receiver and #I.
  std::vector<uint8_t> r1_;
  size_t random_at_;
  Rhash rhash_;
  uint8_t group_;
  // The first is that of the R1. They stay where they are: secrets leave no copies behind.
  std::deque<Puzzles> puzzles_;
};

}  // namespace i3
