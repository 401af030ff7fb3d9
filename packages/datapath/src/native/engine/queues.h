// Packets that wait for the control plane: first in first out, when a queue is full the newest is dropped.
#pragma once

#include <utility>
#include <vector>

#include "checksum-state.h"
#include "limits.h"
#include "packets.h"

namespace i3 {

// A packet of its own, with what is needed to look at it again.
struct Waiting {
  // The packet and, behind it, Lane::tun_slack_bytes.
  std::vector<uint8_t> buffer;
  size_t length = 0;
  ChecksumState checksum = ChecksumState::complete;
  // Datagrams at a server: where it came from, its class, and whether this server has put another stack into it.
  Endpoint from;
  uint8_t traffic_class = 0;
  bool replaced = false;

  Bytes bytes() const { return Bytes(buffer).first(length); }
};

// Bytes that all queues of an engine hold together.
class QueueBudget {
 public:
  bool take(size_t bytes) {
    if (bytes_ + bytes > limits::queued_bytes) return false;
    bytes_ += bytes;
    return true;
  }
  void give(size_t bytes) { bytes_ -= bytes; }

 private:
  size_t bytes_ = 0;
};

class WaitingQueue {
 public:
  // Room for a packet of that length was taken.
  bool has_room(size_t length, size_t limit, QueueBudget& budget) const { return packets_.size() < limit && budget.take(length); }
  void push(Waiting packet) { packets_.push_back(std::move(packet)); }
  std::vector<Waiting> take_all(QueueBudget& budget) {
    for (const Waiting& packet : packets_) budget.give(packet.length);
    return std::exchange(packets_, {});
  }

 private:
  std::vector<Waiting> packets_;
};

}  // namespace i3
