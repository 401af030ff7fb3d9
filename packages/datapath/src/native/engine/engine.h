// The packet engine (docs/datapath.md): tables that the control plane fills, and lanes that move packets.
//
//     control plane (one thread) ── set_… release … ──► Engine ──► take_upcalls
//                                                        │ gates: a change waits for the batch of each lane, and no longer
//     TUN, UDP ─► Lane::from_tun, from_udp ─► rules ─► Lane's outboxes ─► Sink (ports)
//
// A lane belongs to one worker thread. No exceptions, no I/O, no clock: time comes with begin().
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "counters.h"
#include "packets.h"
#include "services.h"

namespace i3 {

enum class Status : uint8_t { ok, full, group_full, invalid, services_full, taken };

// none: not set; no spec has it.
enum class FlowAction : uint8_t { setup, tunnel, esp, refuse, none };

struct FlowSpec {
  FlowAction action = FlowAction::setup;
  // tunnel, esp: a data header, or empty; esp: then `locator` is set, and both may be with a credit.
  Bytes header;
  std::optional<Endpoint> locator;
  Way way;
  Bytes source;
  uint32_t association = 0;
  // 65,535: none.
  uint16_t mtu = 65'535;
  // What may go to `locator`: packets with UDP's header; then behind `header`. 0: no limit. Shared by all that have the same account.
  uint64_t credit_bytes = 0;
  uint32_t credit_account = 0;
};

enum class TransformKind : uint8_t { aes_gcm, null_hmac, aes_cbc_hmac };

struct TransformSpec {
  TransformKind kind = TransformKind::aes_gcm;
  Bytes key;            // GCM and CBC: 16 or 32
  Bytes salt;           // GCM: 4
  Bytes integrity_key;  // HMAC: 32
};

// Source from, to, destination from, to: each 4 or each 16 bytes, one after the other (16 or 64 in all); empty: none.
struct RewriteSpec {
  Bytes pairs4;
  Bytes pairs6;
};

struct OutboundSpec {
  TransformSpec transform;
  uint32_t spi = 0;
  // 4, 6, or 0 for none.
  uint8_t beet = 0;
  bool checksum_state = false;
  uint64_t first_sequence = 1;
};

struct InboundSpec {
  TransformSpec transform;
  uint8_t beet = 0;
  bool checksum_state = false;
  Bytes flow;
  RewriteSpec rewrites;
  uint8_t strength = strongest;
  // The upcall `elsewhere` for packets that come straight and not from `watch_from`; none given: for all of them.
  bool watches = false;
  std::optional<Endpoint> watch_from;
};

// Of a HIT (RFC 7401 §5.2.10): of 32 or 48 bytes.
enum class Rhash : uint8_t { sha256, sha384 };

// interface HipResponder in src/datapath.ts.
struct HipResponderSpec {
  Bytes hit;
  // One behind the other.
  Bytes open_ids;
  Bytes r1;
  size_t puzzle_offset = 0;
  Rhash rhash = Rhash::sha256;
  uint8_t group = 0;
  // For each epoch, the R1's first: number 2, K 1, secret 32.
  Bytes puzzles;
};

// interface Lease in src/datapath.ts.
struct LeaseSpec {
  Endpoint owner;
  Bytes token;
  uint16_t index = 0;
  double end_ms = 0;
  bool is_replica = false;
};

// The server that takes over, for owners of IPv4 and for those of IPv6.
using Replicas = std::array<std::optional<Endpoint>, 2>;

// interface ChallengeAnswers in src/datapath.ts.
struct ChallengeSpec {
  // 0 all, 1 none, 2 from `from` to `to`, otherwise empty.
  uint8_t kind = 0;
  Bytes from;
  Bytes to;
  Bytes secret;
  Bytes node_key;
  uint64_t wall_offset_ms = 0;
};

// interface Refreshed in src/datapath.ts.
struct Refreshed {
  std::array<uint8_t, 32> id{};
  std::array<uint8_t, 16> token{};
  uint16_t index = 0;
  uint32_t times = 0;
  double at_ms = 0;
};

enum class UpcallKind : uint8_t { control, flow_setup, payload, route_miss, no_trigger, cache_request, hip, astray, elsewhere, send_failed, detour };

// Which fields are there: interface Upcall in src/datapath.ts.
struct Upcall {
  UpcallKind kind = UpcallKind::control;
  bool forwarded = false;
  bool shortcut_ok = false;
  uint8_t payload_kind = 0;
  uint32_t request_bytes = 0;
  uint8_t strength = 0;
  uint32_t spi = 0;
  SendFailure failure = SendFailure::unreachable;
  // send_failed, detour: where it should have gone.
  Endpoint from;
  // hip, elsewhere, send_failed: by which way.
  Way way;
  std::array<uint8_t, 8> nonce{};
  // Virtual address, id or ring key.
  std::array<uint8_t, 32> name{};
  uint8_t name_bytes = 0;
  // Packet, datagram or payload.
  std::vector<uint8_t> bytes;
};

struct FlowReport {
  std::optional<double> last_use_ms;
  uint64_t packets_out = 0, bytes_out = 0, packets_in = 0, bytes_in = 0, answers_out = 0;
};

class Lane;
struct Tables;
struct Shared;

class Engine {
 public:
  // `seed`: 16 random bytes for the hash tables. `workers`: lanes, at least 1.
  Engine(Bytes seed, size_t workers);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  size_t lanes() const { return lanes_.size(); }
  Lane& lane(size_t index) { return *lanes_[index]; }

