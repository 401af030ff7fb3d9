#include "udp-rules.h"

namespace i3 {

void UdpRules::arrived(std::span<const UdpInput> inputs) {
  for (const UdpInput& input : inputs) {
    const size_t segment = input.segment_bytes == 0 ? input.bytes.size() : input.segment_bytes;
    if (segment >= input.bytes.size()) {
      add({input.bytes, &input});
    } else if (!pass_train(input)) {
      for (size_t at = 0; at < input.bytes.size(); at += segment) {
        add({input.bytes.subspan(at, std::min(segment, input.bytes.size() - at)), &input});
      }
    }
  }
  finish_window();
}

// A whole train for another host at once, when its datagrams have everything before the second id in common.
bool UdpRules::pass_train(const UdpInput& input) {
  constexpr size_t head_bytes = data_header::bytes_with(1);
  const size_t segment = input.segment_bytes;
  const size_t last_bytes = input.bytes.size() % segment == 0 ? segment : input.bytes.size() % segment;
  const Bytes first = input.bytes.first(segment);
  const size_t segments = (input.bytes.size() + segment - 1) / segment;
  if (!lane_.tables.range.serves() || segments > limits::gso_segments || input.from.port() == 0 || classify(first) != DatagramClass::data) return false;
  const size_t header_bytes = data_header::parse(first);
  if (header_bytes == 0 || last_bytes < header_bytes) return false;
  for (size_t at = segment; at < input.bytes.size(); at += segment) {
    if (!equal(input.bytes.subspan(at, head_bytes), first.first(head_bytes))) return false;
  }
  if (lane_.tables.inbound.find(part(first, data_header::ids, id_bytes), lane_.tables.hasher) != nullptr) return false;
  // What came before leaves before.
  finish_window();
  if (!server_.serve_train(input)) return false;
  lane_.counters.udp_in.add(segments);
  return true;
}

void UdpRules::add(const Datagram& datagram) {
  waiting_[waiting_count_++] = datagram;
  if (waiting_count_ == window) finish_window();
}

void UdpRules::finish_window() {
  std::array<uint32_t, window> hashes{};
  const bool looks_ahead = lane_.tables.range.serves() && waiting_count_ > 1;
  for (size_t i = 0; looks_ahead && i < waiting_count_; i++) {
    const Bytes bytes = waiting_[i].bytes;
    if (bytes.size() < data_header::bytes_with(1) || bytes[0] != data_header::first_byte) continue;
    hashes[i] = lane_.tables.hasher.bytes(part(bytes, data_header::ids, ring_key_bytes));
    lane_.tables.triggers.prefetch_index(hashes[i]);
  }
  for (size_t i = 0; looks_ahead && i < waiting_count_; i++) lane_.tables.triggers.prefetch_group(hashes[i]);
  for (size_t i = 0; i < waiting_count_; i++) one(waiting_[i]);
  waiting_count_ = 0;
}

void UdpRules::one(const Datagram& datagram) {
  lane_.counters.udp_in.add();
  // Port 0 is nobody's: nothing could be answered to it (RFC 768).
  if (datagram.bytes.empty() || datagram.input->from.port() == 0) return lane_.drop(Drop::malformed);
  switch (classify(datagram.bytes)) {
    case DatagramClass::data: return data(datagram);
    case DatagramClass::control: return control(datagram);
    case DatagramClass::esp: return host_.esp_arrived(datagram.bytes, datagram.input->traffic_class);
    case DatagramClass::keep_alive: return;
    case DatagramClass::hip: return hip_.straight(datagram.bytes, datagram.input->from);
    case DatagramClass::version: return lane_.drop(Drop::version);
    case DatagramClass::malformed: return lane_.drop(Drop::malformed);
  }
}

void UdpRules::control(const Datagram& datagram) {
  if (datagram.bytes.size() > limits::control_bytes) return lane_.drop(Drop::malformed);
  const std::lock_guard lock(lane_.shared.mutex);
  if (!lane_.may_go_up(lane_.shared.control_rates, datagram.input->from)) return;
  Upcall upcall;
  upcall.kind = UpcallKind::control;
  upcall.from = datagram.input->from;
  upcall.bytes.assign(datagram.bytes.begin(), datagram.bytes.end());
  lane_.push_upcall(std::move(upcall));
}

void UdpRules::data(const Datagram& datagram) {
  const size_t header_bytes = data_header::parse(datagram.bytes);
  if (header_bytes == 0) return lane_.drop(Drop::malformed);
  const InboundEntry* entry = lane_.tables.inbound.find(part(datagram.bytes, data_header::ids, id_bytes), lane_.tables.hasher);
  if (entry != nullptr) return for_this_host(*entry, datagram, header_bytes);
  if (lane_.tables.range.serves()) return server_.serve(datagram.bytes, datagram.input->from, datagram.input->traffic_class);
  lane_.drop(Drop::unknown_id);
}

void UdpRules::for_this_host(const InboundEntry& entry, const Datagram& datagram, size_t header_bytes) {
  const uint8_t kind = datagram.bytes[data_header::payload_kind];
  const MutableBytes payload = datagram.bytes.subspan(header_bytes);
  const uint8_t traffic_class = datagram.input->traffic_class;
  if (kind > data_header::last_payload_kind) return lane_.drop(Drop::malformed);
  if (kind == data_header::esp) return host_.esp_arrived(payload, traffic_class);
  if (entry.rewrites && kind == data_header::ip_packet) return host_.arrived(*entry.rewrites, entry.flow, payload, traffic_class, ChecksumState::complete);
  if (!entry.rewrites && kind == data_header::hip && hip_.behind_header(payload)) return;
  const std::lock_guard lock(lane_.shared.mutex);
  if (!lane_.may_go_up(lane_.shared.data_rates, datagram.input->from)) return;
  Upcall upcall;
  upcall.kind = UpcallKind::payload;
  upcall.from = datagram.input->from;
  upcall.payload_kind = kind;
  upcall.name_bytes = id_bytes;
  copy_to(upcall.name, 0, entry.id);
  copy_to(upcall.nonce, 0, part(datagram.bytes, data_header::nonce, data_header::nonce_bytes));
  upcall.bytes.assign(payload.begin(), payload.end());
  lane_.push_upcall(std::move(upcall));
}

}  // namespace i3
