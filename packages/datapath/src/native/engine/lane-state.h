// Everything that the rules of one lane share.
#pragma once

#include "flow-table.h"
#include "hip-responder.h"
#include "inbound-table.h"
#include "lane.h"
#include "next-servers.h"
#include "ring-range.h"
#include "trigger-table.h"
#include "tun-outbox.h"
#include "udp-outbox.h"

namespace i3 {

struct Tables {
  Tables(Bytes seed, size_t lanes) : hasher(seed), gates(lanes), lane_count(lanes) {}

  Hasher hasher;
  Gates gates;
  size_t lane_count;
  FlowTable flows;
  InboundTable inbound;
  AssociationTable<OutboundAssociation> outbound_associations;
  AssociationTable<InboundAssociation> inbound_associations;
  TriggerTable triggers;
  NextServers next_servers;
  RingRange range;
  // nullptr: none.
  std::unique_ptr<HipResponder> hip;
};

struct LaneContext {
  LaneContext(Tables& tables_, Shared& shared_, size_t index_) : tables(tables_), shared(shared_), index(index_), udp(shared_, counters), tun(shared_, counters), copies_(copies_bytes) {}

  Tables& tables;
  Shared& shared;
  size_t index;
  LaneCounters counters;
  UdpOutbox udp;
  TunOutbox tun;
  double now_ms = 0;

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
    shared.upcall_bytes += upcall.bytes.size();
    shared.upcalls.push_back(std::move(upcall));
    shared.notify();
  }
  // The source may make one more upcall; counts the drop when not. The shared mutex is held.
  bool may_go_up(SourceRates& rates, const Endpoint& from) {
    if (!rates.allow(now_ms, source_key(from))) drop(Drop::rate);
    else if (shared.upcalls_full()) drop(Drop::queue_full);
    else return true;
    return false;
  }

 private:
  static constexpr size_t copies_bytes = 256 * 1024;
  std::vector<uint8_t> copies_;
  size_t copies_used_ = 0;
};

}  // namespace i3
