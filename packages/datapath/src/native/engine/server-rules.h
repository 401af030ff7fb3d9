// What a server does with a data packet (docs/wire.md §3 "At a server", docs/datapath.md "Server rules").
//
//     not ours, no trigger ─► next server, FORWARDED set          ours, no trigger ─► dropped, `no-trigger`
//     trigger ─► one copy per longest match ─► address: sent, stack unchanged
//                                        └► stack: takes the place of id[0], and again from the top (a hop)
#pragma once

#include "lane-state.h"

namespace i3 {

class ServerRules {
 public:
  explicit ServerRules(LaneContext& lane) : lane_(lane) {}

  // A data packet whose header was parsed.
  void serve(Bytes datagram, const Endpoint& from, uint8_t traffic_class);
  // A train whose datagrams all have the same head, sent on as it lies when its way is plain. False: nothing was done.
  bool serve_train(const UdpInput& train);
  // The packets that wait for a ring key are looked at again, as the tables now are.
  void resume(Bytes ring_key);
  // All of them for which `wanted(ring key)` holds, in the order in which they began to wait.
  void resume_if(const std::function<bool(Bytes)>& wanted);
  // Counted `no-route`.
  void discard(Bytes ring_key);

 private:
  // One packet or copy under way. The datagram itself is never changed: `head` (whole ids) stands in place of its id[0] once a
  // trigger with a stack was met, so the payload is copied once, when the copy leaves.
  struct Work {
    Bytes datagram;
    const Endpoint* from;
    uint8_t traffic_class;
    unsigned hop_limit;
    unsigned copy_budget;
    Bytes head;
    // From id to id at this server.
    unsigned hops = 0;

    Bytes id() const { return head.empty() ? part(datagram, data_header::ids, id_bytes) : head.first(id_bytes); }
    Bytes ring_key() const { return id().first(ring_key_bytes); }
    uint8_t flags() const { return datagram[data_header::flags]; }
    size_t head_ids() const { return head.empty() ? 1 : head.size() / id_bytes; }
    size_t stack() const { return datagram[data_header::stack_length] - size_t{1} + head_ids(); }
    size_t sent_bytes() const { return datagram.size() + (head_ids() - 1) * id_bytes; }
  };

  void route(const Work& work);
  void match(const Work& work, const TriggerTable::Match& found);
  // How many of so many copies beyond the first, or further hops, the source may still make.
  unsigned paid(const Work& work, unsigned wanted);
  void copy(const Work& work, const Target& target, Bytes stacks, unsigned copy_budget);
  void send_on(const Work& work);
  void send(const Work& work, uint32_t key_hash);
  void wait(const Work& work);
  void emit(const Work& work, const Endpoint& to, uint8_t flags);
  void no_trigger(const Work& work);
  void astray(const Work& work);
  // Another server has sent it on, and no trigger of ours has changed where it goes.
  static bool is_of_server(const Work& work);
  void cache_request(const Work& work);
  void notify(UpcallKind kind, const Work& work, NoticeLimit& limit);
  std::vector<Waiting> take(Bytes ring_key);
  static void write(const Work& work, MutableBytes out, uint8_t flags);

  LaneContext& lane_;
};

}  // namespace i3
