// What becomes of HIP packets (docs/datapath.md, "HIP").
#pragma once

#include "hip-responder.h"
#include "lane-state.h"

namespace i3 {

class HipRules {
 public:
  explicit HipRules(LaneContext& lane) : lane_(lane) {}

  // A datagram whose first byte is 0, or what stood in IP with HIP's protocol number.
  void straight(Bytes datagram, const Endpoint& from, const Way& way);
  // A HIP packet behind a data header for `id`, whose payloads go up. False: this one does too.
  bool behind_header(Bytes id, Bytes packet);

 private:
  void straight_i1(const HipResponder& responder, Bytes i1, const Endpoint& from, const Way& way);
  // Each yields why there is no answer.
  Drop answer_straight(const HipResponder& responder, Bytes i1, const Endpoint& from, const Way& way);
  Drop answer_behind_header(const HipResponder& responder, Bytes i1, Bytes return_id);
  // The shared mutex is held.
  void go_up(Upward what, SecondLimit& limit, Bytes packet, const Endpoint& from, const Way& way);
  void count(Drop reason);

  LaneContext& lane_;
};

}  // namespace i3