  // Called when upcalls were added (in any thread, after the batch, or with locks held: only signal), and when output waits for a lane's next batch (in the control
  // plane's). Set before a lane runs.
  void on_upcalls(std::function<void()> callback);
  void on_output(std::function<void()> callback) { on_output_ = std::move(callback); }

  // Arguments of a wrong shape are `invalid` and change nothing.
  Status set_flow(Bytes address, const FlowSpec& flow, uint8_t strength = strongest);
  static constexpr uint8_t all_ways = 3;
  Status remove_flow(Bytes address, uint8_t strength = all_ways);
  // `packed`: Services::parse. Invalid also without a flow.
  Status set_services(Bytes address, Bytes packed, uint8_t rest);
  Status remove_services(Bytes address);
  Status set_behind(Bytes address, uint8_t bits, Bytes flow);
  Status remove_behind(Bytes address, uint8_t bits);
  // Invalid also without a flow. `other`: of the other family, or empty.
  Status set_forwarding(Bytes flow, bool is_on, Bytes other = {});
  // `flow`: of the family of `from`. It need not be there.
  Status set_translation(Bytes flow, Bytes from, Bytes to);
  Status remove_translation(Bytes flow, Bytes from);
  Status set_inbound_upcall(Bytes id);
  Status set_inbound_tun(Bytes id, Bytes flow, const RewriteSpec& rewrites, uint8_t strength = strongest);
  Status remove_inbound(Bytes id);
  Status set_outbound_association(uint32_t name, const OutboundSpec& association);
  Status remove_outbound_association(uint32_t name);
  Status set_inbound_association(uint32_t spi, const InboundSpec& association);
  Status remove_inbound_association(uint32_t spi);
  // No value: no such association. 0: all numbers are used.
  std::optional<uint64_t> next_sequence(uint32_t name) const;
  Status set_hip_responder(const HipResponderSpec& responder);
  void remove_hip_responder();
  // `address`: as in an endpoint.
  Status set_known_source(Bytes address, bool is_known);
  // `endpoints`: one behind the other.
  Status set_neighbours(Bytes endpoints);
  // `packed`: for each trigger id 32, then 0 and an endpoint 18, or 1, the number of ids (1–15) and these.
  Status set_triggers(Bytes ring_key, Bytes packed);
  Status set_lease(Bytes id, const LeaseSpec& lease);
  Status remove_lease(Bytes id);
  // `kind`: 0 all, 1 none, 2 from `from` to `to`, otherwise empty.
  Status set_refresh_answers(uint8_t kind, Bytes from, Bytes to, const Replicas& replicas, uint16_t life_ms);
  void remove_refresh_answers();
  Status set_challenge_answers(const ChallengeSpec& answers);
  void remove_challenge_answers();
  // Appends at most limits::refreshed_per_batch.
  void take_refreshed(std::vector<Refreshed>& out);
  Status set_responsibility_all();
  Status set_responsibility_none();
  Status set_responsibility_range(Bytes from, Bytes to);
  Status set_next_server(Bytes ring_key, const std::optional<Endpoint>& endpoint);
  // Both or neither.
  Status set_pass_on(const std::optional<Endpoint>& from, const std::optional<Endpoint>& to);
  void set_default_server(const std::optional<Endpoint>& endpoint);
  void set_uplink(uint32_t interface_index);
  Status discard_route(Bytes ring_key);
  Status release(Bytes address);
  Status discard(Bytes address, bool refuse);
  struct Outgoing {
    Endpoint to;
    Way way;
    Bytes bytes;
  };
  // They leave together, in their order.
  void send(std::span<const Outgoing> datagrams);
  void send(const Endpoint& to, Bytes bytes, const Way& way = Way()) {
    const std::array<Outgoing, 1> one{{{to, way, bytes}}};
    send(one);
  }
  void set_detour(bool is_on);
  // `to`: where they came from.
  void take_detoured(std::span<const Outgoing> datagrams);
  void inject(Bytes packet);
  void submit(Bytes packet);
  Status deliver(Bytes id, Bytes packet);
  std::optional<FlowReport> report(Bytes address) const;
  // Of a single address behind a peer. No value: there is none, or it was never used.
  std::optional<double> behind_last_use_ms(Bytes address) const;

  // Appends at most limits::upcalls_per_batch and returns how many more wait.
  size_t take_upcalls(std::vector<Upcall>& out);
  bool upcalls_wait() const;
  bool output_waits() const;
  // The sum over the lanes. `drops[i]`: Drop(i).
  struct Totals {
    std::array<uint64_t, drop_reasons> drops{};
    uint64_t tun_in = 0, tun_out = 0, udp_in = 0, udp_out = 0, upcalls = 0, hip_answered = 0, refreshed = 0, challenged = 0, tun_reads = 0, tun_writes = 0, udp_reads = 0, udp_sends = 0;
  };
  Totals totals() const;
  // Bytes that the tables hold now, for the bench's memory rows.
  size_t table_bytes() const;

 private:
  // Lanes of output that waits, the control plane of upcalls.
  void tell();
  Status change_services(Bytes address, std::optional<Services> services);

  std::function<void()> on_output_;
  std::unique_ptr<Tables> tables_;
  std::unique_ptr<Shared> shared_;
  std::vector<std::unique_ptr<Lane>> lanes_;
};

}  // namespace i3
