#include "batch-check.h"

#include <memory>

#include "checking-sink.h"
#include "inner-maker.h"
#include "limits.h"
#include "refresh-rules.h"
#include "specs.h"

namespace i3::test {
namespace {

constexpr std::array<uint8_t, 16> seed{2, 7, 1, 8, 2, 8, 1, 8, 2, 8, 4, 5, 9, 0, 4, 5};

}  // namespace

// A train of 64 for a group of 100 targets, through the batches that it takes: each puts out enough, and little more.
void batches_end() {
  constexpr unsigned group = 100;
  const auto engine = std::make_unique<Engine>(seed, 1);
  engine->set_responsibility_all();
  const auto id = make_id(1, 0);
  std::vector<uint8_t> triggers;
  for (uint8_t n = 0; n < group; n++) {
    append(triggers, id);
    triggers.push_back(0);
    append(triggers, endpoint(n).bytes);
  }
  CHECK(engine->set_triggers(Bytes(id).first(16), triggers) == Status::ok);
  const std::vector<uint8_t> one = data_header_to(id, 0);
  std::vector<uint8_t> train;
  for (uint8_t n = 0; n < 64; n++) {
    append(train, one);
    train[train.size() - one.size() + 8] = n;
  }
  const Exact bytes{Bytes(train)};
  const UdpInput input{bytes.view(), one.size(), endpoint(200), 0};
  CheckingSink sink;
  sink.kept = 64 * group;
  UdpPlace place;
  bool is_done = false;
  for (size_t before = 0; !is_done; before = sink.datagrams.size()) {
    Lane& lane = engine->lane(0);
    lane.lock();
    lane.begin(1, sink, sink.capabilities);
    is_done = lane.from_udp(std::span(&input, 1), place);
    lane.end();
    lane.unlock();
    const size_t made = sink.datagrams.size() - before;
    CHECK(made < limits::batch_output + group && (is_done || made >= limits::batch_output));
  }
  CHECK(sink.datagrams.size() == 64 * group);
  for (size_t i = 0; i < sink.datagrams.size(); i++) CHECK(sink.datagrams[i].bytes[8] == i / group);
}

// Trains of ten sources for a group of which each member leads in a circle of two ids: nothing is put out, and yet each batch ends after about as much work.
void silent_batches_end() {
  constexpr unsigned group = 112, sources = 10, packets = 6, most_hops = limits::hop_limit - 1;
  const auto engine = std::make_unique<Engine>(seed, 1);
  engine->set_responsibility_all();
  std::vector<uint8_t> at_group, at_first, at_second;
  const auto lead = [](std::vector<uint8_t>& triggers, const std::vector<uint8_t>& from, const std::vector<uint8_t>& to) {
    append(triggers, from);
    append(triggers, std::vector<uint8_t>{1, 1});
    append(triggers, to);
  };
  for (uint8_t n = 0; n < group; n++) {
    lead(at_group, make_id(1, 0), make_id(2, n));
    lead(at_first, make_id(2, n), make_id(3, n));
    lead(at_second, make_id(3, n), make_id(2, n));
  }
  CHECK(engine->set_triggers(Bytes(make_id(1)).first(16), at_group) == Status::ok && engine->set_triggers(Bytes(make_id(2)).first(16), at_first) == Status::ok &&
        engine->set_triggers(Bytes(make_id(3)).first(16), at_second) == Status::ok);
  const std::vector<uint8_t> one = data_header_to(make_id(1, 0), 0);
  std::vector<uint8_t> train;
  for (unsigned n = 0; n < packets; n++) append(train, one);
  const Exact bytes{Bytes(train)};
  std::vector<UdpInput> inputs;
  for (uint8_t n = 0; n < sources; n++) inputs.push_back({bytes.view(), one.size(), endpoint(n), 0});
  CheckingSink sink;
  Lane& lane = engine->lane(0);
  UdpPlace place;
  bool is_done = false;
  unsigned batches = 0;
  for (uint64_t before = 0; !is_done; before = lane.context().hops, batches++) {
    lane.lock();
    lane.begin(1, sink, sink.capabilities);
    is_done = lane.from_udp(inputs, place);
    lane.end();
    lane.unlock();
    const uint64_t made = lane.context().hops - before;
    CHECK(made <= limits::batch_output * limits::hops_per_output + group * most_hops);
  }
  constexpr uint64_t all = uint64_t{sources} * packets * group * most_hops;
  CHECK(lane.context().hops == all && batches >= all / (limits::batch_output * limits::hops_per_output + group * most_hops));
  CHECK(sink.datagrams.empty() && lane.counters().drops[static_cast<size_t>(Drop::hop_limit)].read() == sources * packets * group);
}

// Who is told may take the processor: packets of the batch have left by then, and the gate is open.
void upcalls_follow_packets() {
  Engine engine(seed, 1);
  CHECK(engine.set_inbound_tun(make_id(1), address4(1), {pairs(4, 1, 1, own), {}}) == Status::ok);
  CheckingSink sink;
  size_t told = 0;
  engine.on_upcalls([&] {
    told++;
    CHECK(sink.packets.size() == told);
    // Closes the gates.
    engine.set_responsibility_all();
  });
  std::vector<uint8_t> inner(60);
  mend(inner, Mend(16), 1, own, 17);
  const std::vector<uint8_t> control{0x19, 1}, data = joined({data_header_to(make_id(1), 1), inner});
  Lane& lane = engine.lane(0);
  for (size_t round = 1; round <= 3; round++) {
    const Exact first{Bytes(control)}, second{Bytes(data)};
    const std::array inputs{UdpInput{first.view(), 0, endpoint(1), 0}, UdpInput{second.view(), 0, endpoint(1), 0}};
    UdpPlace place;
    lane.lock();
    lane.begin(1, sink, sink.capabilities);
    CHECK(lane.from_udp(inputs, place) && told == round - 1);
    lane.end();
    CHECK(sink.packets.size() == round && told == round - 1);
    lane.unlock();
    CHECK(told == round);
  }
  std::vector<Upcall> upcalls;
  while (engine.take_upcalls(upcalls) > 0) {}
  CHECK(upcalls.size() == 3);
  // Packets that wait for the control plane, which makes them go up itself.
  FlowSpec spec;
  spec.action = FlowAction::setup;
  CHECK(engine.set_flow(address4(1), spec) == Status::ok);
  sink.packets.resize(4);
  std::vector<uint8_t> outward(60);
  mend(outward, Mend(16), own, 1, 17);
  engine.submit(outward);
  CHECK(told == 4);
}

// Each looks at one of the same lease, and hashes without the mutex: who comes second takes none.
void one_lane_takes_a_refresh() {
  Engine engine(seed, 2);
  const auto last = refresh_token(3);
  CHECK(engine.set_lease(make_id(1), {endpoint(1), last, 3, 60'000, false}) == Status::ok && engine.set_refresh_answers(0, {}, {}, {}, 30'000) == Status::ok);
  const auto fifth = make_refresh(make_id(1), 5, refresh_token(5)), sixth = make_refresh(make_id(1), 6, refresh_token(6)), wrong = make_refresh(make_id(1), 6, refresh_token(7));
  RefreshRules first(engine.lane(0).context()), second(engine.lane(1).context());
  const auto slow = first.claimed(fifth, endpoint(1)), fast = second.claimed(sixth, endpoint(1)), forged = second.claimed(wrong, endpoint(1));
  CHECK(slow && fast && forged);
  CHECK(RefreshRules::is_proven(*slow) && RefreshRules::is_proven(*fast) && !RefreshRules::is_proven(*forged));
  CHECK(second.take(*fast) && !first.take(*slow) && !second.take(*fast));
  CHECK(!first.claimed(fifth, endpoint(1)) && !first.claimed(sixth, endpoint(1)));
  std::vector<Refreshed> told;
  engine.take_refreshed(told);
  CHECK(told.size() == 1 && told[0].index == 6 && told[0].times == 1);
}

}  // namespace i3::test
