// Refreshes of triggers that the engine answers by itself (docs/datapath.md, "Refreshes"). As src/reference/refresh-rules.ts.
#pragma once

#include "lane-state.h"

namespace i3 {

class RefreshRules {
 public:
  explicit RefreshRules(LaneContext& lane) : lane_(lane) {}

  struct Answer {
    std::array<uint8_t, refresh::longest_answer> bytes;
    size_t length = 0;
  };
  // Whether the control datagram is a refresh that counts, which it does from then on. The shared mutex is held.
  bool take(Bytes datagram, const Endpoint& from, Answer& answer);
  // Without that mutex.
  void send(const Answer& answer, const Endpoint& to);

 private:
  LaneContext& lane_;
};

}  // namespace i3
