// The library under the thread sanitizer: two lanes in threads of their own, while the control plane changes all that they use.
//
//     engine-threads SECONDS SEED
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "inner-maker.h"
#include "lane.h"
#include "specs.h"

namespace i3::test {
namespace {

constexpr std::array<uint8_t, 16> seed{};
using Random = std::mt19937_64;

std::atomic<bool> is_over{false};
std::atomic<uint64_t> batches{0};

// What one lane sends the other takes; only the mutex is between them.
struct Wire {
  std::mutex mutex;
  std::vector<std::vector<uint8_t>> datagrams;
};

FlowSpec flow_to(unsigned version, Random& random, std::vector<uint8_t>& header, std::vector<uint8_t>& source) {
  FlowSpec spec;
  spec.action = static_cast<FlowAction>(random() % 4);
  if (spec.action == FlowAction::setup || spec.action == FlowAction::refuse) return spec;
  source = address_of(version, own);
  spec.source = source;
  spec.association = 1 + static_cast<uint32_t>(random() % 3);
  if (random() % 2 == 0) spec.mtu = version == 4 ? 576 : 1'100;
  if (spec.action == FlowAction::esp && random() % 2 == 0) {
    spec.locator = endpoint(1);
    if (random() % 2 == 0) spec.credit_bytes = 1 + random() % 5'000, spec.credit_account = static_cast<uint32_t>(random() % 2);
    if (spec.credit_bytes % 2 == 0) return spec;
  }
  header = data_header_to(make_id(static_cast<uint8_t>(random() % 4), 0), spec.action == FlowAction::esp ? 4 : 1, static_cast<uint8_t>(random() % 2));
  spec.header = header;
  return spec;
}

void set_association(Engine& engine, uint32_t n, bool outbound, Random& random) {
  const KeyBytes keys(static_cast<uint8_t>(n));
  const TransformSpec transform = keys.spec(kind_of(n), key_bytes_of(n));
  if (outbound) {
    OutboundSpec out;
    out.transform = transform;
    out.spi = first_spi + n;
    out.beet = random() % 2 == 0 ? 4 : 0;
    out.checksum_state = random() % 2 == 0;
    CHECK(engine.set_outbound_association(n, out) == Status::ok);
    return;
  }
  InboundSpec in;
  const auto flow = address4(1), pairs4 = pairs(4, own, 1, own), pairs6 = pairs(6, own, 1, own);
  in.transform = transform;
  in.beet = random() % 2 == 0 ? 4 : 0;
  in.flow = flow;
  in.rewrites = {pairs4, pairs6};
  in.watches = random() % 2 == 0;
  if (in.watches && random() % 2 == 0) in.watch_from = endpoint(1);
  CHECK(engine.set_inbound_association(first_spi + n, in) == Status::ok);
}

// Most often the strongest.
uint8_t weighted(Random& random) { return static_cast<uint8_t>(std::min<uint64_t>(random() % 5, 2)); }
// TCP ports up to 0x7fff 0, other TCP 1.
const std::vector<uint8_t> packed_services{6, 0, 1, 0, 0, 0x7f, 0xff, 6, 1, 0};

void change(Engine& engine, Random& random) {
  const unsigned version = random() % 2 == 0 ? 4 : 6;
  const auto address = address_of(version, static_cast<uint8_t>(random() % 8));
  const auto key = static_cast<uint8_t>(random() % 4);
  const uint32_t n = 1 + static_cast<uint32_t>(random() % 3);
  std::vector<uint8_t> header, source;
  switch (random() % 28) {
    case 0: case 1: engine.set_flow(address, flow_to(version, random, header, source), weighted(random)); break;
    case 2: random() % 2 == 0 ? engine.remove_flow(address) : engine.remove_flow(address, weighted(random)); break;
    case 16: case 17: engine.set_services(address, packed_services, static_cast<uint8_t>(random() % 4)); break;
    case 18: engine.remove_services(address); break;
    case 24: engine.set_forwarding(address, random() % 4 != 0, address_of(10 - version, address.back())); break;
    case 27: {
      const auto flow = address_of(version, static_cast<uint8_t>(random() % 4));
      random() % 4 == 0 ? engine.remove_translation(flow, address) : engine.set_translation(flow, address, address_of(10 - version, random() % 2 == 0 ? own : static_cast<uint8_t>(random() % 8)));
      break;
    }
    case 25: {
      const auto bits = static_cast<uint8_t>(random() % 2 == 0 ? 0 : address.size() * 8);
      engine.set_behind(bits == 0 ? std::vector<uint8_t>(address.size()) : address, bits, address_of(version, 1));
      (void)engine.behind_last_use_ms(address);
      break;
    }
    case 26: engine.remove_behind(address, static_cast<uint8_t>(address.size() * 8)); break;
    case 3: set_association(engine, n, true, random); break;
    case 4: set_association(engine, n, false, random); break;
    case 5: random() % 4 == 0 ? engine.remove_outbound_association(n) : engine.remove_inbound_association(first_spi + n); break;
    case 6: engine.set_inbound_upcall(make_id(key)); break;
    case 7: engine.set_inbound_tun(make_id(key), address, {pairs(4, own, 1, own), pairs(6, own, 1, own)}, static_cast<uint8_t>(random() % 3)); break;
    case 8: engine.remove_inbound(make_id(key)); break;
    case 9: engine.set_triggers(ring_key(key), random() % 2 == 0 ? std::vector<uint8_t>() : joined({make_id(key), std::vector<uint8_t>{0}, endpoint(1).bytes})); break;
    case 10: random() % 2 == 0 ? engine.set_responsibility_all() : random() % 2 == 0 ? engine.set_responsibility_none() : engine.set_responsibility_range(ring_key(1), ring_key(2)); break;
    case 11: engine.set_next_server(ring_key(key), random() % 2 == 0 ? std::nullopt : std::optional(endpoint(2))); break;
    case 12: random() % 2 == 0 ? engine.release(address) : engine.discard(address, true); break;
    case 13:
      engine.set_default_server(random() % 2 == 0 ? std::nullopt : std::optional(endpoint(3)));
      engine.set_uplink(random() % 2);
      random() % 2 == 0 ? engine.set_pass_on(std::nullopt, std::nullopt) : engine.set_pass_on(endpoint(2), endpoint(1));
      break;
    case 14: engine.discard_route(ring_key(key)); break;
    case 15: engine.send(endpoint(4), make_id(key), {random() % 2 == 0 ? Via::udp : Via::straight}); break;
    case 23: engine.set_detour(random() % 4 == 0); break;
    case 19: random() % 4 == 0 ? engine.remove_lease(make_id(key)) : engine.set_lease(make_id(key), {endpoint(1), refresh_token(0), 0, 1e9, random() % 2 == 0}); break;
    case 20: random() % 8 == 0 ? engine.remove_refresh_answers() : (void)engine.set_refresh_answers(0, {}, {}, {}, 30'000); break;
    case 22: random() % 4 == 0 ? engine.remove_challenge_answers() : (void)engine.set_challenge_answers({0, {}, {}, std::vector<uint8_t>(32, key), ring_key(1), 1'700'000'000'000}); break;
    case 21: {
      std::vector<Refreshed> refreshed;
      engine.take_refreshed(refreshed);
      for (const Refreshed& one : refreshed) CHECK(one.times > 0 && one.index > 0);
      break;
    }
  }
}

void control_plane(Engine& engine, uint64_t number) {
  Random random(number);
  std::vector<Upcall> upcalls;
  uint64_t changes = 0;
  while (!is_over) {
    change(engine, random);
    upcalls.clear();
    engine.take_upcalls(upcalls);
    // What a server's would be: back to where it came from.
    for (const Upcall& upcall : upcalls) {
      if (upcall.kind != UpcallKind::detour) continue;
      CHECK(!upcall.bytes.empty() && upcall.from.port() != 0);
      engine.take_detoured(std::array<Engine::Outgoing, 1>{{{upcall.from, Way(), upcall.bytes}}});
    }
    const auto report = engine.report(address4(static_cast<uint8_t>(random() % 8)));
    if (report) CHECK(report->bytes_out >= report->packets_out);
    engine.totals();
    engine.next_sequence(1);
    CHECK(engine.table_bytes() < 16u << 20);
    changes++;
  }
  std::printf("%llu changes\n", static_cast<unsigned long long>(changes));
}

void move_packets(Engine& engine, size_t index, Wire& in, Wire& out, uint64_t number) {
  Random random(number);
  CheckingSink sink;
  sink.kept = 256;
  Lane& lane = engine.lane(index);
  for (double now_ms = 1; !is_over; now_ms++) {
    std::vector<std::vector<uint8_t>> datagrams;
    {
      const std::lock_guard lock(in.mutex);
      std::swap(datagrams, in.datagrams);
    }
    const auto next = static_cast<uint8_t>(1 + random() % 40);
    datagrams.push_back(make_refresh(make_id(static_cast<uint8_t>(random() % 4)), next, refresh_token(next)));
    datagrams.push_back(make_challenge_request(ring_key(1), 0));
    lane.lock();
    lane.begin(now_ms, sink, sink.capabilities);
    for (auto& datagram : datagrams) {
      const UdpInput input{datagram, 0, endpoint(1), 0};
      UdpPlace place;
      while (!lane.from_udp(std::span(&input, 1), place)) {
        lane.end();
        lane.begin(now_ms, sink, sink.capabilities);
      }
    }
    for (int i = 0; i < 8; i++) {
      const unsigned version = random() % 2 == 0 ? 4 : 6;
      std::vector<uint8_t> packet((version == 4 ? 40 : 60) + random() % 1'400);
      mend(packet, Mend(version == 4 ? 16 : 17), own, static_cast<uint8_t>(random() % 8), 6);
      const size_t length = packet.size();
      packet.resize(length + Lane::tun_slack_bytes);
      lane.from_tun(packet, length, {});
    }
    lane.end();
    lane.unlock();
    batches++;
    const std::lock_guard lock(out.mutex);
    for (auto& sent : sink.datagrams) {
      if (out.datagrams.size() < 256) out.datagrams.push_back(std::move(sent.bytes));
    }
    sink.datagrams.clear();
  }
}

// To hosts 1 to `targets` in turn; what leaves is kept.
void send_batches(Lane& lane, CheckingSink& sink, int batches, int packets, int targets) {
  sink.kept = 100'000;
  for (int i = 0; i < batches; i++) {
    lane.lock();
    lane.begin(1, sink, {});
    for (int k = 0; k < packets; k++) {
      std::vector<uint8_t> packet(60);
      mend(packet, Mend(16), own, static_cast<uint8_t>(1 + k % targets), 6);
      packet.resize(60 + Lane::tun_slack_bytes);
      lane.from_tun(packet, 60, {});
    }
    lane.end();
    lane.unlock();
  }
}

// Both lanes seal under one association: no number twice, whatever the threads do.
void numbers_are_used_once(uint64_t number) {
  Engine engine(seed, 2);
  Random random(number);
  set_association(engine, 1, true, random);
  FlowSpec spec;
  const auto source = address4(own);
  spec.action = FlowAction::esp;
  spec.association = 1;
  spec.locator = endpoint(1);
  spec.source = source;
  CHECK(engine.set_flow(address4(1), spec) == Status::ok);
  CheckingSink sinks[2];
  const auto send = [&](size_t index) {
    send_batches(engine.lane(index), sinks[index], 300, 10, 1);
  };
  std::thread first(send, 0), second(send, 1);
  for (int i = 0; i < 200; i++) set_association(engine, 1, true, random);
  first.join();
  second.join();
  std::set<uint64_t> used;
  for (const auto& sink : sinks) {
    for (const auto& datagram : sink.datagrams) CHECK(used.insert(u64(datagram.bytes, 8)).second);
  }
  CHECK(used.size() == 6'000 && engine.next_sequence(1) == 6'001);
}

// The same while the detour is turned on and off: each number goes one way, and what finds no room costs none.
void detours_lose_no_number(uint64_t number) {
  Engine engine(seed, 2);
  Random random(number);
  set_association(engine, 1, true, random);
  FlowSpec spec;
  const auto source = address4(own), header = data_header_to(make_id(1), 4);
  spec.action = FlowAction::esp;
  spec.association = 1;
  spec.header = header;
  spec.source = source;
  engine.set_default_server(endpoint(2));
  CHECK(engine.set_flow(address4(1), spec) == Status::ok);
  CheckingSink sinks[2];
  std::atomic<int> sending{2};
  const auto send = [&](size_t index) {
    send_batches(engine.lane(index), sinks[index], 300, 30, 1);
    sending--;
  };
  std::thread first(send, 0), second(send, 1);
  std::vector<Upcall> upcalls;
  for (bool is_on = true; sending > 0; is_on = !is_on) {
    engine.set_detour(is_on);
    // Late now and then, so that there is no room.
    if (random() % 8 == 0) engine.take_upcalls(upcalls);
  }
  first.join();
  second.join();
  while (engine.take_upcalls(upcalls) > 0) {}
  std::set<uint64_t> used;
  for (const auto& sink : sinks) {
    for (const auto& datagram : sink.datagrams) CHECK(used.insert(u64(datagram.bytes, header.size() + 8)).second);
  }
  const size_t straight = used.size();
  for (const Upcall& upcall : upcalls) {
    CHECK(upcall.kind == UpcallKind::detour && upcall.from == endpoint(2));
    CHECK(used.insert(u64(upcall.bytes, header.size() + 8)).second);
  }
  const uint64_t dropped = engine.totals().drops[static_cast<size_t>(Drop::detour)];
  std::printf("%zu straight, %zu by a detour, %llu without room\n", straight, upcalls.size(), static_cast<unsigned long long>(dropped));
  CHECK(used.size() + dropped == 18'000 && engine.next_sequence(1) == used.size() + 1 && straight > 0 && !upcalls.empty());
}

// Both lanes send by two flows, of which one is set again and the other comes and goes: together they send straight what the credit allows, and not a packet less.
void credit_is_kept(uint64_t number) {
  Engine engine(seed, 2);
  Random random(number);
  set_association(engine, 1, true, random);
  FlowSpec spec;
  const auto source = address4(own), header = data_header_to(make_id(1), 4);
  spec.action = FlowAction::esp;
  spec.association = 1;
  spec.locator = endpoint(1);
  spec.header = header;
  spec.source = source;
  spec.credit_bytes = 50'000;
  for (const uint8_t to : {uint8_t{1}, uint8_t{2}}) CHECK(engine.set_flow(address4(to), spec) == Status::ok);
  engine.set_default_server(endpoint(2));
  CheckingSink sinks[2];
  const auto send = [&](size_t index) {
    send_batches(engine.lane(index), sinks[index], 100, 10, 2);
  };
  std::thread first(send, 0), second(send, 1);
  for (int i = 0; i < 200; i++) {
    CHECK(engine.set_flow(address4(1), spec) == Status::ok);
    const auto weaker = static_cast<uint8_t>(i % 2);
    CHECK((i % 4 < 2 ? engine.set_flow(address4(2), spec, weaker) : engine.remove_flow(address4(2), weaker)) == Status::ok);
  }
  first.join();
  second.join();
  size_t straight = 0, relayed = 0, cost = 0;
  for (const auto& sink : sinks) {
    for (const auto& datagram : sink.datagrams) {
      const bool is_straight = datagram.to == endpoint(1);
      CHECK((datagram.bytes[0] == 0x11) != is_straight);
      if (is_straight) cost = datagram.bytes.size() + 8;
      (is_straight ? straight : relayed)++;
    }
  }
  CHECK(cost > 0 && straight == spec.credit_bytes / cost && straight + relayed == 2'000);
}

}  // namespace
}  // namespace i3::test

int main(int count, char** arguments) {
  using namespace i3::test;
  const double seconds = count > 1 ? std::atof(arguments[1]) : 2;
  const uint64_t number = count > 2 ? std::strtoull(arguments[2], nullptr, 10) : 1;
  numbers_are_used_once(number);
  detours_lose_no_number(number);
  credit_is_kept(number);
  i3::Engine engine(seed, 2);
  std::atomic<uint64_t> signals{0};
  engine.on_upcalls([&signals] { signals++; });
  engine.on_output([&signals] { signals++; });
  Wire one, other;
  std::thread control(control_plane, std::ref(engine), number);
  std::thread first(move_packets, std::ref(engine), 0, std::ref(one), std::ref(other), number + 1);
  std::thread second(move_packets, std::ref(engine), 1, std::ref(other), std::ref(one), number + 2);
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  is_over = true;
  control.join();
  first.join();
  second.join();
  const auto totals = engine.totals();
  std::printf("%llu batches, %llu packets sent, %llu received\n", static_cast<unsigned long long>(batches.load()), static_cast<unsigned long long>(totals.udp_out),
              static_cast<unsigned long long>(totals.tun_out));
  CHECK(totals.udp_out > 0 && signals > 0);
  std::printf("all passed\n");
  return 0;
}
