// An engine without ports and threads: what comes in and what goes out are values of JavaScript.
#include <algorithm>
#include <cerrno>
#include <vector>

#include "engine-handle.h"
#include "engine-skin.h"
#include "engine-values.h"
#include "engine/lane.h"
#include "system-error.h"

namespace i3io {
namespace {

constexpr uint32_t most_inputs = 65'536;

// Fields are little-endian, as the ports read them.
uint16_t little(i3::Bytes bytes, size_t at) { return static_cast<uint16_t>(bytes[at] | bytes[at + 1] << 8); }

void put_little(std::vector<uint8_t>& bytes, uint16_t value) {
  bytes.push_back(static_cast<uint8_t>(value & 0xff));
  bytes.push_back(static_cast<uint8_t>(value >> 8));
}

// Behind what came; of both kinds.
enum class Queue : uint8_t { unknown, empty, waiting, lost };

struct TunInput {
  i3::VnetHeader vnet;
  // With slack behind.
  std::vector<uint8_t> buffer;
  size_t packet_bytes = 0;
};

struct TrainInput {
  std::vector<uint8_t> bytes;
  size_t segment_bytes = 0;
  Route from;
  uint8_t traffic_class = 0;
};

TunInput take_packet(Check& check, napi_value value) {
  TunInput input;
  const std::span<uint8_t> bytes = check.bytes(value, "tun");
  const bool fits = bytes.size() >= sizeof(i3::VnetHeader) && bytes.size() - sizeof(i3::VnetHeader) <= i3::Lane::tun_packet_bytes;
  if (check.valid() && !fits) check.fail("tun", "expected a header of 10 bytes and at most 65535 more");
  if (!check.valid()) return input;
  input.vnet = {bytes[0], bytes[1], little(bytes, 2), little(bytes, 4), little(bytes, 6), little(bytes, 8)};
  const std::span<uint8_t> packet = bytes.subspan(sizeof(i3::VnetHeader));
  input.packet_bytes = packet.size();
  input.buffer.assign(packet.begin(), packet.end());
  input.buffer.resize(packet.size() + i3::Lane::tun_slack_bytes);
  return input;
}

TrainInput take_train(Check& check, napi_value object) {
  TrainInput input;
  check.object(object, "udp");
  napi_value bytes = check.property(object, "bytes");
  napi_value segment_bytes = check.property(object, "segmentBytes");
  napi_value endpoint = check.property(object, "endpoint");
  napi_value traffic_class = check.property(object, "trafficClass");
  const std::span<uint8_t> view = check.bytes(bytes, "bytes");
  if (check.valid() && view.size() > 65'535) check.fail("bytes", "longer than 65535 bytes");
  input.segment_bytes = static_cast<size_t>(check.integer(segment_bytes, "segmentBytes", 0, 65'535));
  input.from = take_route(check, endpoint, "endpoint");
  input.traffic_class = static_cast<uint8_t>(check.integer(traffic_class, "trafficClass", 0, 255));
  if (!check.valid()) return input;
  input.bytes.assign(view.begin(), view.end());
  // As the socket does it: one datagram is no train.
  if (input.segment_bytes >= input.bytes.size()) input.segment_bytes = 0;
  return input;
}

template <typename Input>
std::vector<Input> take_all(Check& check, napi_value array, const char* name, Input (*take)(Check&, napi_value)) {
  std::vector<Input> inputs;
  const uint32_t count = check.array(array, name, most_inputs);
  for (uint32_t i = 0; i < count && check.valid(); i++) {
    // One scope each: the array may be long.
    napi_handle_scope scope = nullptr;
    if (napi_open_handle_scope(check.env(), &scope) != napi_ok) return {};
    inputs.push_back(take(check, check.element(array, name, i)));
    napi_close_handle_scope(check.env(), scope);
  }
  return inputs;
}

struct Train {
  std::vector<uint8_t> bytes;
  size_t segment_bytes = 0;
  Route to;
  uint8_t traffic_class = 0;
  bool tells = false;
};

// Copies: what it is given is good until the batch has ended.
class Collector final : public i3::Sink {
 public:
  void send(std::span<const i3::UdpMessage> messages) override {
    for (const i3::UdpMessage& message : messages) {
      const size_t segment_bytes = message.segments > 1 ? message.segment_bytes : 0;
      trains.push_back({{message.bytes.begin(), message.bytes.end()}, segment_bytes, {message.to, message.way}, message.traffic_class, message.tells});
    }
  }
  void write(const i3::TunPacket& packet) override {
    const i3::VnetHeader& vnet = packet.vnet;
    std::vector<uint8_t>& bytes = packets.emplace_back();
    bytes.push_back(vnet.flags);
    bytes.push_back(vnet.gso_type);
    for (const uint16_t field : {vnet.header_bytes, vnet.gso_bytes, vnet.checksum_start, vnet.checksum_offset}) put_little(bytes, field);
    for (const iovec& part : packet.parts) {
      const auto* data = static_cast<const uint8_t*>(part.iov_base);
      bytes.insert(bytes.end(), data, data + part.iov_len);
    }
  }

  std::vector<std::vector<uint8_t>> packets;
  std::vector<Train> trains;
};

napi_value make_packet(napi_env env, const std::vector<uint8_t>& packet) { return make_bytes(env, packet); }

napi_value make_train(napi_env env, const Train& train) {
  napi_value object = nullptr;
  napi_create_object(env, &object);
  set_property(env, object, "bytes", make_bytes(env, train.bytes));
  set_property(env, object, "segmentBytes", make_integer(env, static_cast<int64_t>(train.segment_bytes)));
  set_property(env, object, "endpoint", make_route(env, train.to.endpoint, train.to.way));
  set_property(env, object, "trafficClass", make_integer(env, train.traffic_class));
  set_property(env, object, "tells", make_boolean(env, train.tells));
  return object;
}

template <typename Output>
napi_value make_all(napi_env env, const std::vector<Output>& outputs, napi_value (*make)(napi_env, const Output&)) {
  napi_value array = nullptr;
  if (napi_create_array_with_length(env, outputs.size(), &array) != napi_ok) return nullptr;
  uint32_t index = 0;
  for (const Output& output : outputs) {
    napi_handle_scope scope = nullptr;
    if (napi_open_handle_scope(env, &scope) != napi_ok) return nullptr;
    napi_set_element(env, array, index++, make(env, output));
    napi_close_handle_scope(env, scope);
  }
  return array;
}

void run_batch(i3::Lane& lane, double now_ms, std::vector<TunInput>& tun, std::vector<TrainInput>& udp, bool offloads, Queue queue, i3::Sink& sink) {
  std::vector<i3::UdpInput> inputs;
  inputs.reserve(udp.size());
  for (TrainInput& train : udp) inputs.push_back({train.bytes, train.segment_bytes, train.from.endpoint, train.traffic_class, train.from.way});
  const i3::Capabilities capabilities{offloads, offloads, offloads, offloads};
  lane.lock();
  lane.begin(now_ms, sink, capabilities);
  for (TunInput& input : tun) lane.from_tun(input.buffer, input.packet_bytes, input.vnet);
  i3::UdpPlace place;
  while (!lane.from_udp(inputs, place)) {
    lane.end();
    lane.begin(now_ms, sink, capabilities);
  }
  if (queue != Queue::unknown) {
    lane.saw_tun(queue != Queue::empty);
    lane.saw_udp(queue != Queue::empty);
  }
  if (queue == Queue::lost) lane.saw_loss();
  lane.end();
  lane.unlock();
}

}  // namespace

napi_value step_engine(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  const double now_ms = check.number(arguments[1], "nowMs");
  const bool offloads = check.boolean(arguments[4], "offloads");
  const auto queue = static_cast<Queue>(check.integer(arguments[5], "queue", 0, 3));
  std::vector<TunInput> tun = take_all(check, arguments[2], "tun", take_packet);
  std::vector<TrainInput> udp = take_all(check, arguments[3], "udp", take_train);
  EngineInstance* instance = take_engine(check, arguments[0]);
  if (instance == nullptr) return nullptr;
  if (instance->has_ports()) return throw_system(env, EBUSY, "stepEngine", "(the engine has ports)");
  Collector collector;
  i3::Engine& engine = instance->engine();
  run_batch(engine.lane(0), now_ms, tun, udp, offloads, queue, collector);
  std::vector<i3::Upcall> upcalls;
  engine.take_upcalls(upcalls);
  napi_value result = nullptr;
  napi_create_object(env, &result);
  set_property(env, result, "tun", make_all(env, collector.packets, make_packet));
  set_property(env, result, "udp", make_all(env, collector.trains, make_train));
  set_property(env, result, "upcalls", make_upcalls(env, upcalls));
  return result;
}

napi_value engine_send_failed(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  const Route route = take_route(check, arguments[1], "route");
  const auto reason = static_cast<i3::SendFailure>(check.integer(arguments[2], "reason", 0, 1));
  EngineInstance* instance = take_engine(check, arguments[0]);
  if (instance == nullptr) return nullptr;
  if (instance->has_ports()) return throw_system(env, EBUSY, "engineSendFailed", "(the engine has ports)");
  i3::Lane& lane = instance->engine().lane(0);
  lane.lock();
  lane.send_failed(route.endpoint, route.way, reason);
  lane.unlock();
  return nullptr;
}

}  // namespace i3io
