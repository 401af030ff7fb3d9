#include "udp-rules.h"

#include <utility>

namespace i3 {

bool UdpRules::arrived(std::span<const UdpInput> inputs, UdpPlace& place) {
  const auto stop = [&] {
    place = {static_cast<size_t>(stopped_.input - inputs.data()), static_cast<size_t>(stopped_.bytes.data() - stopped_.input->bytes.data())};
    return false;
  };
  for (; place.input < inputs.size(); place = {place.input + 1, 0}) {
    const UdpInput& input = inputs[place.input];
    const size_t bytes = input.bytes.size();
    const size_t segment = input.segment_bytes == 0 ? bytes : std::min(input.segment_bytes, bytes);
    if (segment < bytes && place.at == 0 && may_pass(input)) {
      // What came before leaves before.
      if (!finish_window()) return stop();
      if (has_put_out_enough()) return false;
      if (server_.serve_train(input)) continue;
    }
    size_t at = place.at;
    do {
      if (!add({input.bytes.subspan(at, std::min(segment, bytes - at)), &input})) return stop();
      at += segment;
    } while (at < bytes);
  }
  return finish_window() || stop();
}

// A whole train for another host goes at once, when its datagrams have everything before the second id in common.
bool UdpRules::may_pass(const UdpInput& input) const {
  constexpr size_t head_bytes = data_header::bytes_with(1);
  const size_t segment = input.segment_bytes;
  const size_t last_bytes = input.bytes.size() % segment == 0 ? segment : input.bytes.size() % segment;
  const Bytes first = input.bytes.first(segment);
  const size_t segments = (input.bytes.size() + segment - 1) / segment;
  if (lane_.shared.has_detour || !lane_.tables.range.serves() || input.way.via != Via::udp || segments > limits::gso_segments || input.from.port() == 0 || classify(first) != DatagramClass::data) return false;
  const size_t header_bytes = data_header::parse(first);
  if (header_bytes == 0 || last_bytes < header_bytes) return false;
  for (size_t at = segment; at < input.bytes.size(); at += segment) {
    if (!equal(input.bytes.subspan(at, head_bytes), first.first(head_bytes))) return false;
  }
  return lane_.tables.inbound.find(part(first, data_header::ids, id_bytes), lane_.tables.hasher) == nullptr;
}

bool UdpRules::add(const Datagram& datagram) {
  waiting_[waiting_count_++] = datagram;
  return waiting_count_ < window || finish_window();
}

bool UdpRules::finish_window() {
  const size_t count = std::exchange(waiting_count_, 0);
  std::array<uint32_t, window> hashes{};
  const bool looks_ahead = lane_.tables.range.serves() && count > 1;
  for (size_t i = 0; looks_ahead && i < count; i++) {
    const Bytes bytes = waiting_[i].bytes;
    if (bytes.size() < data_header::bytes_with(1) || bytes[0] != data_header::first_byte) continue;
    hashes[i] = lane_.tables.hasher.bytes(part(bytes, data_header::ids, ring_key_bytes));
    lane_.tables.triggers.prefetch_index(hashes[i]);
  }
  for (size_t i = 0; looks_ahead && i < count; i++) lane_.tables.triggers.prefetch_group(hashes[i]);
  for (size_t i = 0; i < count; i++) {
    stopped_ = waiting_[i];
    if (has_put_out_enough()) return false;
    one(waiting_[i]);
  }
  return true;
}

void UdpRules::one(const Datagram& datagram) {
  lane_.counters.udp_in.add();
  // Port 0 is nobody's: nothing could be answered to it (RFC 768).
  if (datagram.bytes.empty() || datagram.input->from.port() == 0) return lane_.drop(Drop::malformed);
  const Via via = datagram.input->way.via;
  if (via == Via::ip) return from_ip(datagram);
  const DatagramClass kind = classify(datagram.bytes);
  // i3 is spoken on the main port alone.
  const bool is_i3 = kind == DatagramClass::data || kind == DatagramClass::control || kind == DatagramClass::version;
  if (via == Via::hip && is_i3) return lane_.drop(Drop::malformed);
  switch (kind) {
    case DatagramClass::data: return data(datagram);
    case DatagramClass::control: return control(datagram);
    case DatagramClass::esp: return host_.esp_arrived(datagram.bytes, datagram.input->traffic_class, datagram.input);
    case DatagramClass::keep_alive: return;
    case DatagramClass::hip: return hip_.straight(datagram.bytes, datagram.input->from, datagram.input->way);
    case DatagramClass::version: return lane_.drop(Drop::version);
    case DatagramClass::malformed: return lane_.drop(Drop::malformed);
  }
}

// What stood in IP itself: the protocol is in the place of the port.
void UdpRules::from_ip(const Datagram& datagram) {
  const UdpInput& input = *datagram.input;
  if (input.from.port() == ip_protocol_esp) return host_.esp_arrived(datagram.bytes, input.traffic_class, &input);
  if (input.from.port() == ip_protocol_hip) return hip_.straight(datagram.bytes, input.from, input.way);
  lane_.drop(Drop::malformed);
}

void UdpRules::control(const Datagram& datagram) {
  if (datagram.bytes.size() > (is_check(datagram.bytes) ? limits::check_bytes : limits::control_bytes)) return lane_.drop(Drop::malformed);
  const Endpoint& from = datagram.input->from;
  const Upward what = is_between_servers(datagram.bytes) ? Upward::ring : Upward::control;
  const std::optional<challenge::Request> asked = challenge_.asked(datagram.bytes, from);
  std::optional<RefreshRules::Claim> claim;
  bool is_challenge = false;
  {
    const std::lock_guard lock(lane_.shared.mutex);
    const auto take = [&] {
      is_challenge = asked.has_value();
      if (!is_challenge) claim = refresh_.claimed(datagram.bytes, from);
      return is_challenge || claim;
    };
    if (lane_.may_go_up(what, from, take)) control_up(datagram);
  }
  // What has only to be computed does not keep others waiting.
  if (is_challenge) challenge_.answer(*asked, from);
  if (!claim) return;
  const bool is_proven = RefreshRules::is_proven(*claim);
  {
    const std::lock_guard lock(lane_.shared.mutex);
    if (!is_proven || !refresh_.take(*claim)) {
      if (lane_.has_room(what, from)) control_up(datagram);
      return;
    }
  }
  refresh_.send(*claim, from);
}

void UdpRules::control_up(const Datagram& datagram) {
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
  if (kind == data_header::esp) return host_.esp_arrived(payload, traffic_class, nullptr);
  if (entry.rewrites && kind == data_header::ip_packet) return host_.arrived({*entry.rewrites, entry.flow, entry.strength}, payload, traffic_class, ChecksumState::complete);
  if (!entry.rewrites && kind == data_header::hip && hip_.behind_header(part(datagram.bytes, data_header::ids, id_bytes), payload)) return;
  const std::lock_guard lock(lane_.shared.mutex);
  if (!lane_.may_go_up(Upward::data, datagram.input->from)) return;
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
