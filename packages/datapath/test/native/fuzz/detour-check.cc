#include "detour-check.h"

#include "inner-maker.h"
#include "lane.h"
#include "limits.h"
#include "specs.h"

namespace i3::test {
namespace {

constexpr std::array<uint8_t, 16> seed{1, 4, 1, 4, 2, 1, 3, 5, 6, 2, 3, 7, 3, 0, 9, 5};

std::vector<uint8_t> packet_to(uint8_t to, size_t payload, uint8_t from = own) {
  std::vector<uint8_t> made(40 + payload);
  mend(made, Mend(16), from, to, 6);
  return made;
}

template <typename Act>
void batch(Engine& engine, size_t index, CheckingSink& sink, Act act) {
  Lane& lane = engine.lane(index);
  lane.lock();
  lane.begin(1, sink, sink.capabilities);
  act(lane);
  lane.end();
  lane.unlock();
}

void from_tun(Lane& lane, Bytes packet) {
  const Exact buffer(packet.size() + Lane::tun_slack_bytes);
  copy_to(buffer.view(), 0, packet);
  lane.from_tun(buffer.view(), packet.size(), {});
}

}  // namespace

// What goes up, what does not, and how much: nothing by the main port but what is straight, as whole as it was to be.
void detours() {
  Engine engine(seed, 2);
  engine.set_default_server(endpoint(2));
  CHECK(engine.set_inbound_tun(make_id(1), address4(1), {pairs(4, 1, 1, own), {}}) == Status::ok);
  FlowSpec spec;
  const auto source = address4(own), header = data_header_to(make_id(1), 1);
  spec.action = FlowAction::tunnel;
  spec.header = header;
  spec.source = source;
  CHECK(engine.set_flow(address4(1), spec) == Status::ok);
  CheckingSink sink;
  sink.only_to = endpoint(9);
  std::vector<Upcall> upcalls;
  const auto take = [&] {
    upcalls.clear();
    while (engine.take_upcalls(upcalls) > 0) {}
  };
  // Held from before it is on.
  engine.send(endpoint(3), source);
  engine.set_detour(true);
  std::vector<std::vector<uint8_t>> packets;
  for (const size_t payload : {size_t{0}, size_t{1}, size_t{1'400}}) packets.push_back(packet_to(1, payload));
  batch(engine, 1, sink, [&](Lane& lane) {
    for (const auto& packet : packets) from_tun(lane, packet);
  });
  take();
  CHECK(sink.datagrams.empty() && upcalls.size() == 4 && upcalls[0].from == endpoint(3) && engine.totals().udp_out == 0);
  for (size_t i = 0; i < packets.size(); i++) CHECK(upcalls[i + 1].bytes == joined({header, packets[i]}) && upcalls[i + 1].from == endpoint(2));
  // Back by the same way.
  std::vector<Engine::Outgoing> arrived;
  for (const auto& packet : packets) arrived.push_back({endpoint(2), Way(), packet});
  const auto back = joined({data_header_to(make_id(1), 1), packet_to(own, 100, 1)});
  arrived.push_back({endpoint(2), Way(), back});
  engine.take_detoured(arrived);
  batch(engine, 0, sink, [](Lane&) {});
  CHECK(sink.packets.size() == 1 && engine.totals().udp_in == 4);
  Way way;
  way.via = Via::straight;
  way.is_whole = true;
  engine.send(endpoint(9), source, way);
  way.via = Via::hip;
  engine.send(endpoint(4), source, way);
  batch(engine, 0, sink, [](Lane&) {});
  CHECK(sink.datagrams.size() == 2 && sink.datagrams[0].way.is_whole && sink.datagrams[0].way.via == Via::udp && sink.datagrams[1].way.via == Via::hip);
  // Bounds, both ways, and memory goes back.
  const auto dropped = [&](Drop reason) { return engine.totals().drops[static_cast<size_t>(reason)]; };
  const auto large = std::vector<uint8_t>(65'000, 7);
  for (size_t i = 0; i < limits::waiting_upcalls + 10; i++) engine.send(endpoint(3), source);
  batch(engine, 0, sink, [](Lane&) {});
  CHECK(dropped(Drop::detour) == 10);
  take();
  CHECK(upcalls.size() == limits::waiting_upcalls);
  for (size_t i = 0; i < limits::held_bytes / large.size() + 3; i++) engine.take_detoured(std::array<Engine::Outgoing, 1>{{{endpoint(2), Way(), large}}});
  CHECK(dropped(Drop::queue_full) == 3);
  batch(engine, 1, sink, [](Lane&) {});
  const auto longest = std::vector<uint8_t>(limits::datagram_bytes + 1, 7);
  engine.take_detoured(std::array<Engine::Outgoing, 1>{{{endpoint(2), Way(), longest}}});
  CHECK(dropped(Drop::too_big) == 1);
  engine.set_detour(false);
  sink.only_to.reset();
  sink.datagrams.clear();
  batch(engine, 0, sink, [&](Lane& lane) { from_tun(lane, packets[0]); });
  take();
  CHECK(sink.datagrams.size() == 1 && upcalls.empty());
}

}  // namespace i3::test
