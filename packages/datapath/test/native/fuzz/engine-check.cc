// Tests of the library alone, which run under the sanitizers: models, bounds of the tables, sequence numbers, wiping of keys. Each prints its
// name; the first that fails ends the program.
// For the states of SHA-2.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <cstdio>
#include <cstring>
#include <random>
#include <set>
#include <unordered_map>

#include "associations.h"
#include "batch-check.h"
#include "checksum.h"
#include "detour-check.h"
#include "inner-maker.h"
#include "lane.h"
#include "limits.h"
#include "services-check.h"
#include "specs.h"
#include "tracked-memory.h"

namespace i3::test {
namespace {

constexpr std::array<uint8_t, 16> seed{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3};
std::mt19937_64 random_bits;

uint64_t below(uint64_t bound) { return random_bits() % bound; }
std::vector<uint8_t> random_bytes(size_t length) {
  std::vector<uint8_t> made(length);
  for (uint8_t& byte : made) byte = static_cast<uint8_t>(random_bits());
  return made;
}

template <typename Act>
void batch(Engine& engine, size_t lane, CheckingSink& sink, Act act) {
  engine.lane(lane).lock();
  engine.lane(lane).begin(1, sink, sink.capabilities);
  act(engine.lane(lane));
  engine.lane(lane).end();
  engine.lane(lane).unlock();
}
void from_tun(Lane& lane, Bytes packet) {
  const Exact buffer(packet.size() + Lane::tun_slack_bytes);
  copy_to(buffer.view(), 0, packet);
  lane.from_tun(buffer.view(), packet.size(), {});
}
void from_udp(Lane& lane, MutableBytes bytes) {
  const UdpInput input{bytes, 0, endpoint(1), 0};
  UdpPlace place;
  CHECK(lane.from_udp(std::span(&input, 1), place));
}
std::vector<uint8_t> tcp_packet(unsigned version, uint8_t to, size_t payload, uint8_t from = own) {
  std::vector<uint8_t> made = random_bytes((version == 4 ? 20 : 40) + 20 + payload);
  put8(made, 1, 0);
  if (version == 6) put8(made, 0, 0x60);
  if (version == 6) put16(made, 2, 0);
  if (version == 4) put16(made, 4, 0);
  made[version == 4 ? 33 : 53] = 0x10;
  mend(made, Mend(static_cast<uint8_t>((version == 4 ? 0 : 1) | 16 | 32)), from, to, 6);
  return made;
}

void checksums() {
  for (int i = 0; i < 20'000; i++) {
    auto bytes = random_bytes(below(300));
    if (below(4) == 0) std::fill(bytes.begin(), bytes.end(), below(2) == 0 ? 0xff : 0);
    const size_t skipped = below(std::min<size_t>(bytes.size(), 9) + 1);
    CHECK(sum_words(Bytes(bytes).subspan(skipped)) == naive_sum(Bytes(bytes).subspan(skipped)));
  }
}

// Few different hashes, so that runs of slots collide and removals move entries up.
void hash_index() {
  HashIndex index;
  std::unordered_map<uint32_t, uint32_t> model;
  for (int i = 0; i < 200'000; i++) {
    const auto entry = static_cast<uint32_t>(below(3'000));
    const uint32_t hash = entry % 5 == 0 ? 63 : entry * 2'654'435'761u >> (entry % 3 * 8);
    if (model.contains(entry) && below(2) == 0) {
      index.remove(hash, entry);
      model.erase(entry);
    } else if (!model.contains(entry)) {
      if (index.is_full()) index = index.grown();
      index.insert(hash, entry);
      model[entry] = hash;
    }
    CHECK(index.size() == model.size());
    const auto wanted = static_cast<uint32_t>(below(3'000));
    const uint32_t wanted_hash = wanted % 5 == 0 ? 63 : wanted * 2'654'435'761u >> (wanted % 3 * 8);
    CHECK(index.find(wanted_hash, [&](uint32_t it) { return it == wanted; }) == (model.contains(wanted) ? wanted : HashIndex::none));
  }
}

// The number in [bottom of the window, + 2^32) that ends in `low`.
std::optional<uint64_t> naive_infer(uint64_t highest, uint32_t low) {
  const __int128 bottom = static_cast<__int128>(highest) - 8'191;
  const __int128 span = static_cast<__int128>(1) << 32;
  __int128 candidate = (bottom & ~(span - 1)) | low;
  if (candidate < bottom) candidate += span;
  if (candidate < 0 || candidate >> 64 != 0) return std::nullopt;
  return static_cast<uint64_t>(candidate);
}

void replay_window() {
  for (int run = 0; run < 200; run++) {
    ReplayWindow window;
    uint64_t highest = 0;
    std::set<uint64_t> seen;
    const auto accepts = [&](uint64_t n) { return n != 0 && (n > highest || (highest - n < 8'192 && !seen.contains(n))); };
    for (int i = 0; i < 1'500; i++) {
      const uint64_t jump = std::array<uint64_t, 8>{1, 2, 65, 3'000, 8'191, 8'192, 20'000, uint64_t{1} << (20 + below(44))}[below(below(30) == 0 ? 8 : 4)];
      const uint64_t sequence = below(2) == 0 ? highest + jump : highest - below(9'000);
      CHECK(window.accepts(sequence) == accepts(sequence));
      const auto low = static_cast<uint32_t>(below(3) == 0 ? random_bits() : sequence);
      CHECK(window.infer(low) == naive_infer(highest, low));
      if (!accepts(sequence)) continue;
      window.mark(sequence);
      highest = std::max(highest, sequence);
      seen.insert(sequence);
    }
  }
}

// Both directions of every transform, with and without header: what comes out is what went in.
void round_trips() {
  for (uint32_t n = 1; n <= associations; n++) {
    const KeyBytes keys(static_cast<uint8_t>(n));
    Engine sender(seed, 1), receiver(seed, 2);
    OutboundSpec out;
    out.transform = keys.spec(kind_of(n), key_bytes_of(n));
    out.spi = first_spi + n;
    out.beet = beet_of(n);
    CHECK(sender.set_outbound_association(n, out) == Status::ok);
    InboundSpec in;
    in.transform = out.transform;
    in.beet = out.beet;
    const auto flow = address4(own), pairs4 = pairs(4, 1, 1, own), pairs6 = pairs(6, 1, 1, own);
    in.flow = flow;
    in.rewrites = {pairs4, pairs6};
    CHECK(receiver.set_inbound_association(first_spi + n, in) == Status::ok);
    FlowSpec spec;
    spec.action = FlowAction::esp;
    spec.association = n;
    spec.locator = endpoint(9);
    for (const unsigned version : {4u, 6u}) {
      const auto source = address_of(version, 1);
      spec.source = source;
      CHECK(sender.set_flow(address_of(version, own), spec) == Status::ok);
    }
    CheckingSink sent, received;
    received.capabilities = {false, false, false, false};
    for (int i = 0; i < 300; i++) {
      const auto packet = tcp_packet(i % 2 == 0 ? 4 : 6, own, below(1'400), 1);
      batch(sender, 0, sent, [&](Lane& lane) { from_tun(lane, packet); });
      CHECK(sent.datagrams.size() == 1);
      Exact datagram{Bytes(sent.datagrams[0].bytes)};
      sent.datagrams.clear();
      const Exact again{Bytes(datagram.view())};
      const size_t lane = below(2);
      batch(receiver, lane, received, [&](Lane& to) { from_udp(to, datagram.view()); });
      batch(receiver, 1 - lane, received, [&](Lane& to) { from_udp(to, again.view()); });
      CHECK(received.packets.size() == 1 && received.packets[0] == packet);
      received.packets.clear();
    }
    CHECK(receiver.totals().drops[static_cast<size_t>(Drop::replay)] == 300);
  }
}

// Two lanes, the control plane's own packets, and the association set again with every first number: each sequence number leaves once.
void sequence_numbers() {
  Engine engine(seed, 2);
  const KeyBytes keys(1);
  OutboundSpec out;
  out.transform = keys.spec(TransformKind::aes_gcm, 16);
  out.spi = first_spi;
  FlowSpec spec;
  spec.action = FlowAction::esp;
  spec.association = 1;
  spec.locator = endpoint(9);
  const auto source = address4(own), destination = address4(1);
  spec.source = source;
  CHECK(engine.set_flow(destination, spec) == Status::ok);
  CheckingSink sink;
  std::set<uint64_t> used;
  uint64_t sent = 0;
  for (int i = 0; i < 5'000; i++) {
    if (below(5) == 0) {
      const uint64_t next = engine.next_sequence(1).value_or(1);
      out.first_sequence = below(3) == 0 ? next + below(5) : 1 + below(next + 3);
      out.beet = below(2) == 0 ? 4 : 0;
      out.checksum_state = below(2) == 0;
      CHECK(engine.set_outbound_association(1, out) == Status::ok);
      CHECK(engine.next_sequence(1) == std::max(next, out.first_sequence));
    }
    const auto packet = tcp_packet(4, 1, below(100));
    if (below(4) == 0) engine.submit(packet);
    batch(engine, below(2), sink, [&](Lane& lane) { from_tun(lane, packet); });
    for (const auto& datagram : sink.datagrams) {
      CHECK(u32(datagram.bytes, 4) == static_cast<uint32_t>(u64(datagram.bytes, 8)));
      CHECK(used.insert(u64(datagram.bytes, 8)).second);
      sent++;
    }
    sink.datagrams.clear();
  }
  CHECK(sent > 5'000 && used.size() == sent);
  // The last number of all, and none after it, however often it is set.
  out.first_sequence = UINT64_MAX;
  for (int i = 0; i < 3; i++) {
    CHECK(engine.set_outbound_association(1, out) == Status::ok);
    const auto packet = tcp_packet(4, 1, 10);
    batch(engine, 0, sink, [&](Lane& lane) { from_tun(lane, packet); });
  }
  CHECK(sink.datagrams.size() == 1 && u64(sink.datagrams[0].bytes, 8) == UINT64_MAX && engine.next_sequence(1) == 0);
}

// Not on the heap.
std::array<uint8_t, 32> secret_key, secret_mac;
std::array<uint8_t, 4> secret_salt;
TransformSpec secret_spec(TransformKind kind) {
  TransformSpec made;
  made.kind = kind;
  if (kind != TransformKind::null_hmac) made.key = secret_key;
  if (kind == TransformKind::aes_gcm) made.salt = secret_salt;
  else made.integrity_key = secret_mac;
  return made;
}
void set_secret(Engine& engine, TransformKind kind) {
  OutboundSpec out;
  out.transform = secret_spec(kind);
  out.spi = first_spi;
  CHECK(engine.set_outbound_association(1, out) == Status::ok);
  InboundSpec in;
  const auto flow = address4(1);
  in.transform = out.transform;
  in.flow = flow;
  CHECK(engine.set_inbound_association(first_spi, in) == Status::ok);
}

// After removal, replacement or the engine's end no memory holds them, nor did any when it was given back.
void wiping(TransformKind kind, Bytes secret, int way) {
  watch_freed(secret);
  auto engine = std::make_unique<Engine>(seed, 2);
  set_secret(*engine, kind);
  set_secret(*engine, kind);
  CHECK(count_in_memory(secret) > 0);
  FlowSpec spec;
  spec.action = FlowAction::esp;
  spec.association = 1;
  spec.locator = endpoint(9);
  const auto source = address4(own);
  spec.source = source;
  CHECK(engine->set_flow(address4(1), spec) == Status::ok);
  CheckingSink sink;
  for (size_t i = 0; i < 2; i++) {
    batch(*engine, i, sink, [&](Lane& lane) {
      from_tun(lane, tcp_packet(4, 1, 100));
      auto& bytes = sink.datagrams;
      if (!bytes.empty()) from_udp(lane, bytes.front().bytes);
    });
  }
  if (way == 0) {
    engine->remove_outbound_association(1);
    engine->remove_inbound_association(first_spi);
  } else if (way == 1) {
    const KeyBytes other(9);
    OutboundSpec out;
    out.transform = other.spec(kind, 32);
    out.spi = first_spi;
    CHECK(engine->set_outbound_association(1, out) == Status::ok);
    InboundSpec in;
    const auto flow = address4(1);
    in.transform = out.transform;
    in.flow = flow;
    CHECK(engine->set_inbound_association(first_spi, in) == Status::ok);
  } else {
    engine.reset();
  }
  CHECK(count_in_memory(secret) == 0);
  CHECK(found_in_freed() == 0);
  watch_freed({});
}

void key_wiping() {
  for (auto* bytes : {&secret_key, &secret_mac}) {
    for (uint8_t& byte : *bytes) byte = static_cast<uint8_t>(random_bits());
  }
  for (uint8_t& byte : secret_salt) byte = static_cast<uint8_t>(random_bits());
  for (int way = 0; way < 3; way++) {
    wiping(TransformKind::aes_gcm, Bytes(secret_key).first(16), way);
    wiping(TransformKind::aes_gcm, secret_salt, way);
    wiping(TransformKind::aes_cbc_hmac, Bytes(secret_key).first(16), way);
    wiping(TransformKind::aes_cbc_hmac, Bytes(secret_mac).first(16), way);
    wiping(TransformKind::null_hmac, Bytes(secret_mac).first(16), way);
  }
}

// The state that a padded key leads to: whoever has the two of a key can make its MACs.
template <typename Context>
Bytes state_of(Context& context, int (*init)(Context*), int (*update)(Context*, const void*, size_t), Bytes secret, size_t block_bytes, uint8_t pad) {
  std::array<uint8_t, 128> block{};
  copy_to(block, 0, secret);
  for (uint8_t& byte : block) byte ^= pad;
  init(&context);
  update(&context, block.data(), block_bytes);
  return {reinterpret_cast<const uint8_t*>(context.h), sizeof(context.h)};
}

// Neither the secret nor what HMAC makes of it is left behind.
void responder_wiping() {
  static std::array<uint8_t, 32> secret;
  static std::array<SHA256_CTX, 2> sha256;
  static std::array<SHA512_CTX, 2> sha384;
  for (uint8_t& byte : secret) byte = static_cast<uint8_t>(random_bits());
  for (const Rhash rhash : {Rhash::sha256, Rhash::sha384}) {
    const auto padded = [&](size_t i) {
      const uint8_t pad = i == 0 ? 0x36 : 0x5c;
      return rhash == Rhash::sha256 ? state_of(sha256[i], SHA256_Init, SHA256_Update, secret, 64, pad) : state_of(sha384[i], SHA384_Init, SHA384_Update, secret, 128, pad);
    };
    for (const Bytes watched : {Bytes(secret), padded(0), padded(1)}) {
      for (int way = 0; way < 3; way++) {
        watch_freed(watched);
        auto engine = std::make_unique<Engine>(seed, 2);
        ResponderBytes responder(rhash);
        HipResponderSpec spec = responder.spec();
        // Not in memory that is watched.
        static std::array<uint8_t, 70> puzzles;
        copy_to(puzzles, 0, spec.puzzles);
        copy_to(puzzles, 3, secret);
        spec.puzzles = puzzles;
        CHECK(engine->set_hip_responder(spec) == Status::ok);
        CHECK(count_in_memory(watched) == (watched.data() == secret.data() ? 0 : 1));
        CheckingSink sink;
        for (size_t i = 0; i < 2; i++) {
          auto i1 = joined({std::vector<uint8_t>(4), make_i1(1, make_id(1), 320)});
          auto i2 = joined({std::vector<uint8_t>(4), make_i2(1, make_id(1), rhash, 0x0102)});
          batch(*engine, i, sink, [&](Lane& lane) { from_udp(lane, i1); from_udp(lane, i2); });
        }
        CHECK(sink.datagrams.size() == 2 && engine->totals().drops[static_cast<size_t>(Drop::puzzle)] == 2);
        if (way == 0) engine->remove_hip_responder();
        else if (way == 1) CHECK(engine->set_hip_responder(responder.spec()) == Status::ok);
        else engine.reset();
        CHECK(count_in_memory(watched) == 0);
        CHECK(found_in_freed() == 0);
        watch_freed({});
      }
    }
  }
}

// Takes what it is given and keeps nothing.
class CountingSink : public Sink {
 public:
  void send(std::span<const UdpMessage> messages) override {
    for (const UdpMessage& message : messages) datagrams += message.segments;
  }
  void write(const TunPacket&) override {}
  size_t datagrams = 0;
};

// Once every source that may have a bucket has one, a flood of I1 and I2 from forged sources allocates nothing, whether I1s are answered or not.
void answers_allocate_nothing() {
  for (const Rhash rhash : {Rhash::sha256, Rhash::sha384}) {
    Engine engine(seed, 1);
    ResponderBytes responder(rhash);
    CHECK(engine.set_hip_responder(responder.spec()) == Status::ok && engine.set_inbound_upcall(make_id(8)) == Status::ok);
    engine.set_default_server(endpoint(9));
    auto straight = joined({std::vector<uint8_t>(4), make_i1(1, make_id(1), 320)});
    auto behind = joined({data_header_to(make_id(8), 3), make_i1(1, make_id(1), 320)});
    auto solution = joined({std::vector<uint8_t>(4), make_i2(1, make_id(1), rhash, 0x0101)});
    std::array<UdpInput, 64> inputs;
    CountingSink sink;
    uint32_t source = 0;
    double now_ms = 1;
    const auto flood = [&](size_t batches) {
      for (size_t i = 0; i < batches; i++) {
        for (UdpInput& input : inputs) {
          ++source;
          input = {source % 4 == 1 ? solution : source % 3 == 0 ? behind : straight, 0, endpoint(1), 0};
          put32(input.from.bytes, 12, source * 2'654'435'761u);
        }
        now_ms += 10;
        Lane& lane = engine.lane(0);
        lane.lock();
        lane.begin(now_ms, sink, {});
        UdpPlace place;
        while (!lane.from_udp(inputs, place)) {
          lane.end();
          lane.begin(now_ms, sink, {});
        }
        lane.end();
        lane.unlock();
      }
    };
    // Twice as long as it takes to fill the table, and to empty it.
    flood(1'000);
    const size_t before = allocations_made(), answered = engine.totals().hip_answered;
    flood(2'000);
    CHECK(engine.totals().hip_answered - answered > 40'000 && engine.totals().drops[static_cast<size_t>(Drop::puzzle)] == 3'000 * 64 / 4);
    CHECK(engine.totals().hip_answered == sink.datagrams);
    CHECK(allocations_made() == before);
  }
}

void nothing_leaks() {
  size_t before = 0;
  for (int round = 0; round < 4; round++) {
    // The first round makes what OpenSSL keeps for ever.
    if (round == 1) before = live_allocations();
    Engine engine(seed, 2);
    set_secret(engine, static_cast<TransformKind>(round % 3 == 0 ? 1 : round % 3 - 1));
    for (uint8_t n = 0; n < 100; n++) engine.set_flow(address4(n), {});
    for (int i = 0; i < 200; i++) engine.submit(tcp_packet(4, static_cast<uint8_t>(below(120)), 10));
  }
  CHECK(live_allocations() == before);
}

struct Numbered {
  explicit Numbered(uint32_t number_) : number(number_) {}
  uint32_t number;
};

// Up to each bound, not beyond it; what was removed makes room, and memory stays within reason.
void table_bounds() {
  Engine engine(seed, 1);
  std::array<uint8_t, 32> name{};
  const auto numbered = [&](uint32_t n, size_t bytes) {
    put32(name, 0, n);
    return Bytes(name).first(bytes);
  };
  const auto fill = [&](const char* what, size_t bound, size_t bytes_each, auto set, auto remove) {
    const size_t before = engine.table_bytes();
    for (uint32_t n = 0; n < bound; n++) CHECK(set(n) == Status::ok);
    CHECK(set(static_cast<uint32_t>(bound)) == Status::full);
    CHECK(set(7) == Status::ok);
    const size_t full = engine.table_bytes();
    std::printf("  %s: %zu bytes each\n", what, (full - before) / bound);
    CHECK(full - before <= bound * bytes_each);
    for (uint32_t n = 0; n < bound; n++) remove(n);
    for (uint32_t n = 0; n < bound; n += 64) CHECK(set(n + 5'000'000) == Status::ok);
    // And the numbers of the places that are free.
    CHECK(engine.table_bytes() <= full + bound * 8);
    for (uint32_t n = 0; n < bound; n += 64) remove(n + 5'000'000);
  };
  fill("flows", limits::flows, 256, [&](uint32_t n) { return engine.set_flow(numbered(n, 16), {}); }, [&](uint32_t n) { engine.remove_flow(numbered(n, 16)); });
  fill("inbound", limits::inbound, 320, [&](uint32_t n) { return engine.set_inbound_upcall(numbered(n, 32)); }, [&](uint32_t n) { engine.remove_inbound(numbered(n, 32)); });
  fill("next servers", limits::next_servers, 100, [&](uint32_t n) { return engine.set_next_server(numbered(n, 16), endpoint(1)); },
       [&](uint32_t n) { engine.set_next_server(numbered(n, 16), std::nullopt); });
  std::vector<uint8_t> packed;
  const auto set_triggers = [&](uint32_t n) {
    packed = joined({numbered(n, 32), std::vector<uint8_t>{0}, endpoint(1).bytes});
    return engine.set_triggers(numbered(n, 16), packed);
  };
  fill("triggers", limits::triggers, 100, set_triggers, [&](uint32_t n) { engine.set_triggers(numbered(n, 16), {}); });
  AssociationTable<Numbered> table;
  const Hasher hasher(seed);
  Gates gates(1);
  for (uint32_t n = 0; n < limits::associations; n++) CHECK(table.set(std::make_unique<Numbered>(n), hasher, gates) == Status::ok);
  CHECK(table.set(std::make_unique<Numbered>(0xffff'ffff), hasher, gates) == Status::full);
  for (uint32_t n = 0; n < limits::associations; n++) CHECK(table.find(n, hasher)->number == n);
  for (uint32_t n = 0; n < limits::associations; n += 2) table.remove(n, hasher, gates);
  for (uint32_t n = 0; n < limits::associations; n++) CHECK((table.find(n, hasher) != nullptr) == (n % 2 == 1));
}

// Shapes that the skin never passes, from a caller who is wrong.
void wrong_shapes() {
  Engine engine(seed, 1);
  const auto to = address4(1), long_bytes = random_bytes(100), short_header = std::vector<uint8_t>{0x11, 0};
  for (const FlowAction action : {FlowAction::setup, FlowAction::refuse, FlowAction::tunnel, FlowAction::esp}) {
    FlowSpec spec;
    spec.action = action;
    spec.source = long_bytes;
    CHECK(engine.set_flow(to, spec) == Status::invalid);
    spec.source = {};
    spec.header = short_header;
    CHECK(engine.set_flow(to, spec) == Status::invalid);
  }
  const auto some_token = refresh_token(0);
  CHECK(engine.set_lease(make_id(1), {endpoint(1, 0), some_token, 0, 1, false}) == Status::invalid && engine.set_refresh_answers(3, {}, {}, {}, 1) == Status::invalid);
  const auto key_bytes = std::vector<uint8_t>(16, 1), secret_bytes = std::vector<uint8_t>(32, 1);
  CHECK(engine.set_challenge_answers({0, {}, {}, secret_bytes, key_bytes, uint64_t{1} << 52}) == Status::ok && engine.set_challenge_answers({3, {}, {}, secret_bytes, key_bytes, 0}) == Status::invalid);
  CHECK(engine.set_challenge_answers({0, {}, {}, secret_bytes, key_bytes, (uint64_t{1} << 52) + 1}) == Status::invalid && engine.set_challenge_answers({0, key_bytes, {}, secret_bytes, key_bytes, 0}) == Status::invalid);
  CHECK(engine.set_refresh_answers(0, {}, {}, {endpoint(1, 0)}, 1) == Status::invalid && engine.set_refresh_answers(0, {}, {}, {}, 0) == Status::invalid);
  const ResponderBytes responder(Rhash::sha384, 1'232), longer(Rhash::sha384, 1'240);
  const HipResponderSpec good = responder.spec();
  CHECK(engine.set_hip_responder(good) == Status::ok);
  for (size_t size = 0; size <= good.r1.size(); size++) {
    HipResponderSpec spec = good;
    const Exact cut(good.r1.first(size));
    spec.r1 = cut.view();
    CHECK((engine.set_hip_responder(spec) == Status::ok) == (size == good.r1.size()));
    spec = good;
    spec.puzzle_offset = size;
    CHECK((engine.set_hip_responder(spec) == Status::ok) == (size == 44));
  }
  for (const size_t offset : {size_t{1'233}, size_t{65'535}, SIZE_MAX - 3, SIZE_MAX}) {
    HipResponderSpec spec = good;
    spec.puzzle_offset = offset;
    CHECK(engine.set_hip_responder(spec) == Status::invalid);
  }
  CHECK(engine.set_hip_responder(longer.spec()) == Status::invalid);
  for (size_t size = 0; size < 40; size++) {
    HipResponderSpec spec = good;
    spec.puzzles = good.puzzles.first(size);
    CHECK((engine.set_hip_responder(spec) == Status::ok) == (size == 35));
    spec = good;
    spec.hit = Bytes(long_bytes).first(size);
    CHECK(engine.set_hip_responder(spec) == Status::invalid);
    const Bytes bytes = Bytes(long_bytes).first(size);
    const bool is_address = size == 4 || size == 16;
    CHECK((engine.set_flow(bytes, {}) == Status::ok) == is_address && (engine.release(bytes) == Status::ok) == is_address);
    CHECK((engine.set_inbound_upcall(bytes) == Status::ok) == (size == 32) && (engine.set_inbound_tun(bytes, to, {}) == Status::ok) == (size == 32));
    CHECK((engine.set_known_source(bytes, true) == Status::ok) == (size == 16) && (engine.set_known_source(bytes, false) == Status::ok) == (size == 16));
    CHECK((engine.set_neighbours(bytes) == Status::ok) == (size % sizeof(Endpoint::bytes) == 0));
    CHECK((engine.set_triggers(bytes, {}) == Status::ok) == (size == 16) && (engine.discard_route(bytes) == Status::ok) == (size == 16));
    const auto token = refresh_token(0);
    CHECK((engine.set_lease(bytes, {endpoint(1), token, 0, 1, false}) == Status::ok) == (size == 32) && (engine.remove_lease(bytes) == Status::ok) == (size == 32));
    CHECK((engine.set_lease(make_id(1), {endpoint(1), bytes, 0, 1, false}) == Status::ok) == (size == 16));
    CHECK((engine.set_challenge_answers({0, {}, {}, bytes, key_bytes, 0}) == Status::ok) == (size == 32) && (engine.set_challenge_answers({0, {}, {}, secret_bytes, bytes, 0}) == Status::ok) == (size == 16));
    CHECK((engine.set_challenge_answers({2, bytes, bytes, secret_bytes, key_bytes, 0}) == Status::ok) == (size == 16));
    CHECK((engine.set_refresh_answers(2, bytes, bytes, {}, 1) == Status::ok) == (size == 16) && (engine.set_refresh_answers(0, bytes, bytes, {endpoint(1)}, 1) == Status::ok) == (size == 0));
    CHECK((engine.set_responsibility_range(bytes, bytes) == Status::ok) == (size == 16) && engine.report(bytes).has_value() == is_address);
    OutboundSpec out;
    out.spi = first_spi;
    out.transform = {TransformKind::aes_gcm, bytes, Bytes(long_bytes).first(4), {}};
    CHECK((engine.set_outbound_association(1, out) == Status::ok) == (size == 16 || size == 32));
    out.transform = {TransformKind::null_hmac, {}, {}, bytes};
    CHECK((engine.set_outbound_association(1, out) == Status::ok) == (size == 32));
  }
  InboundSpec in;
  in.transform = {TransformKind::null_hmac, {}, {}, secret_bytes};
  in.flow = to;
  for (const bool watches : {false, true}) {
    for (const auto& from : {std::optional<Endpoint>(), std::optional(endpoint(1)), std::optional(endpoint(1, 0))}) {
      in.watches = watches;
      in.watch_from = from;
      CHECK((engine.set_inbound_association(first_spi, in) == Status::ok) == (!from || (watches && from->port() != 0)));
    }
  }
}

}  // namespace
}  // namespace i3::test

int main(int count, char** arguments) {
  using namespace i3::test;
  track_openssl();
  const unsigned long long number = count > 1 ? std::strtoull(arguments[1], nullptr, 10) : 1;
  const std::pair<const char*, void (*)()> tests[] = {
      {"checksums", checksums}, {"hash index", hash_index}, {"replay window", replay_window}, {"round trips", round_trips}, {"sequence numbers", sequence_numbers},
      {"key wiping", key_wiping}, {"responder wiping", responder_wiping}, {"answers allocate nothing", answers_allocate_nothing}, {"nothing leaks", nothing_leaks}, {"table bounds", table_bounds}, {"wrong shapes", wrong_shapes},
      {"service shapes", service_shapes}, {"service packets", service_packets}, {"service table", service_table}, {"batches end", batches_end}, {"silent batches end", silent_batches_end}, {"upcalls follow packets", upcalls_follow_packets}, {"one lane takes a refresh", one_lane_takes_a_refresh}, {"detours", detours}};
  for (const auto& [name, test] : tests) {
    std::printf("%s\n", name);
    std::fflush(stdout);
    random_bits.seed(number);
    test();
  }
  std::printf("all passed\n");
  return 0;
}
