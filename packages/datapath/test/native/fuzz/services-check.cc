#include "services-check.h"

#include <cstdio>
#include <random>

#include "inner-maker.h"
#include "lane.h"
#include "limits.h"
#include "specs.h"
#include "tracked-memory.h"

namespace i3::test {
namespace {

constexpr std::array<uint8_t, 16> seed{2, 7, 1, 8, 2, 8, 1, 8, 2, 8, 4, 5, 9, 0, 4, 5};
std::mt19937_64 random_bits(1);

// ICMP 0; TCP to 22 2; other TCP 1; UDP to 53 or 5,000 to 5,010 0.
const std::vector<uint8_t> packed{1, 0, 0, 58, 0, 0, 6, 2, 1, 0, 22, 0, 22, 6, 1, 0, 17, 0, 2, 0, 53, 0, 53, 0x13, 0x88, 0x13, 0x92};

std::vector<uint8_t> packet_to(unsigned version, uint8_t next, uint16_t port, uint8_t to = 1) {
  std::vector<uint8_t> made((version == 4 ? 20 : 40) + 40);
  put16(made, version == 4 ? 22 : 42, port);
  mend(made, Mend(version == 4 ? 16 : 17), own, to, next);
  return made;
}

FlowSpec tunnel(Bytes header, Bytes source) {
  FlowSpec spec;
  spec.action = FlowAction::tunnel;
  spec.header = header;
  spec.source = source;
  return spec;
}

}  // namespace

// Whatever is cut off or changed is refused or is something else, and nothing behind it is read.
void service_shapes() {
  for (size_t size = 0; size <= packed.size(); size++) {
    const Exact cut(Bytes(packed).first(size));
    const bool ends_between = size == 0 || size == 3 || size == 6 || size == 13 || size == 16 || size == packed.size();
    CHECK(Services::parse(cut.view(), 2).has_value() == ends_between);
  }
  for (unsigned rest = 0; rest < 256; rest++) CHECK(Services::parse(packed, static_cast<uint8_t>(rest)).has_value() == (rest <= 3));
  for (int i = 0; i < 20'000; i++) {
    const Exact bytes(Bytes(packed).first(random_bits() % (packed.size() + 1)));
    for (int change = 0; change < 2 && !bytes.view().empty(); change++) bytes.view()[random_bits() % bytes.view().size()] = static_cast<uint8_t>(random_bits());
    const auto services = Services::parse(bytes.view(), static_cast<uint8_t>(random_bits() % 4));
    if (services) CHECK(services->need(packet_to(4, 17, 53)) <= refused_strength);
  }
  std::vector<uint8_t> many;
  for (size_t i = 0; i <= limits::services_per_flow; i++) {
    CHECK(Services::parse(many, 0).has_value());
    append(many, std::vector<uint8_t>{6, 1, 0});
  }
  CHECK(!Services::parse(many, 0));
  std::vector<uint8_t> ranges{6, 1, 17};
  for (uint8_t i = 0; i < 17; i++) append(ranges, std::vector<uint8_t>{1, i, 1, i});
  CHECK(!Services::parse(ranges, 0));
  ranges[2] = 16;
  CHECK(Services::parse(Bytes(ranges).first(3 + 16 * 4), 0).has_value());
}

// Packets that end where their last byte is, errors that quote any of it among them.
void service_packets() {
  const auto services = Services::parse(packed, 2);
  for (const unsigned version : {4u, 6u}) {
    CHECK(services->need(packet_to(version, 6, 22)) == 2 && services->need(packet_to(version, 6, 23)) == 1);
    CHECK(services->need(packet_to(version, 17, 5'010)) == 0 && services->need(packet_to(version, 17, 5'011)) == 2);
  }
  std::array<uint64_t, 4> seen{};
  for (int i = 0; i < 40'000; i++) {
    std::vector<uint8_t> made(20 + random_bits() % 140);
    for (uint8_t& byte : made) byte = static_cast<uint8_t>(random_bits());
    static constexpr std::array<uint8_t, 9> protocols{1, 58, 6, 17, 0, 43, 44, 60, 47};
    // Right lengths and addresses; fields, options and the quoted packet as they come or right.
    mend(made, Mend(static_cast<uint8_t>(random_bits() & 0x51)), own, 1, protocols[random_bits() % protocols.size()]);
    if (random_bits() % 4 == 0 && made.size() > 60) put8(made, 60 - random_bits() % 20, 0x45);
    const Exact packet{Bytes(made)};
    if (const auto length = inner_length(packet.view())) seen[services->need(packet.view().first(*length))]++;
  }
  CHECK(seen[0] > 1'000 && seen[1] > 50 && seen[2] > 1'000 && seen[3] == 0);
}

// Up to its bound, with ways and services coming and going; what was there is given back.
void service_table() {
  const auto header = data_header_to(make_id(1), 1), source = address4(own), last = address4(1);
  const auto address = [](uint32_t n) {
    std::vector<uint8_t> made{11, 0, 0, 0};
    put16(made, 2, n & 0xffff);
    put8(made, 1, n >> 16);
    return made;
  };
  size_t before = 0;
  for (int round = 0; round < 2; round++) {
    // The first round makes what is kept for ever.
    if (round == 1) before = live_allocations();
    Engine engine(seed, 1);
    engine.set_default_server(endpoint(9));
    const size_t empty = engine.table_bytes();
    for (uint32_t n = 0; n < limits::flows_with_services; n++) {
      CHECK(engine.set_services(address(n), packed, 2) == Status::invalid);
      CHECK(engine.set_flow(address(n), {}, static_cast<uint8_t>(n % 3)) == Status::ok);
      CHECK(engine.set_services(address(n), packed, static_cast<uint8_t>(n % 4)) == Status::ok);
    }
    const size_t full = engine.table_bytes();
    std::printf("  flows with services: %zu bytes each\n", (full - empty) / limits::flows_with_services);
    CHECK(engine.set_flow(last, {}) == Status::ok && engine.set_services(last, packed, 2) == Status::services_full);
    CHECK(engine.set_flow(last, {}, 0) == Status::services_full && engine.set_flow(source, {}, 1) == Status::services_full && !engine.report(source));
    CHECK(engine.set_flow(last, {}, 3) == Status::invalid && engine.set_services(last, packed, 4) == Status::invalid);
    for (uint32_t n = 0; n < limits::flows_with_services; n++) {
      // Packets wait, are judged again, and leave or are dropped with their way.
      engine.submit(packet_to(4, n % 2 == 0 ? 6 : 17, 22, 1));
      CHECK(engine.set_flow(address(n), tunnel(header, source), 2) == Status::ok && engine.set_flow(address(n), {}, 1) == Status::ok);
      if (n % 2 == 0) CHECK(engine.remove_services(address(n)) == Status::ok);
      if (n % 8 == 1) CHECK(engine.remove_flow(address(n), 2) == Status::ok && engine.remove_flow(address(n), 1) == Status::ok);
    }
    CHECK(engine.release(last) == Status::ok);
    for (uint32_t n = 0; n < limits::flows_with_services; n++) CHECK(engine.remove_flow(address(n)) == Status::ok && !engine.report(address(n)));
    CHECK(engine.remove_flow(last) == Status::ok);
    // Indices and numbers of free places stay.
    CHECK(engine.table_bytes() < full / 2);
    CHECK(engine.set_flow(last, {}, 0) == Status::ok && engine.set_services(last, packed, 2) == Status::ok);
    engine.submit(packet_to(4, 1, 0));
  }
  CHECK(live_allocations() == before);
}

}  // namespace i3::test
