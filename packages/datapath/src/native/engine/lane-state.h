// Everything that the rules of one lane share.
#pragma once

#include "behind-table.h"
#include "challenge-answers.h"
#include "fair-shares.h"
#include "flow-table.h"
#include "hip-responder.h"
#include "inbound-table.h"
#include "lane.h"
#include "lease-table.h"
#include "next-servers.h"
#include "ring-range.h"
#include "translation-table.h"
#include "trigger-table.h"
#include "tun-outbox.h"
#include "udp-outbox.h"

namespace i3 {

// interface PassOn in src/datapath.ts.
struct PassOn {
  Endpoint from;
  Endpoint to;
};

struct Tables {
  Tables(Bytes seed, size_t lanes) : hasher(seed), gates(lanes), lane_count(lanes) {}

  Hasher hasher;
  Gates gates;
  size_t lane_count;
  FlowTable flows;
  BehindTable behind;
  TranslationTable translations;
  // Of IPv4 packets that translations make and that may be fragmented (RFC 6864 §4.3): none comes again within 65,536.
  std::atomic<uint16_t> identifications{0};
  InboundTable inbound;
  AssociationTable<OutboundAssociation> outbound_associations;
  AssociationTable<InboundAssociation> inbound_associations;
  TriggerTable triggers;
  LeaseTable leases;
  // nullptr: refreshes go up.
  std::unique_ptr<RefreshAnswers> answers;
  // nullptr: requests for a challenge go up.
  std::unique_ptr<ChallengeAnswers> challenges;
  NextServers next_servers;
  std::optional<PassOn> pass_on;
  RingRange range;
  // nullptr: none.
  std::unique_ptr<HipResponder> hip;
};

// What a source may send up, each at a rate of its own; `ring`, control between servers, only from neighbours.
enum class Upward : uint8_t { control, ring, data, solved_i2 };

struct LaneContext {
  LaneContext(Tables& tables_, Shared& shared_, size_t index_) : tables(tables_), shared(shared_), index(index_), udp(shared_, counters), tun(shared_, counters), copies_(copies_bytes) {}

  Tables& tables;
  Shared& shared;
  size_t index;
  LaneCounters counters;
  UdpOutbox udp;
  TunOutbox tun;
  FairShares shares;
  double now_ms = 0;
  // From id to id, of all packets so far.
  uint64_t hops = 0;

  void drop(Drop reason, uint64_t count = 1) { counters.drop(reason, count); }

  // Memory for a packet that goes to the TUN and is in no buffer of the batch; good until the batch ends.
  MutableBytes copy_room(size_t bytes) {
    if (copies_used_ + bytes > copies_.size()) {
      tun.flush();
      copies_used_ = 0;
    }
    const MutableBytes room = MutableBytes(copies_).subspan(copies_used_, bytes);
    copies_used_ += bytes;
    return room;
  }
  void forget_copies() { copies_used_ = 0; }

  // The shared mutex is held.
  void push_upcall(Upcall upcall) {
    udp.hand_up();
    shared.push_upcall(std::move(upcall));
  }
  // Shared::upcalls_full, with what this lane is about to hand up. The shared mutex is held.
  bool upcalls_full(size_t shares = 0) {
    udp.hand_up();
    return shared.upcalls_full(shares);
  }
  // The source may make one more upcall; counts the drop when not. The shared mutex is held.
  bool may_go_up(Upward what, const Endpoint& from) {
    return may_go_up(what, from, [] { return false; });
  }
  // `answer` answers what the source asks without an upcall, if it can, for which there need be no room.
  template <typename Answer>
  bool may_go_up(Upward what, const Endpoint& from, Answer&& answer) {
    KnownSources::Neighbour* neighbour = what == Upward::ring ? shared.known.neighbour(from) : nullptr;
    KnownSources::Source* known = what == Upward::solved_i2 || neighbour != nullptr ? nullptr : shared.known.find(from.address());
    const bool allowed = neighbour != nullptr ? allows(neighbour->level, limits::upcalls_per_neighbour_per_second)
                         : known != nullptr   ? allows(what == Upward::data ? known->data : known->control, limits::upcalls_per_source_per_second)
                                              : rates_of(what).allow(now_ms, source_key(from));
    if (!allowed) drop(Drop::rate);
    else if (!answer()) return has_room(neighbour != nullptr ? 2 : known != nullptr ? 1 : 0);
    return false;
  }
  // For what was allowed and has no answer after all: counts the drop when there is none. The shared mutex is held.
  bool has_room(Upward what, const Endpoint& from) {
    if (what == Upward::ring && shared.known.neighbour(from) != nullptr) return has_room(2);
    return has_room(what != Upward::solved_i2 && shared.known.find(from.address()) != nullptr ? 1 : 0);
  }

 private:
  bool has_room(size_t shares) {
    if (!upcalls_full(shares)) return true;
    drop(Drop::queue_full);
    return false;
  }
  SourceRates& rates_of(Upward what) { return what == Upward::data ? shared.data_rates : what == Upward::solved_i2 ? shared.i2_rates : shared.control_rates; }
  bool allows(TokenLevel& level, double per_second) const { return level.take(now_ms, per_second, per_second, 1) == 1; }

  static constexpr size_t copies_bytes = 256 * 1024;
  std::vector<uint8_t> copies_;
  size_t copies_used_ = 0;
};

}  // namespace i3
