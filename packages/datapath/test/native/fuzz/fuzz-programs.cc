// libFuzzer: programs of the control plane, every method of Engine in any order with arguments right and wrong, between packets that two
// lanes move.
//
//     operation 1, its bytes | operation 1, its bytes | …
#include <deque>

#include "inner-maker.h"
#include "lane.h"
#include "specs.h"

namespace i3::test {
namespace {

constexpr std::array<uint8_t, 16> seed{};
constexpr size_t lanes = 2, max_datagram = 65'507;
// Who is reached without a detour: none of the others.
const Endpoint peer = endpoint(9);

class Program {
 public:
  explicit Program(Choices choices) : choices_(choices), engine_(seed, lanes) {
    engine_.on_upcalls([this] { signals_++; });
    engine_.on_output([this] { CHECK(engine_.output_waits()); });
  }

  // Half of the programs begin with something in the tables.
  void play() {
    if (choices_.flag()) begin_filled();
    while (!choices_.is_empty()) act();
    for (size_t i = 0; i < lanes; i++) batch(i, [] {});
    check_totals();
    CHECK(!engine_.output_waits());
  }

 private:
  void begin_filled() {
    status(engine_.set_responsibility_range(ring_key(2), ring_key(5)));
    const KeyBytes keys(0);
    OutboundSpec out;
    InboundSpec in;
    out.transform = in.transform = keys.spec(TransformKind::aes_gcm, 32);
    out.spi = first_spi;
    out.beet = in.beet = 4;
    const auto flow = address4(1), source = address4(own), same6 = pairs(6, own, own, 1);
    in.flow = flow;
    in.rewrites = {keep(joined({source, source, flow, flow})), same6};
    status(engine_.set_outbound_association(0, out));
    status(engine_.set_inbound_association(first_spi, in));
    FlowSpec spec;
    spec.action = FlowAction::esp;
    spec.locator = any_endpoint();
    spec.source = source;
    status(engine_.set_flow(flow, spec));
    status(engine_.set_flow(address4(2), {}));
    status(engine_.set_inbound_tun(make_id(1), flow, {pairs4_of_peer(), {}}));
    status(engine_.set_inbound_upcall(make_id(2)));
    status(engine_.set_hip_responder(responders_.emplace_back(Rhash::sha384, 200).spec()));
  }
  Bytes pairs4_of_peer() { return keep(pairs(4, 1, 2, own)); }

  void act() {
    switch (choices_.below(24)) {
      case 0: case 1: return set_flow();
      case 2: return remove_flow();
      case 3: return status(engine_.set_inbound_upcall(id()));
      case 4: return set_inbound_tun();
      case 5: return status(engine_.remove_inbound(id()));
      case 6: return set_outbound();
      case 7: return remove_outbound();
      case 8: return set_inbound();
      case 9: return status(engine_.remove_inbound_association(spi()));
      case 10: case 11: return set_triggers();
      case 12: return set_responsibility();
      case 13: return set_next_server();
      case 14: return choices_.flag() && choices_.flag() ? set_neighbours() : choices_.flag() ? status(engine_.set_known_source(any_endpoint().address(), choices_.flag())) : status(engine_.discard_route(key()));
      case 15: return status(engine_.release(address()));
      case 16: return status(engine_.discard(address(), choices_.flag()));
      case 17: return output();
      case 18: return look();
      case 19: return detour();
      case 20: return choices_.flag() ? set_behind() : lane_batch();
      case 21: return leases();
      case 22: return set_services();
      case 23: return set_hip_responder();
      default: return lane_batch();
    }
  }

  // The output is checked in whole by the sink; a status can only be one of these.
  static void status(Status got) { CHECK(got == Status::ok || got == Status::full || got == Status::group_full || got == Status::invalid || got == Status::services_full || got == Status::taken); }

