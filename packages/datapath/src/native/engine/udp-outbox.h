// Datagrams on their way out. Neighbours of equal length to one endpoint become one train (UDP_SEGMENT). During a batch they go to
// the sink when the batch ends or the memory is full; otherwise they are held for the next batch. While there is a detour those for the main port become upcalls.
#pragma once

#include "shared.h"

namespace i3 {

class UdpOutbox {
 public:
  UdpOutbox(Shared& shared, LaneCounters& counters);

  // From now on until detach() datagrams go to the sink.
  void attach(Sink& sink) { sink_ = &sink; }
  void detach() {
    flush();
    sink_ = nullptr;
  }

  // interface Datapath in src/datapath.ts, setUplink.
  void set_uplink(uint32_t interface_index) { uplink_ = interface_index; }

  struct Room {
    Drop refused = Drop::none;
    MutableBytes bytes;
  };
  // Room for a datagram of exactly `length` bytes, which the caller then writes whole; it counts as sent.
  Room reserve(const Endpoint& to, uint8_t traffic_class, size_t length, const Way& way = Way(), bool tells = false);
  // Undoes the last reserve.
  void retract();
  // A whole train whose bytes stay where they are until the batch has ended. Only while attached.
  void pass(const UdpMessage& train);
  void flush();
  // A datagram that takes the detour becomes an upcall. Called before any other upcall of this lane, so that all are in order. The shared mutex is held.
  void hand_up();

 private:
  static constexpr size_t arena_bytes = 512 * 1024;
  static constexpr size_t max_messages = 128;

  Room reserve_now(const Endpoint& to, uint8_t traffic_class, size_t length, const Way& way, bool tells);
  Room divert(const Endpoint& to, size_t length);
  void settle_detour();
  Way leaving_by(const Way& named) const;
  Room reserve_held(const Endpoint& to, uint8_t traffic_class, size_t length, const Way& way, bool tells);
  bool can_join(const Endpoint& to, uint8_t traffic_class, size_t length, const Way& way, bool tells) const;

  Shared& shared_;
  LaneCounters& counters_;
  Sink* sink_ = nullptr;
  std::vector<uint8_t> arena_;
  size_t used_ = 0;
  std::vector<UdpMessage> messages_;
  // The last datagram, while the caller writes it.
  std::optional<Upcall> detoured_;
  // The last message may grow: it lies at the end of the arena and has no short segment.
  bool is_open_ = false;
  size_t last_length_ = 0;
  uint32_t uplink_ = 0;
};

}  // namespace i3
