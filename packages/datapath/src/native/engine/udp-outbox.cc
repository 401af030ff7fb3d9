#include "udp-outbox.h"

namespace i3 {

UdpOutbox::UdpOutbox(Shared& shared, LaneCounters& counters) : shared_(shared), counters_(counters), arena_(arena_bytes) { messages_.reserve(max_messages); }

Way UdpOutbox::leaving_by(const Way& named) const {
  Way way = named;
  if (uplink_ != 0 && way.via == Via::udp && !way.has_place()) way.interface_index = uplink_;
  return way;
}

UdpOutbox::Room UdpOutbox::reserve(const Endpoint& to, uint8_t traffic_class, size_t length, const Way& named, bool tells) {
  if (length > limits::datagram_bytes) return {Drop::too_big, {}};
  if (sink_ == nullptr) return reserve_held(to, traffic_class, length, named, tells);
  settle_detour();
  // Who names a place of ours means UDP.
  if (named.via == Via::udp && !named.has_place() && shared_.has_detour) [[unlikely]] return divert(to, length);
  Way way = named;
  if (way.via == Via::straight) way.via = Via::udp;
  return reserve_now(to, traffic_class, length, leaving_by(way), tells);
}

UdpOutbox::Room UdpOutbox::divert(const Endpoint& to, size_t length) {
  {
    const std::lock_guard lock(shared_.mutex);
    if (shared_.upcalls_full()) return {Drop::detour, {}};
  }
  Upcall& upcall = detoured_.emplace();
  upcall.kind = UpcallKind::detour;
  upcall.from = to;
  upcall.bytes.resize(length);
  return {Drop::none, upcall.bytes};
}

void UdpOutbox::hand_up() {
  if (detoured_) shared_.push_upcall(*std::exchange(detoured_, std::nullopt));
}

void UdpOutbox::settle_detour() {
  if (!detoured_) return;
  const std::lock_guard lock(shared_.mutex);
  hand_up();
}

UdpOutbox::Room UdpOutbox::reserve_now(const Endpoint& to, uint8_t traffic_class, size_t length, const Way& way, bool tells) {
  if (used_ + length > arena_.size()) flush();
  const MutableBytes bytes = MutableBytes(arena_).subspan(used_, length);
  if (can_join(to, traffic_class, length, way, tells)) {
    UdpMessage& last = messages_.back();
    last.bytes = Bytes(last.bytes.data(), last.bytes.size() + length);
    last.segments++;
    is_open_ = length == last.segment_bytes;
  } else {
    if (messages_.size() == max_messages) {
      flush();
      return reserve_now(to, traffic_class, length, way, tells);
    }
    messages_.push_back({bytes, length, 1, to, traffic_class, way, tells});
    is_open_ = length > 0;
  }
  used_ += length;
  last_length_ = length;
  counters_.udp_out.add();
  return {Drop::none, bytes};
}

bool UdpOutbox::can_join(const Endpoint& to, uint8_t traffic_class, size_t length, const Way& way, bool tells) const {
  if (!is_open_ || length == 0) return false;
  const UdpMessage& last = messages_.back();
  return length <= last.segment_bytes && last.segments < limits::gso_segments && last.bytes.size() + length <= limits::gso_bytes && last.to == to &&
         last.traffic_class == traffic_class && last.way == way && last.tells == tells;
}

void UdpOutbox::retract() {
  if (sink_ == nullptr) {
    const std::lock_guard lock(shared_.mutex);
    shared_.datagrams.retract();
    return;
  }
  if (detoured_) return detoured_.reset();
  UdpMessage& last = messages_.back();
  used_ -= last_length_;
  if (last.segments == 1) {
    messages_.pop_back();
  } else {
    last.segments--;
    last.bytes = last.bytes.first(last.bytes.size() - last_length_);
  }
  is_open_ = false;
  counters_.udp_out.add(UINT64_MAX);  // minus one
}

UdpOutbox::Room UdpOutbox::reserve_held(const Endpoint& to, uint8_t traffic_class, size_t length, const Way& way, bool tells) {
  const std::lock_guard lock(shared_.mutex);
  HeldDatagram* held = shared_.datagrams.add(length);
  if (held == nullptr) return {Drop::queue_full, {}};
  held->to = to;
  held->traffic_class = traffic_class;
  held->way = way;
  held->tells = tells;
  shared_.output_waits.store(true, std::memory_order_release);
  return {Drop::none, held->bytes};
}

void UdpOutbox::pass(const UdpMessage& train) {
  if (messages_.size() == max_messages) flush();
  messages_.push_back(train);
  messages_.back().way = leaving_by(train.way);
  is_open_ = false;
  counters_.udp_out.add(train.segments);
}

void UdpOutbox::flush() {
  settle_detour();
  if (sink_ != nullptr && !messages_.empty()) sink_->send(messages_);
  messages_.clear();
  used_ = 0;
  is_open_ = false;
}

}  // namespace i3