  // Of a pool, and rarely of a wrong size. What it returns lives until the program ends.
  Bytes keep(std::vector<uint8_t> bytes) { return kept_.emplace_back(std::move(bytes)); }
  Bytes odd() { return keep(std::vector<uint8_t>(choices_.byte(), 7)); }
  Bytes address() {
    const uint8_t bits = choices_.byte();
    return bits > 250 ? odd() : keep(address_of((bits & 8) != 0 ? 6 : 4, bits & 7));
  }
  Bytes id() {
    const uint8_t bits = choices_.byte();
    return bits > 250 ? odd() : keep(make_id(bits & 7, static_cast<uint8_t>((bits >> 3 & 3) * 64)));
  }
  Bytes key() {
    const uint8_t bits = choices_.byte();
    return bits > 250 ? odd() : keep(ring_key(bits & 7));
  }
  uint32_t name() { return choices_.byte() & 3; }
  uint32_t spi() {
    const uint8_t bits = choices_.byte();
    return bits > 250 ? static_cast<uint32_t>(choices_.number(4)) : first_spi + (bits & 3);
  }
  Endpoint any_endpoint() { return endpoint(static_cast<uint8_t>(choices_.below(8))); }

  Replicas any_replicas() {
    Replicas replicas;
    for (auto& replica : replicas) {
      if (choices_.flag()) replica = any_endpoint();
    }
    return replicas;
  }

