// Refreshes of triggers that the engine answers by itself (docs/datapath.md, "Refreshes"). As src/reference/refresh-rules.ts.
#pragma once

#include "lane-state.h"

namespace i3 {

class RefreshRules {
 public:
  explicit RefreshRules(LaneContext& lane) : lane_(lane) {}

  // A refresh of a lease of ours whose token is not looked at yet.
  struct Claim {
    uint32_t entry;
    uint16_t index;
    // The lease's, as they were.
    uint16_t last_index;
    std::array<uint8_t, refresh::token_bytes> last;
    // Of the datagram.
    Bytes token;
    std::array<uint8_t, refresh::longest_answer> answer;
    size_t answer_bytes;
  };
  // Whether the control datagram may count. The shared mutex is held.
  std::optional<Claim> claimed(Bytes datagram, const Endpoint& from) const;
  // Whether its token leads to the lease's. Up to 64 hashes, for which no other lane waits: without that mutex.
  static bool is_proven(const Claim& claim);
  // It counts from now on; false: another lane took one of that lease meanwhile. The shared mutex is held.
  bool take(const Claim& claim);
  // Without that mutex.
  void send(const Claim& claim, const Endpoint& to);

 private:
  LaneContext& lane_;
};

}  // namespace i3
