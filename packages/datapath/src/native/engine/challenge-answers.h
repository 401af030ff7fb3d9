// What answering a request for a challenge takes (docs/datapath.md, "Challenges").
#pragma once

#include "challenge-packet.h"
#include "hmac.h"
#include "ring-range.h"

namespace i3 {

struct ChallengeAnswers {
  static constexpr size_t secret_bytes = 32;
  static bool is_valid(const ChallengeSpec& spec) { return spec.secret.size() == secret_bytes && spec.node_key.size() == challenge::node_key_bytes && spec.wall_offset_ms <= uint64_t{1} << 52; }
  // The spec is valid, and the range is what it says.
  ChallengeAnswers(const ChallengeSpec& spec, const RingRange& range_) : range(range_), cookies(Rhash::sha256, spec.secret), wall_offset_ms(spec.wall_offset_ms) { copy_to(node_key, 0, spec.node_key); }

  RingRange range;
  // Under the secret; wiped with it.
  Hmac cookies;
  std::array<uint8_t, challenge::node_key_bytes> node_key{};
  uint64_t wall_offset_ms;
};

}  // namespace i3
