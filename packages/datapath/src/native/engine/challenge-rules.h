// Requests for a challenge that the engine answers by itself (docs/datapath.md, "Challenges"). As src/reference/challenge-rules.ts.
#pragma once

#include "lane-state.h"

namespace i3 {

class ChallengeRules {
 public:
  explicit ChallengeRules(LaneContext& lane) : lane_(lane) {}

  // A request that is answered here; its parts are of the datagram. Cheap.
  std::optional<challenge::Request> asked(Bytes datagram, const Endpoint& from) const;
  // It was asked in this batch.
  void answer(const challenge::Request& request, const Endpoint& to);

 private:
  uint64_t made_ms() const { return static_cast<uint64_t>(lane_.now_ms); }

  LaneContext& lane_;
};

}  // namespace i3