  void set_flow() {
    FlowSpec spec;
    const uint8_t bits = choices_.byte();
    const Bytes to = address();
    spec.action = static_cast<FlowAction>(bits & 3);
    const bool moves = spec.action == FlowAction::tunnel || spec.action == FlowAction::esp;
    const bool has_header = spec.action == FlowAction::tunnel || (bits & 4) != 0;
    if (moves && has_header) spec.header = keep(data_header_to(make_id(choices_.byte() & 7), spec.action == FlowAction::esp ? 4 : 1, choices_.byte()));
    if (spec.action == FlowAction::esp && !has_header) spec.locator = any_endpoint();
    if (moves) spec.source = keep(address_of(to.size() == 4 ? 4 : 6, own));
    spec.association = name();
    if ((bits & 8) != 0) spec.mtu = static_cast<uint16_t>(((bits & 16) != 0 ? 576 : 1'200) + choices_.byte());
    // To both, or to one.
    if (spec.action == FlowAction::esp && (bits & 0xc0) == 0x80) {
      spec.locator = any_endpoint();
      const uint8_t credit = choices_.byte();
      spec.credit_bytes = uint64_t{credit} * 16;
      spec.credit_account = credit & 1;
    }
    // As the skin sets them.
    if (spec.locator && (bits & 0x30) == 0x20) {
      spec.locator = peer;
      spec.way.via = Via::straight;
    }
    // Wrong in one thing.
    if ((bits & 0xf0) == 0x50) spec.credit_bytes = 1;
    if ((bits & 0xf0) == 0x10) spec.header = keep(choose_bytes(choices_, 600));
    if ((bits & 0xf0) == 0x20) spec.source = odd();
    if ((bits & 0xf0) == 0x30) spec.mtu = choices_.word();
    if ((bits & 0xf0) == 0x40) spec.locator = Endpoint();
    status(engine_.set_flow(to, spec, strength_));
  }
  void remove_flow() {
    const Bytes to = address();
    status(strength_ == strongest ? engine_.remove_flow(to) : engine_.remove_flow(to, strength_));
  }
  void set_behind() {
    const uint8_t bits = choices_.byte();
    const Bytes flow = address();
    if ((bits & 7) == 7) return status((bits & 16) != 0 ? engine_.set_forwarding(flow, (bits & 8) != 0, address()) : engine_.set_forwarding(flow, (bits & 8) != 0));
    if ((bits & 7) == 6) {
      const Bytes from = address();
      return status((bits & 0x38) == 0 ? engine_.remove_translation(flow, from) : engine_.set_translation(flow, from, address()));
    }
    const size_t whole = flow.size() * 8;
    const auto length = static_cast<uint8_t>((bits & 8) != 0 ? choices_.byte() : (bits & 16) != 0 ? 0 : whole);
    const Bytes host = (bits & 16) != 0 && flow.size() <= 16 ? keep(std::vector<uint8_t>(flow.size())) : address();
    status((bits & 0xc0) == 0xc0 ? engine_.remove_behind(host, length) : engine_.set_behind(host, length, flow));
    (void)engine_.behind_last_use_ms(host);
  }
  // And of which strength the next ways are.
  void set_services() {
    const uint8_t bits = choices_.byte();
    strength_ = static_cast<uint8_t>((bits & 7) == 7 ? bits : (bits & 7) % 3);
    const Bytes to = address();
    if ((bits & 0x30) == 0x30) return status(engine_.remove_services(to));
    std::vector<uint8_t> packed;
    for (size_t i = bits >> 6; i > 0; i--) {
      const uint8_t next = choose_protocol(choices_), count = choices_.byte();
      append(packed, std::vector<uint8_t>{next, static_cast<uint8_t>(count >> 6), static_cast<uint8_t>(count & 3)});
      append(packed, choose_bytes(choices_, (count & 3) * size_t{4}));
    }
    const Exact exact{Bytes(packed)};
    status(engine_.set_services(to, exact.view(), (bits & 8) != 0 ? 2 : choices_.byte() & 3));
  }

  RewriteSpec rewrites() {
    RewriteSpec spec;
    const uint8_t bits = choices_.byte();
    const uint8_t change = (bits & 1) != 0 ? 1 : 0;
    if ((bits & 2) == 0) spec.pairs4 = keep(pairs(4, bits >> 4 & 3, static_cast<uint8_t>(1 + change), static_cast<uint8_t>(own + change)));
    if ((bits & 4) == 0) spec.pairs6 = keep(pairs(6, bits >> 4 & 3, static_cast<uint8_t>(1 + change), static_cast<uint8_t>(own + change)));
    if ((bits & 0xc8) == 0xc8) spec.pairs6 = odd();
    return spec;
  }
  void set_inbound_tun() {
    const Bytes at = id();
    status(engine_.set_inbound_tun(at, address(), rewrites(), strength_));
  }

  TransformSpec transform() {
    const uint8_t bits = choices_.byte();
    const auto& keys = keys_.emplace_back(static_cast<uint8_t>(bits >> 2 & 1));
    TransformSpec made = keys.spec(static_cast<TransformKind>((bits & 3) % 3), (bits & 8) != 0 ? 16 : 32);
    if ((bits & 0xf0) == 0xf0) made.key = odd();
    if ((bits & 0xf0) == 0xe0) made.integrity_key = odd();
    return made;
  }
  uint8_t beet() { return std::array<uint8_t, 4>{0, 4, 6, 5}[choices_.byte() & 3]; }

  // No number twice: the counter of a name never falls while its SPI and keys stay.
  void set_outbound() {
    OutboundSpec spec;
    spec.transform = transform();
    spec.spi = spi();
    spec.beet = beet();
    spec.checksum_state = choices_.flag();
    const uint8_t bits = choices_.byte();
    if (bits > 200) spec.first_sequence = bits == 255 ? choices_.number(8) : UINT64_MAX - (bits & 3);
    status(engine_.set_outbound_association(name(), spec));
  }
  void remove_outbound() {
    const uint32_t n = name();
    status(engine_.remove_outbound_association(n));
    CHECK(!engine_.next_sequence(n));
  }
  void set_inbound() {
    InboundSpec spec;
    spec.transform = transform();
    spec.beet = beet();
    const uint8_t bits = choices_.byte();
    spec.checksum_state = (bits & 1) != 0;
    spec.watches = (bits & 2) != 0;
    if ((bits & 4) != 0) spec.watch_from = endpoint(static_cast<uint8_t>(bits >> 5), (bits & 0x18) == 0x18 ? 0 : 5'610);
    spec.flow = address();
    spec.rewrites = rewrites();
    spec.strength = strength_;
    status(engine_.set_inbound_association(spi(), spec));
  }

  void set_hip_responder() {
    const uint8_t bits = choices_.byte();
    if ((bits & 0x1f) == 0x1f) return engine_.remove_hip_responder();
    const ResponderBytes& bytes = responders_.emplace_back((bits & 1) != 0 ? Rhash::sha256 : Rhash::sha384, (bits & 2) != 0 ? 1'232 : 200);
    HipResponderSpec spec = bytes.spec();
    if ((bits & 4) != 0) spec.open_ids = keep(joined({make_id(8, 0), make_id(choices_.byte())}));
    if ((bits & 8) != 0) spec.puzzles = keep(make_puzzles(bits, make_id(choices_.byte())));
    if ((bits & 0x18) == 0x18) spec.group = 8;
    // Wrong in one thing.
    if ((bits & 0xe0) == 0x20) spec.puzzle_offset = static_cast<size_t>(choices_.number(8));
    if ((bits & 0xe0) == 0x40) spec.r1 = keep(choose_bytes(choices_, 1'300));
    if ((bits & 0xe0) == 0x60) spec.r1 = spec.r1.first(choices_.byte() % (spec.r1.size() + 1));
    if ((bits & 0xe0) == 0x80) spec.puzzles = (bits & 8) != 0 ? odd() : spec.puzzles.first(choices_.byte() % (spec.puzzles.size() + 1));
    if ((bits & 0xe0) == 0xc0) spec.open_ids = odd();
    if ((bits & 0xe0) == 0xa0) spec.rhash = spec.rhash == Rhash::sha256 ? Rhash::sha384 : Rhash::sha256;
    status(engine_.set_hip_responder(spec));
  }

  void set_triggers() {
    const uint8_t bits = choices_.byte();
    const Bytes at = key();
    std::vector<uint8_t> packed;
    const size_t count = (bits & 0x40) != 0 ? 126 + choices_.below(4) : bits & 7;
    for (size_t i = 0; i < count && at.size() == 16; i++) {
      const uint8_t kind = choices_.byte();
      append(packed, at);
      append(packed, std::vector<uint8_t>(16, static_cast<uint8_t>(kind & 0xf0)));
      packed.push_back(kind & 1);
      if ((kind & 1) == 0) append(packed, endpoint(static_cast<uint8_t>(kind >> 1 & 7)).bytes);
      else push_stack(packed, kind == 0xff ? choices_.below(17) : (kind >> 1 & 3) + size_t{1});
    }
    if ((bits & 0x98) == 0x98) packed.resize(packed.size() - std::min<size_t>(packed.size(), choices_.byte()));
    if ((bits & 0x98) == 0x90) append(packed, choose_bytes(choices_, 300));
    const Exact exact{Bytes(packed)};
    status(engine_.set_triggers(at, exact.view()));
  }
  void push_stack(std::vector<uint8_t>& packed, size_t ids) {
    packed.push_back(static_cast<uint8_t>(ids));
    for (size_t i = 0; i < ids; i++) append(packed, make_id(choices_.byte() & 7, choices_.byte()));
  }

  void set_responsibility() {
    const uint8_t bits = choices_.byte() & 3;
    const Bytes from = key(), to = key();
    status(bits == 0 ? engine_.set_responsibility_none() : bits == 1 ? engine_.set_responsibility_all() : engine_.set_responsibility_range(from, to));
  }
  void set_neighbours() {
    std::vector<uint8_t> endpoints;
    for (size_t left = choices_.below(4); left > 0; left--) {
      const Endpoint endpoint = any_endpoint();
      endpoints.insert(endpoints.end(), endpoint.bytes.begin(), endpoint.bytes.end());
    }
    if (choices_.flag()) endpoints.resize(endpoints.size() / 2);
    status(engine_.set_neighbours(endpoints));
  }
  void set_next_server() {
    const uint8_t bits = choices_.byte() & 7;
    const std::optional<Endpoint> to = (bits & 1) != 0 ? std::nullopt : std::optional(any_endpoint());
    if ((bits & 4) != 0) status(engine_.set_pass_on(to, (bits & 2) != 0 ? std::nullopt : std::optional(any_endpoint())));
    else if (bits == 3) engine_.set_uplink(choices_.byte());
    else if ((bits & 2) != 0) engine_.set_default_server(to);
    else status(engine_.set_next_server(key(), to));
  }

  void output() {
    switch (choices_.below(4)) {
      case 0: return engine_.send(any_endpoint(), choose_bytes(choices_, 65'535));
      case 1: return engine_.inject(joined({std::vector<uint8_t>{raw_mark}, choose_bytes(choices_, 2'000)}));
      case 2: return engine_.submit(choose_packet(choices_, false));
      case 3: {
        const Bytes to = id();
        return status(engine_.deliver(to, choose_packet(choices_, true)));
      }
    }
  }

  // On or off, datagrams that came by it, and one that does not take it.
  void detour() {
    const uint8_t bits = choices_.byte();
    if ((bits & 3) < 2) {
      sink_.only_to = (bits & 3) == 0 ? std::optional(peer) : std::nullopt;
      return engine_.set_detour((bits & 3) == 0);
    }
    if ((bits & 3) == 2) {
      Way way;
      way.via = Via::straight;
      way.is_whole = (bits & 4) != 0;
      way.interface_index = bits >> 6;
      const std::vector<uint8_t> bytes = choose_bytes(choices_, 65'535);
      return engine_.send(peer, bytes, way);
    }
    std::vector<Engine::Outgoing> arrived;
    std::deque<std::vector<uint8_t>> kept;
    for (size_t i = 0; i <= (bits >> 2 & 3u); i++) {
      const Endpoint from = (bits & 0xf0) == 0xf0 ? endpoint(1, 0) : any_endpoint();
      arrived.push_back({from, Way(), kept.emplace_back(datagram((bits & 0x10) != 0))});
    }
    engine_.take_detoured(arrived);
  }
  std::vector<uint8_t> datagram(bool is_known) {
    if (is_known && !sink_.datagrams.empty()) return sink_.datagrams[choices_.below(sink_.datagrams.size())].bytes;
    if (choices_.flag()) return hip();
    return joined({data_header_to(make_id(choices_.byte() & 7, choices_.byte()), choices_.byte() & 7, choices_.byte() & 5), choose_packet(choices_, true, max_datagram - 600)});
  }

  void leases() {
    const uint8_t bits = choices_.byte();
    const Bytes to = id();
    const std::vector<uint8_t> token = refresh_token(bits >> 3);
    if ((bits & 7) < 3) return status(engine_.set_lease(to, {any_endpoint(), (bits & 7) == 2 ? Bytes(odd()) : Bytes(token), static_cast<uint16_t>(bits >> 3), static_cast<double>(choices_.word()), choices_.flag()}));
    if ((bits & 7) == 3) return status(engine_.remove_lease(to));
    if ((bits & 7) == 4) return status(engine_.set_refresh_answers(choices_.byte() & 3, choices_.flag() ? key() : Bytes(), choices_.flag() ? key() : Bytes(), any_replicas(), choices_.word()));
    if ((bits & 7) == 5) return choices_.flag() ? engine_.remove_refresh_answers() : engine_.remove_challenge_answers();
    if ((bits & 7) == 6) {
      const std::vector<uint8_t> secret(choices_.flag() ? 32 : choices_.byte(), 3);
      return status(engine_.set_challenge_answers({static_cast<uint8_t>(choices_.byte() & 3), choices_.flag() ? key() : Bytes(), choices_.flag() ? key() : Bytes(), secret, key(), uint64_t{choices_.word()} << (bits >> 3)}));
    }
    std::vector<Refreshed> refreshed;
    engine_.take_refreshed(refreshed);
    CHECK(refreshed.size() <= 256);
    for (const Refreshed& one : refreshed) CHECK(one.times > 0);
  }
  void look() {
    upcalls_.clear();
    const size_t left = engine_.take_upcalls(upcalls_);
    CHECK(upcalls_.size() <= 256 && (left == 0 || upcalls_.size() == 256) && engine_.upcalls_wait() == (left > 0));
    taken_ += upcalls_.size();
    for (const Upcall& upcall : upcalls_) CHECK(upcall.name_bytes <= 32 && naive_sum(upcall.bytes) <= 0xffff);
    const auto report = engine_.report(address());
    if (report) CHECK(report->bytes_out >= report->packets_out && report->bytes_in >= report->packets_in);
    CHECK(engine_.table_bytes() < 16u << 20);
    check_totals();
    now_ms_ += choices_.byte() * 10;
  }
  void check_totals() {
    const Engine::Totals totals = engine_.totals();
    CHECK(totals.upcalls == taken_ && signals_ >= taken_);
    CHECK(totals.udp_out == sink_.datagram_count && totals.tun_out == sink_.packet_count);
    CHECK(totals.tun_in == tun_in_ || tun_in_ == 0 || totals.tun_in > tun_in_);
  }

  template <typename Act>
  void batch(size_t index, Act act) {
    Lane& lane = engine_.lane(index);
    lane.lock();
    lane.begin(now_ms_, sink_, sink_.capabilities);
    act();
    lane.end();
    lane.unlock();
    inputs_.clear();
  }
  void lane_batch() {
    const uint8_t bits = choices_.byte();
    sink_.capabilities = {(bits & 4) == 0, (bits & 8) == 0, (bits & 16) == 0, (bits & 32) == 0};
    batch(bits & 1, [&] {
      Lane& lane = engine_.lane(bits & 1);
      for (size_t i = 0; i < 1 + (bits >> 6); i++) {
        if ((bits & 2) == 0) tun(lane);
        else udp(lane);
      }
    });
  }
  void tun(Lane& lane) {
    const std::vector<uint8_t> packet = choose_packet(choices_, false);
    const VnetHeader vnet = choose_vnet(choices_, packet);
    const Exact buffer(packet.size() + Lane::tun_slack_bytes);
    copy_to(buffer.view(), 0, packet);
    lane.from_tun(buffer.view(), packet.size(), vnet);
    tun_in_++;
  }
  // An I1 or another packet, straight or to one of our ids, perhaps changed in a byte or cut.
  std::vector<uint8_t> hip() {
    const uint8_t bits = choices_.byte();
    std::vector<uint8_t> made = (bits & 1) != 0 ? make_i1(choices_.byte(), make_id(choices_.byte() & 7), (bits & 2) != 0 ? 1'232 : 200) : (bits & 2) != 0 ? make_i2(choices_.byte(), make_id(choices_.byte() & 7), choices_.flag() ? Rhash::sha256 : Rhash::sha384, choices_.flag() ? 0x0102 : choices_.byte()) : hip_packet(choices_.byte(), make_hit(1), make_hit(own));
    for (size_t i = (bits >> 2) & 3; i > 0 && made.size() < 1'700; i--) append_parameter(made, choices_.word(), choose_bytes(choices_, 300));
    if ((bits & 0x10) != 0) made[choices_.word() % made.size()] ^= choices_.byte();
    if ((bits & 0x60) == 0x60) made.resize(choices_.word() % made.size());
    return joined({(bits & 0x80) != 0 ? std::vector<uint8_t>(4) : data_header_to(make_id(choices_.byte() & 7), 3), made});
  }
  void udp(Lane& lane) {
    const uint8_t bits = choices_.byte();
    std::vector<uint8_t> bytes;
    size_t segment = 0;
    if ((bits & 1) != 0 && !sink_.datagrams.empty()) {
      bytes = sink_.datagrams[choices_.below(sink_.datagrams.size())].bytes;
      // A sealed packet behind a header, or one of ours to another of our ids.
      if ((bits & 2) != 0 && bytes.size() >= 48) copy_to(bytes, 16, make_id(choices_.byte() & 7, choices_.byte()));
    } else {
      bytes = data_header_to(make_id(choices_.byte() & 7, choices_.byte()), choices_.byte() & 7, choices_.byte() & 5);
      append(bytes, (bits & 2) != 0 ? choose_packet(choices_, true, max_datagram - 600) : choose_bytes(choices_, max_datagram - 600));
    }
    if ((bits & 0xf8) == 0xf8) bytes = hip();
    if ((bits & 4) != 0 && !bytes.empty()) {
      segment = bytes.size();
      const std::vector<uint8_t> one = bytes;
      for (size_t i = bits >> 3; i > 0 && bytes.size() + segment <= max_datagram; i--) append(bytes, one);
    }
    const MutableBytes kept = inputs_.emplace_back(Bytes(bytes)).view();
    const UdpInput input{kept, segment, any_endpoint(), bits};
    UdpPlace place;
    while (!lane.from_udp(std::span(&input, 1), place)) {
      lane.end();
      lane.begin(now_ms_, sink_, sink_.capabilities);
    }
  }

  Choices choices_;
  Engine engine_;
  CheckingSink sink_;
  double now_ms_ = 1;
  uint8_t strength_ = strongest;
  uint64_t signals_ = 0, taken_ = 0, tun_in_ = 0;
  std::deque<std::vector<uint8_t>> kept_;
  std::deque<KeyBytes> keys_;
  std::deque<ResponderBytes> responders_;
  std::deque<Exact> inputs_;
  std::vector<Upcall> upcalls_;
};

}  // namespace
}  // namespace i3::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  i3::test::Program(i3::test::Choices({data, size})).play();
  return 0;
}
