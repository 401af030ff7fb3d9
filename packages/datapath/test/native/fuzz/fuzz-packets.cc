// libFuzzer: bytes from the network and from the TUN into an engine whose tables have an entry of every kind.
//
//     options 1 | operation 1, its bytes | operation 1, its bytes | …
#include <cstring>
#include <deque>

#include "cipher.h"
#include "inner-maker.h"
#include "lane.h"
#include "specs.h"

namespace i3::test {
namespace {

constexpr std::array<uint8_t, 16> seed{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
constexpr size_t max_datagram = 65'507;

void set_flows(Engine& engine, unsigned version) {
  const auto set = [&](uint8_t n, FlowAction action, uint32_t association, Bytes header, const std::optional<Endpoint>& locator, uint16_t mtu) {
    FlowSpec spec;
    spec.action = action;
    spec.association = association;
    spec.header = header;
    spec.locator = locator;
    spec.mtu = mtu;
    const std::vector<uint8_t> source = address_of(version, own);
    if (action == FlowAction::tunnel || action == FlowAction::esp) spec.source = source;
    CHECK(engine.set_flow(address_of(version, n), spec) == Status::ok);
  };
  const auto plain = data_header_to(make_id(1), 1);
  const auto esp = data_header_to(make_id(2), 4);
  const uint16_t least = version == 4 ? 576 : 1'280;
  set(1, FlowAction::setup, 0, {}, std::nullopt, 65'535);
  set(2, FlowAction::refuse, 0, {}, std::nullopt, 65'535);
  set(3, FlowAction::tunnel, 0, plain, std::nullopt, 65'535);
  set(4, FlowAction::tunnel, 0, plain, std::nullopt, least);
  for (uint8_t n = 1; n <= associations; n++) set(static_cast<uint8_t>(4 + n), FlowAction::esp, n, {}, endpoint(n), n % 2 == 0 ? least : 65'535);
  set(11, FlowAction::esp, 2, esp, std::nullopt, 1'400);
  set(12, FlowAction::esp, 77, {}, endpoint(1), 65'535);
  set(13, FlowAction::esp, 7, {}, endpoint(1), 65'535);
}

void set_associations(Engine& engine) {
  for (uint32_t n = 1; n <= associations; n++) {
    const KeyBytes keys(static_cast<uint8_t>(n));
    OutboundSpec out;
    out.transform = keys.spec(kind_of(n), key_bytes_of(n));
    out.spi = first_spi + n;
    out.beet = beet_of(n);
    out.checksum_state = checksum_state_of(n);
    CHECK(engine.set_outbound_association(n, out) == Status::ok);
    // The last two numbers of all.
    out.first_sequence = UINT64_MAX - 1;
    if (n == 1) CHECK(engine.set_outbound_association(7, out) == Status::ok);
    InboundSpec in;
    in.transform = out.transform;
    in.beet = out.beet;
    in.checksum_state = out.checksum_state;
    const auto flow = n % 2 == 0 ? address4(4) : address6(3);
    in.flow = flow;
    const bool changes = n % 2 == 1;
    const auto pairs4 = pairs(4, 1, changes ? 12 : 1, changes ? 13 : own);
    const auto pairs6 = pairs(6, 1, changes ? 12 : 1, changes ? 13 : own);
    in.strength = static_cast<uint8_t>(n % 3);
    in.rewrites.pairs4 = pairs4;
    if (n != 4) in.rewrites.pairs6 = pairs6;
    in.watches = n > 2;
    if (n > 3) in.watch_from = endpoint(static_cast<uint8_t>(n));
    CHECK(engine.set_inbound_association(first_spi + n, in) == Status::ok);
  }
}

void set_inbound(Engine& engine) {
  const auto same4 = pairs(4, 1, 1, own), same6 = pairs(6, 1, 1, own), other4 = pairs(4, 1, 12, 13), other6 = pairs(6, 1, 12, 13);
  CHECK(engine.set_inbound_upcall(make_id(8, 0)) == Status::ok);
  CHECK(engine.set_inbound_tun(make_id(8, 1), address4(4), {same4, same6}) == Status::ok);
  CHECK(engine.set_inbound_tun(make_id(8, 2), address6(4), {other4, other6}) == Status::ok);
  CHECK(engine.set_inbound_tun(make_id(8, 3), address4(15), {other4, {}}) == Status::ok);
}

// Ring keys 1 to 7 and 9: an address; several; a stack; two that name each other; a stack of 15; one of everything; two at one host.
void set_triggers(Engine& engine) {
  std::vector<uint8_t> packed;
  const auto address = [&](uint8_t key, uint8_t suffix, uint8_t host) {
    const auto id = make_id(key, suffix);
    packed = joined({packed, id, std::vector<uint8_t>{0}, endpoint(host).bytes});
  };
  const auto stack = [&](uint8_t key, uint8_t suffix, const std::vector<std::vector<uint8_t>>& ids) {
    packed = joined({packed, make_id(key, suffix), std::vector<uint8_t>{1, static_cast<uint8_t>(ids.size())}});
    for (const auto& id : ids) append(packed, id);
  };
  const auto set = [&](uint8_t key) {
    CHECK(engine.set_triggers(ring_key(key), packed) == Status::ok);
    packed.clear();
  };
  address(1, 0, 1);
  set(1);
  for (uint8_t i = 0; i < 6; i++) address(2, static_cast<uint8_t>(i * 32), static_cast<uint8_t>(i + 1));
  for (uint8_t i = 0; i < 3; i++) address(2, 128, static_cast<uint8_t>(i + 10));
  set(2);
  stack(3, 0, {make_id(2), make_id(1)});
  set(3);
  stack(4, 0, {make_id(4, 1)});
  stack(4, 1, {make_id(4, 0)});
  set(4);
  stack(5, 0, std::vector<std::vector<uint8_t>>(15, make_id(1)));
  set(5);
  address(6, 0, 1);
  stack(6, 0, {make_id(6)});
  stack(6, 0, {make_id(0x70)});
  stack(6, 0, {make_id(3)});
  set(6);
  address(9, 0, 3);
  address(9, 0, 3);
  set(9);
}

// ICMP 0; TCP by ports 0, 2 or not at all; UDP 1 or 2; the rest of flow 4 is refused. Ways that send, wait, refuse and are not there.
void set_services(Engine& engine, unsigned version) {
  const std::vector<uint8_t> packed{static_cast<uint8_t>(version == 4 ? 1 : 58), 0, 0, 6, 0, 2, 0, 0, 0x1f, 0xff, 0x40, 0, 0x5f, 0xff, 6, 2, 1, 0x80, 0, 0x9f, 0xff, 17, 1, 1, 0, 0, 0x7f, 0xff};
  const auto header = data_header_to(make_id(3), 1), source = address_of(version, own);
  FlowSpec spec, refuse;
  spec.action = FlowAction::tunnel;
  spec.header = header;
  spec.source = source;
  spec.mtu = 1'300;
  refuse.action = FlowAction::refuse;
  for (uint8_t n = 3; n < 12; n++) {
    const auto address = address_of(version, n);
    CHECK(engine.set_flow(address, n % 4 == 0 ? FlowSpec() : spec, 0) == Status::ok);
    if (n % 2 == 0) CHECK(engine.set_flow(address, n % 4 == 2 ? refuse : spec, 1) == Status::ok);
    if (n == 9) CHECK(engine.remove_flow(address, 2) == Status::ok);
    CHECK(engine.set_services(address, packed, n == 4 ? 3 : 2) == Status::ok);
  }
}

// All hosts behind the peers that are seen as 12, but for one behind 1; and flows whose peers send to others than us.
void set_behind(Engine& engine, unsigned version) {
  const auto all = std::vector<uint8_t>(version == 4 ? 4 : 16);
  CHECK(engine.set_behind(all, 0, address_of(version, 12)) == Status::ok);
  CHECK(engine.set_behind(address_of(version, 14), version == 4 ? 32 : 128, address_of(version, 1)) == Status::ok);
  for (uint8_t n = 3; n < 5; n++) CHECK(engine.set_forwarding(address_of(version, n), true) == Status::ok);
}

// What peers send to 14 goes to this host's address of the other family, and what programs here send comes from there.
void set_translations(Engine& engine) {
  for (const unsigned version : {4u, 6u}) {
    for (const uint8_t n : {uint8_t{1}, uint8_t{3}, uint8_t{4}, uint8_t{12}}) CHECK(engine.set_forwarding(address_of(version, n), true, n == 4 ? Bytes() : address_of(10 - version, n)) == Status::ok);
    for (const uint8_t n : {uint8_t{1}, uint8_t{3}, uint8_t{4}, uint8_t{12}}) CHECK(engine.set_translation(address_of(version, n), address_of(version, 14), address_of(10 - version, n == 3 ? uint8_t{5} : own)) == Status::ok);
  }
}

// Of host 1 and, a replica, of host 2.
void set_leases(Engine& engine) {
  const auto token = refresh_token(0);
  for (uint8_t n = 1; n < 3; n++) CHECK(engine.set_lease(make_id(n), {endpoint(n), token, 0, 30'000, n == 2}) == Status::ok);
  CHECK(engine.set_refresh_answers(2, ring_key(0), ring_key(1), {endpoint(3)}, 30'000) == Status::ok);
  const std::vector<uint8_t> secret(32, 3);
  CHECK(engine.set_challenge_answers({2, ring_key(0), ring_key(1), secret, ring_key(7), 1'700'000'000'000}) == Status::ok);
}

class World {
 public:
  explicit World(Choices choices) : choices_(choices), engine_(seed, 1) {
    const uint8_t options = choices_.byte();
    if ((options & 16) != 0) operations_ = 13;
    set_flows(engine_, 4);
    set_flows(engine_, 6);
    set_associations(engine_);
    set_inbound(engine_);
    if ((options & 32) != 0) {
      set_services(engine_, 4);
      set_services(engine_, 6);
    }
    if ((options & 128) != 0) {
      set_behind(engine_, 4);
      set_behind(engine_, 6);
    }
    if ((options & 129) == 129) set_translations(engine_);
    if ((options & 8) == 0) CHECK(engine_.set_hip_responder(ResponderBytes(Rhash::sha256, 200).spec()) == Status::ok);
    if ((options & 64) != 0) {
      operations_ = 15;
      set_leases(engine_);
    }
    set_triggers(engine_);
    if ((options & 3) == 1) engine_.set_responsibility_all();
    if ((options & 3) == 2) CHECK(engine_.set_responsibility_range(ring_key(2), ring_key(6)) == Status::ok);
    if ((options & 3) == 3) CHECK(engine_.set_responsibility_range(ring_key(7), ring_key(1)) == Status::ok);
    CHECK(engine_.set_next_server(ring_key(1), endpoint(21)) == Status::ok);
    if ((options & 4) == 0) engine_.set_default_server(endpoint(22));
  }

  void play() {
    begin({});
    while (!choices_.is_empty()) act();
    end();
    // What the control plane made since then.
    begin({});
    end();
  }

 private:
  void act() {
    switch (choices_.below(operations_)) {
      case 0: return tun();
      case 1: return train_to_tun();
      case 2: return udp(choose_bytes(choices_, max_datagram), 0);
      case 3: return udp(choose_bytes(choices_, max_datagram), choices_.word());
      case 4: return udp(data(), 0);
      case 5: return train();
      case 6: return sealed();
      case 7: return echo();
      case 8: return next_batch();
      case 9: return control_plane();
      case 10: return row();
      case 11: case 12: return hip();
      case 13: return refresh();
      case 14: return challenge();
    }
  }

  void begin(const Capabilities& capabilities) {
    sink_.capabilities = capabilities;
    engine_.lane(0).lock();
    engine_.lane(0).begin(now_ms_, sink_, capabilities);
  }
  void end() {
    engine_.lane(0).end();
    engine_.lane(0).unlock();
    inputs_.clear();
  }

  void tun_packet(Bytes packet, const VnetHeader& vnet) {
    const Exact buffer(packet.size() + Lane::tun_slack_bytes);
    copy_to(buffer.view(), 0, packet);
    engine_.lane(0).from_tun(buffer.view(), packet.size(), vnet);
  }
  void tun() {
    const std::vector<uint8_t> packet = choose_packet(choices_, false);
    tun_packet(packet, choose_vnet(choices_, packet));
  }
  // A plain TCP or UDP train with a right vnet header.
  void train_to_tun() {
    const bool is_v4 = choices_.flag(), is_tcp = choices_.flag();
    std::vector<uint8_t> packet = choose_bytes(choices_, 65'535);
    mend(packet, Mend(is_v4 ? 16 : 17), own, static_cast<uint8_t>(choices_.below(peers)), is_tcp ? 6 : 17);
    VnetHeader vnet;
    vnet.flags = VnetHeader::needs_checksum;
    vnet.gso_type = static_cast<uint8_t>(!is_tcp ? VnetHeader::gso_udp : is_v4 ? VnetHeader::gso_tcp4 : VnetHeader::gso_tcp6);
    vnet.gso_bytes = static_cast<uint16_t>(packet.size() > 9'000 ? 1'400 : choices_.byte() + 1);
    tun_packet(packet, vnet);
  }

  // The bytes stay until the batch ends.
  void udp(Bytes bytes, size_t segment_bytes, uint8_t traffic_class = 0) {
    const MutableBytes kept = inputs_.emplace_back(bytes).view();
    const uint8_t host = choices_.byte();
    const UdpInput input{kept, segment_bytes, endpoint(host, host == 255 ? 0 : 5'610), traffic_class != 0 ? traffic_class : host};
    UdpPlace place;
    while (!engine_.lane(0).from_udp(std::span(&input, 1), place)) {
      engine_.lane(0).end();
      engine_.lane(0).begin(now_ms_, sink_, sink_.capabilities);
    }
  }
  // The rewrites are of peer 1.
  static std::optional<uint8_t> peer_of(uint8_t bits) { return (bits & 0x80) == 0 ? std::optional<uint8_t>(1) : std::nullopt; }
  std::vector<uint8_t> data() {
    const uint8_t bits = choices_.byte();
    const size_t ids = (bits & 0x0f) == 0x0f ? 15 : (bits & 3) + size_t{1};
    std::vector<uint8_t> made{0x11, choices_.byte(), choices_.byte(), choices_.byte(), static_cast<uint8_t>(ids), 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8};
    if ((bits & 0x10) == 0) made[1] &= 0x05, made[2] = 16, made[3] = 64;
    if ((bits & 0x20) != 0) made[5] = choices_.byte();
    for (size_t i = 0; i < ids; i++) append(made, make_id(static_cast<uint8_t>(choices_.below(12)), choices_.byte()));
    append(made, (bits & 0x40) != 0 ? choose_packet(choices_, true, max_datagram - 600, peer_of(bits)) : choose_bytes(choices_, max_datagram - 600));
    return made;
  }
  // Datagrams with one head in common, and perhaps a short last one.
  void train() {
    const std::vector<uint8_t> one = data();
    const size_t count = std::min<size_t>(choices_.below(70) + 1, max_datagram / one.size());
    std::vector<uint8_t> all;
    for (size_t i = 0; i < count; i++) append(all, one);
    all.resize(all.size() - std::min<size_t>(choices_.byte(), one.size() - 1));
    if (choices_.flag()) all[choices_.word() % all.size()] ^= 1;
    udp(all, one.size());
  }

  void sealed() {
    const uint32_t n = static_cast<uint32_t>(choices_.below(associations) + 1);
    const uint8_t bits = choices_.byte();
    const uint8_t traffic_class = choices_.byte();
    std::vector<uint8_t> text = (bits & 1) != 0 ? choose_bytes(choices_, 65'000) : choose_packet(choices_, true, 65'000, peer_of(static_cast<uint8_t>(bits << 6)));
    const size_t step = padding_step(kind_of(n));
    uint8_t next = choose_protocol(choices_);
    if ((bits & 1) == 0 && !text.empty()) {
      next = text[0] >> 4 == 4 ? 4 : 41;
    }
    size_t padding = (step - (text.size() + 2) % step) % step + step * ((bits >> 2) & 3);
    if ((bits & 16) != 0) padding += step * choices_.below(6);
    for (size_t i = 1; i <= padding; i++) text.push_back(static_cast<uint8_t>(i));
    text.push_back((bits & 32) != 0 ? choices_.byte() : static_cast<uint8_t>(padding));
    text.push_back(next);
    if ((bits & 64) != 0) sequence_ += choices_.word();
    seal(n, text, (bits & 128) != 0 ? choices_.number(8) : ++sequence_, traffic_class);
  }
  void seal(uint32_t n, Bytes text, uint64_t sequence, uint8_t traffic_class) {
    const KeyBytes bytes(static_cast<uint8_t>(n));
    const TransformKeys keys(bytes.spec(kind_of(n), key_bytes_of(n)));
    const auto cipher = Cipher::make(keys, Cipher::Direction::seal);
    std::vector<uint8_t> packet(esp_header_bytes + iv_bytes(kind_of(n)) + text.size() + icv_bytes);
    CHECK(cipher->seal(packet, first_spi + n, sequence, text));
    udp(packet, 0, traffic_class);
  }

  // A row of packets of one TCP stream, sealed one after the other: what becomes one packet for the TUN.
  void row() {
    const uint32_t n = static_cast<uint32_t>(choices_.below(associations) + 1);
    const bool is_v4 = choices_.flag(), is_tcp = choices_.flag(), has_sums = choices_.flag();
    const size_t count = choices_.below(70) + 1, payload = choices_.byte();
    const size_t header = (is_v4 ? 20 : 40) + (is_tcp ? 20 : 8);
    std::vector<uint8_t> packet(header + payload);
    for (size_t i = 0; i < count; i++) {
      const uint8_t oddity = choices_.byte();
      if (is_tcp) {
        put32(packet, header - 16, static_cast<uint32_t>(i * payload) + (oddity == 1 ? 1 : 0));
        put8(packet, header - 7, oddity == 2 ? 0x18 : oddity == 3 ? 0x12 : 0x10);
      }
      put16(packet, is_v4 ? 20 : 40, oddity >= 16 && oddity < 32 ? oddity : 0);
      if (oddity == 4 && packet.size() > header + 1) packet.resize(packet.size() - 1);
      mend(packet, Mend(static_cast<uint8_t>((is_v4 ? 0 : 1) | 16 | (has_sums ? 32 : 0))), 1, own, is_tcp ? 6 : 17);
      const bool is_bare = beet_of(n) == (is_v4 ? 4 : 6);
      std::vector<uint8_t> text(packet.begin() + (is_bare ? (is_v4 ? 20 : 40) : 0), packet.end());
      const size_t step = padding_step(kind_of(n));
      const size_t padding = (step - (text.size() + 2) % step) % step + (has_sums ? 0 : step * (oddity == 5 ? 2 : 1));
      for (size_t k = 1; k <= padding; k++) text.push_back(static_cast<uint8_t>(k));
      text.push_back(static_cast<uint8_t>(padding));
      text.push_back(is_bare ? (is_tcp ? 6 : 17) : is_v4 ? 4 : 41);
      seal(n, text, ++sequence_, 1);
    }
  }

  // A HIP packet with a right header, most of them an I1 for the responder; what it carries is whatever the bytes say.
  void hip() {
    const uint8_t bits = choices_.byte();
    std::vector<uint8_t> made = hip_packet((bits & 7) == 7 ? choices_.byte() : 1, make_hit(1), (bits & 128) != 0 ? std::vector<uint8_t>(16) : make_hit((bits & 8) != 0 ? choices_.byte() : own));
    if (bits % 5 != 0) append_parameter(made, 511, std::vector<uint8_t>{static_cast<uint8_t>(bits % 5 == 1 ? 8 : 7)});
    if ((bits & 16) != 0) append_parameter(made, 32'770, make_id(static_cast<uint8_t>(choices_.below(12))));
    if (made[2] == 3 && (bits & 32) == 0) made = make_i2(1, make_id(static_cast<uint8_t>(choices_.below(12))), Rhash::sha256, choices_.flag() ? 0x0102 : 0x0101);
    append(made, choose_bytes(choices_, 2'048 - made.size()));
    made.resize(made.size() / 8 * 8);
    made[1] = static_cast<uint8_t>(made.size() / 8 - 1);
    if ((bits & 32) != 0) made[choices_.word() % made.size()] ^= choices_.byte();
    udp(joined({(bits & 64) != 0 ? std::vector<uint8_t>(4) : data_header_to(make_id(8, 0), 3), made}), 0);
  }

  // Most of them good ones; or cut, or changed in a byte.
  void refresh() {
    const uint8_t bits = choices_.byte(), index = choices_.byte();
    std::vector<uint8_t> made = make_refresh(make_id(bits & 3), index, refresh_token(index));
    if ((bits & 4) != 0) made.resize(choices_.byte() % made.size());
    if ((bits & 8) != 0 && !made.empty()) made[choices_.byte() % made.size()] ^= choices_.byte();
    udp(made, 0);
  }

  // Good ones, cut ones, changed ones.
  void challenge() {
    const uint8_t bits = choices_.byte();
    std::vector<uint8_t> made = make_challenge_request(ring_key(bits & 3), choices_.word());
    if ((bits & 4) != 0) made.resize(choices_.byte() % made.size());
    if ((bits & 8) != 0 && !made.empty()) made[choices_.byte() % made.size()] ^= choices_.byte();
    udp(made, 0);
  }

  // What left comes in, as it is or changed in one place.
  void echo() {
    if (sink_.datagrams.empty()) return;
    auto sent = sink_.datagrams[choices_.below(sink_.datagrams.size())];
    if (choices_.flag() && !sent.bytes.empty()) sent.bytes[choices_.word() % sent.bytes.size()] ^= choices_.byte();
    udp(sent.bytes, 0, sent.traffic_class);
  }

  void next_batch() {
    end();
    upcalls_.clear();
    engine_.take_upcalls(upcalls_);
    for (const Upcall& upcall : upcalls_) {
      CHECK(upcall.name_bytes <= 32);
      touched_ += naive_sum(upcall.bytes);
    }
    refreshed_.clear();
    engine_.take_refreshed(refreshed_);
    for (const Refreshed& refreshed : refreshed_) CHECK(refreshed.times > 0 && refreshed.at_ms <= now_ms_ && refreshed.index <= 255 + 40);
    now_ms_ += choices_.byte();
    const uint8_t bits = choices_.byte();
    begin({(bits & 1) == 0, (bits & 2) == 0, (bits & 4) == 0, (bits & 8) == 0});
  }

  // The gates are a lane's during its batch, so that it ends before.
  void control_plane() {
    end();
    const auto address = address_of(choices_.flag() ? 6 : 4, static_cast<uint8_t>(choices_.below(peers)));
    switch (choices_.below(9)) {
      case 0: engine_.release(address); break;
      case 1: engine_.discard(address, choices_.flag()); break;
      case 2: engine_.submit(choose_packet(choices_, false)); break;
      case 3: engine_.deliver(make_id(8, static_cast<uint8_t>(choices_.below(5))), choose_packet(choices_, true)); break;
      case 4: engine_.send(endpoint(choices_.byte()), choose_bytes(choices_, 65'535)); break;
      case 5: engine_.inject(joined({std::vector<uint8_t>{raw_mark}, choose_bytes(choices_, 2'000)})); break;
      case 6: engine_.set_next_server(ring_key(static_cast<uint8_t>(choices_.below(12))), endpoint(23)); break;
      case 7: engine_.discard_route(ring_key(static_cast<uint8_t>(choices_.below(12)))); break;
      case 8: choices_.flag() ? engine_.set_responsibility_all() : engine_.set_responsibility_none(); break;
    }
    begin(sink_.capabilities);
  }

  Choices choices_;
  Engine engine_;
  CheckingSink sink_;
  // Without those that came later, so that inputs of before do what they did.
  size_t operations_ = 11;
  double now_ms_ = 1;
  uint64_t sequence_ = 0;
  uint64_t touched_ = 0;
  std::deque<Exact> inputs_;
  std::vector<Upcall> upcalls_;
  std::vector<Refreshed> refreshed_;
};

}  // namespace
}  // namespace i3::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  i3::test::World(i3::test::Choices({data, size})).play();
  return 0;
}
