// What JavaScript tells an engine: tables, and packets of its own. Arguments are read first and the engine is asked for last.
#include <type_traits>
#include <vector>

#include "engine-handle.h"
#include "engine-skin.h"
#include "engine-values.h"

namespace i3io {
namespace {

// What every function here does: reads arguments with `read`, then calls `act` with the engine and what was read.
template <typename Read, typename Act>
napi_value with_engine(napi_env env, napi_callback_info info, Read read, Act act) {
  Check check(env);
  const Arguments arguments(env, info);
  const auto values = read(check, arguments);
  EngineInstance* instance = take_engine(check, arguments[0]);
  if (instance == nullptr) return nullptr;
  if constexpr (std::is_void_v<decltype(act(instance->engine(), values))>) {
    act(instance->engine(), values);
    return nullptr;
  } else {
    return make_integer(env, static_cast<int64_t>(act(instance->engine(), values)));
  }
}

// Where the only argument is some bytes.
template <typename Act>
napi_value with_bytes(napi_env env, napi_callback_info info, const char* name, Act act) {
  const auto read = [name](Check& check, const Arguments& arguments) -> i3::Bytes { return check.bytes(arguments[1], name); };
  return with_engine(env, info, read, act);
}

// Where they are two.
struct Two {
  i3::Bytes first;
  i3::Bytes second;
};
template <typename Act>
napi_value with_two(napi_env env, napi_callback_info info, const char* first, const char* second, Act act) {
  return with_engine(
      env, info,
      [first, second](Check& check, const Arguments& arguments) {
        return Two{check.bytes(arguments[1], first), check.bytes(arguments[2], second)};
      },
      act);
}

i3::RewriteSpec take_rewrites(Check& check, napi_value pairs4, napi_value pairs6) {
  return {check.bytes(pairs4, "pairs4"), check.bytes(pairs6, "pairs6")};
}

// `first`: the argument "transform"; key, salt and integrity key follow.
i3::TransformSpec take_transform(Check& check, const Arguments& arguments, size_t first) {
  i3::TransformSpec transform;
  transform.kind = static_cast<i3::TransformKind>(check.integer(arguments[first], "transform", 0, 2));
  transform.key = check.bytes(arguments[first + 1], "key");
  transform.salt = check.bytes(arguments[first + 2], "salt");
  transform.integrity_key = check.bytes(arguments[first + 3], "integrityKey");
  return transform;
}

uint8_t take_strength(Check& check, napi_value value, uint8_t most = i3::strongest) { return static_cast<uint8_t>(check.integer(value, "strength", 0, most)); }

uint8_t take_bits(Check& check, napi_value value) { return static_cast<uint8_t>(check.integer(value, "bits", 0, 128)); }

uint8_t take_beet(Check& check, napi_value value) {
  const int64_t beet = check.integer(value, "beet", 0, 6);
  if (beet != 0 && beet != 4 && beet != 6) check.fail("beet", "expected 0, 4 or 6");
  return static_cast<uint8_t>(beet);
}

template <typename Spec>
struct Named {
  uint32_t name = 0;
  Spec spec;
};

Named<i3::OutboundSpec> take_outbound(Check& check, const Arguments& arguments) {
  Named<i3::OutboundSpec> named;
  named.name = take_u32(check, arguments[1], "name");
  named.spec.spi = take_u32(check, arguments[2], "spi");
  named.spec.transform = take_transform(check, arguments, 3);
  named.spec.beet = take_beet(check, arguments[7]);
  named.spec.checksum_state = check.boolean(arguments[8], "checksumState");
  named.spec.first_sequence = check.big(arguments[9], "firstSequence");
  return named;
}

Named<i3::InboundSpec> take_inbound(Check& check, const Arguments& arguments) {
  Named<i3::InboundSpec> named;
  named.name = take_u32(check, arguments[1], "spi");
  named.spec.transform = take_transform(check, arguments, 2);
  named.spec.beet = take_beet(check, arguments[6]);
  named.spec.checksum_state = check.boolean(arguments[7], "checksumState");
  named.spec.flow = check.bytes(arguments[8], "flow");
  named.spec.rewrites = take_rewrites(check, arguments[9], arguments[10]);
  named.spec.strength = take_strength(check, arguments[11]);
  named.spec.watches = check.boolean(arguments[12], "watches");
  named.spec.watch_from = take_optional_endpoint(check, arguments[13], "watchFrom");
  return named;
}

struct FlowArguments {
  i3::Bytes address;
  i3::FlowSpec flow;
  uint8_t strength = i3::strongest;
};

FlowArguments take_flow(Check& check, const Arguments& arguments) {
  FlowArguments result;
  result.address = check.bytes(arguments[1], "address");
  result.flow.action = static_cast<i3::FlowAction>(check.integer(arguments[2], "action", 0, 3));
  result.flow.header = check.bytes(arguments[3], "header");
  if (const std::optional<Route> route = take_optional_route(check, arguments[4], "locator", i3::Via::straight)) {
    result.flow.locator = route->endpoint;
    result.flow.way = route->way;
  }
  result.flow.source = check.bytes(arguments[5], "source");
  result.flow.association = take_u32(check, arguments[6], "association");
  result.flow.mtu = static_cast<uint16_t>(check.integer(arguments[7], "mtu", 0, 65'535));
  result.flow.credit_bytes = static_cast<uint64_t>(check.integer(arguments[8], "creditBytes", 0, (int64_t{1} << 53) - 1));
  result.flow.credit_account = take_u32(check, arguments[9], "creditAccount");
  result.strength = take_strength(check, arguments[10]);
  return result;
}

i3::HipResponderSpec take_hip_responder(Check& check, const Arguments& arguments) {
  i3::HipResponderSpec responder;
  responder.hit = check.bytes(arguments[1], "hit");
  responder.open_ids = check.bytes(arguments[2], "openIds");
  responder.r1 = check.bytes(arguments[3], "r1");
  responder.puzzle_offset = static_cast<size_t>(check.integer(arguments[4], "puzzleOffset", 0, 65'535));
  responder.rhash = static_cast<i3::Rhash>(check.integer(arguments[5], "rhash", 0, 1));
  responder.group = static_cast<uint8_t>(check.integer(arguments[6], "group", 1, 255));
  responder.puzzles = check.bytes(arguments[7], "puzzles");
  return responder;
}

// For each its route, a length of 4 bytes, and bytes, which stay where they are.
std::vector<i3::Engine::Outgoing> take_datagrams(Check& check, const Arguments& arguments) {
  constexpr size_t route_bytes = sizeof(i3::Endpoint::bytes) + i3::Way::packed_bytes, length_bytes = 4;
  std::vector<i3::Engine::Outgoing> datagrams;
  i3::Bytes left = check.bytes(arguments[1], "packed");
  while (check.valid() && !left.empty()) {
    const bool has_head = left.size() >= route_bytes + length_bytes;
    const size_t length = has_head ? i3::u32(left, route_bytes) : 0;
    if (!has_head || length > left.size() - route_bytes - length_bytes) {
      check.fail("packed", "cut off");
      break;
    }
    const Route to = read_route(check, left.first(route_bytes), "packed", i3::Via::straight);
    datagrams.push_back({to.endpoint, to.way, left.subspan(route_bytes + length_bytes, length)});
    left = left.subspan(route_bytes + length_bytes + length);
  }
  return datagrams;
}

}  // namespace

napi_value engine_set_flow(napi_env env, napi_callback_info info) {
  return with_engine(env, info, take_flow, [](i3::Engine& engine, const FlowArguments& values) {
    return engine.set_flow(values.address, values.flow, values.strength);
  });
}

napi_value engine_remove_flow(napi_env env, napi_callback_info info) {
  struct Values {
    i3::Bytes address;
    uint8_t strength = i3::Engine::all_ways;
  };
  const auto read = [](Check& check, const Arguments& arguments) {
    return Values{check.bytes(arguments[1], "address"), take_strength(check, arguments[2], i3::Engine::all_ways)};
  };
  return with_engine(env, info, read, [](i3::Engine& engine, const Values& values) { (void)engine.remove_flow(values.address, values.strength); });
}

napi_value engine_set_services(napi_env env, napi_callback_info info) {
  struct Values {
    Two bytes;
    uint8_t rest = i3::refused_strength;
  };
  const auto read = [](Check& check, const Arguments& arguments) {
    return Values{{check.bytes(arguments[1], "address"), check.bytes(arguments[2], "packed")}, take_strength(check, arguments[3], i3::refused_strength)};
  };
  return with_engine(env, info, read, [](i3::Engine& engine, const Values& values) {
    return engine.set_services(values.bytes.first, values.bytes.second, values.rest);
  });
}

napi_value engine_remove_services(napi_env env, napi_callback_info info) {
  return with_bytes(env, info, "address", [](i3::Engine& engine, i3::Bytes address) { (void)engine.remove_services(address); });
}

napi_value engine_set_behind(napi_env env, napi_callback_info info) {
  struct Values {
    Two bytes;
    uint8_t bits = 0;
  };
  const auto read = [](Check& check, const Arguments& arguments) {
    return Values{{check.bytes(arguments[1], "address"), check.bytes(arguments[3], "flow")}, take_bits(check, arguments[2])};
  };
  return with_engine(env, info, read, [](i3::Engine& engine, const Values& values) { return engine.set_behind(values.bytes.first, values.bits, values.bytes.second); });
}

napi_value engine_remove_behind(napi_env env, napi_callback_info info) {
  struct Values {
    i3::Bytes address;
    uint8_t bits = 0;
  };
  const auto read = [](Check& check, const Arguments& arguments) { return Values{check.bytes(arguments[1], "address"), take_bits(check, arguments[2])}; };
  return with_engine(env, info, read, [](i3::Engine& engine, const Values& values) { (void)engine.remove_behind(values.address, values.bits); });
}

napi_value engine_set_forwarding(napi_env env, napi_callback_info info) {
  struct Values {
    Two flows;
    bool is_on = false;
  };
  const auto read = [](Check& check, const Arguments& arguments) {
    return Values{{check.bytes(arguments[1], "flow"), check.bytes(arguments[3], "other")}, check.boolean(arguments[2], "isOn")};
  };
  return with_engine(env, info, read, [](i3::Engine& engine, const Values& values) { return engine.set_forwarding(values.flows.first, values.is_on, values.flows.second); });
}

napi_value engine_set_translation(napi_env env, napi_callback_info info) {
  struct Values {
    i3::Bytes flow;
    Two addresses;
  };
  const auto read = [](Check& check, const Arguments& arguments) {
    return Values{check.bytes(arguments[1], "flow"), {check.bytes(arguments[2], "from"), check.bytes(arguments[3], "to")}};
  };
  return with_engine(env, info, read, [](i3::Engine& engine, const Values& values) { return engine.set_translation(values.flow, values.addresses.first, values.addresses.second); });
}

napi_value engine_remove_translation(napi_env env, napi_callback_info info) {
  return with_two(env, info, "flow", "from", [](i3::Engine& engine, const Two& values) { (void)engine.remove_translation(values.first, values.second); });
}

napi_value engine_set_inbound_upcall(napi_env env, napi_callback_info info) {
  return with_bytes(env, info, "id", [](i3::Engine& engine, i3::Bytes id) { return engine.set_inbound_upcall(id); });
}

napi_value engine_set_inbound_tun(napi_env env, napi_callback_info info) {
  struct Values {
    i3::Bytes id;
    i3::Bytes flow;
    i3::RewriteSpec rewrites;
    uint8_t strength = i3::strongest;
  };
  const auto read = [](Check& check, const Arguments& arguments) {
    return Values{check.bytes(arguments[1], "id"), check.bytes(arguments[2], "flow"), take_rewrites(check, arguments[3], arguments[4]), take_strength(check, arguments[5])};
  };
  return with_engine(env, info, read, [](i3::Engine& engine, const Values& values) {
    return engine.set_inbound_tun(values.id, values.flow, values.rewrites, values.strength);
  });
}

napi_value engine_remove_inbound(napi_env env, napi_callback_info info) {
  return with_bytes(env, info, "id", [](i3::Engine& engine, i3::Bytes id) { (void)engine.remove_inbound(id); });
}

napi_value engine_set_outbound_association(napi_env env, napi_callback_info info) {
  return with_engine(env, info, take_outbound, [](i3::Engine& engine, const Named<i3::OutboundSpec>& values) {
    return engine.set_outbound_association(values.name, values.spec);
  });
}

napi_value engine_set_inbound_association(napi_env env, napi_callback_info info) {
  return with_engine(env, info, take_inbound, [](i3::Engine& engine, const Named<i3::InboundSpec>& values) {
    return engine.set_inbound_association(values.name, values.spec);
  });
}

napi_value engine_remove_outbound_association(napi_env env, napi_callback_info info) {
  const auto read = [](Check& check, const Arguments& arguments) { return take_u32(check, arguments[1], "name"); };
  return with_engine(env, info, read, [](i3::Engine& engine, uint32_t name) { (void)engine.remove_outbound_association(name); });
}

napi_value engine_remove_inbound_association(napi_env env, napi_callback_info info) {
  const auto read = [](Check& check, const Arguments& arguments) { return take_u32(check, arguments[1], "spi"); };
  return with_engine(env, info, read, [](i3::Engine& engine, uint32_t spi) { (void)engine.remove_inbound_association(spi); });
}

napi_value engine_set_hip_responder(napi_env env, napi_callback_info info) {
  return with_engine(env, info, take_hip_responder, [](i3::Engine& engine, const i3::HipResponderSpec& responder) {
    return engine.set_hip_responder(responder);
  });
}

napi_value engine_remove_hip_responder(napi_env env, napi_callback_info info) {
  const auto read = [](Check&, const Arguments&) { return 0; };
  return with_engine(env, info, read, [](i3::Engine& engine, int) { engine.remove_hip_responder(); });
}

napi_value engine_set_known_source(napi_env env, napi_callback_info info) {
  struct Values {
    i3::Bytes address;
    bool is_known = false;
  };
  const auto read = [](Check& check, const Arguments& arguments) { return Values{check.bytes(arguments[1], "address"), check.boolean(arguments[2], "isKnown")}; };
  return with_engine(env, info, read, [](i3::Engine& engine, const Values& values) { return engine.set_known_source(values.address, values.is_known); });
}

napi_value engine_set_neighbours(napi_env env, napi_callback_info info) {
  return with_bytes(env, info, "endpoints", [](i3::Engine& engine, i3::Bytes endpoints) { return engine.set_neighbours(endpoints); });
}

napi_value engine_set_triggers(napi_env env, napi_callback_info info) {
  return with_two(env, info, "ringKey", "packed", [](i3::Engine& engine, const Two& values) {
    return engine.set_triggers(values.first, values.second);
  });
}

napi_value engine_set_lease(napi_env env, napi_callback_info info) {
  struct Values {
    i3::Bytes id;
    i3::LeaseSpec lease;
  };
  const auto read = [](Check& check, const Arguments& arguments) {
    Values values;
    values.id = check.bytes(arguments[1], "id");
    values.lease.owner = take_endpoint(check, arguments[2], "owner");
    values.lease.token = check.bytes(arguments[3], "token");
    values.lease.index = static_cast<uint16_t>(check.integer(arguments[4], "index", 0, UINT16_MAX));
    values.lease.end_ms = check.number(arguments[5], "endMs");
    values.lease.is_replica = check.boolean(arguments[6], "isReplica");
    return values;
  };
  return with_engine(env, info, read, [](i3::Engine& engine, const Values& values) { return engine.set_lease(values.id, values.lease); });
}

napi_value engine_remove_lease(napi_env env, napi_callback_info info) {
  return with_bytes(env, info, "id", [](i3::Engine& engine, i3::Bytes id) { return engine.remove_lease(id); });
}

napi_value engine_set_refresh_answers(napi_env env, napi_callback_info info) {
  struct Values {
    uint8_t kind = 0;
    Two range;
    i3::Replicas replicas;
    uint16_t life_ms = 0;
  };
  const auto read = [](Check& check, const Arguments& arguments) {
    Values values;
    values.kind = static_cast<uint8_t>(check.integer(arguments[1], "kind", 0, 2));
    values.range = {check.bytes(arguments[2], "from"), check.bytes(arguments[3], "to")};
    values.replicas = {take_optional_endpoint(check, arguments[4], "replica4"), take_optional_endpoint(check, arguments[5], "replica6")};
    values.life_ms = static_cast<uint16_t>(check.integer(arguments[6], "lifeMs", 1, UINT16_MAX));
    return values;
  };
  return with_engine(env, info, read, [](i3::Engine& engine, const Values& values) {
    return engine.set_refresh_answers(values.kind, values.range.first, values.range.second, values.replicas, values.life_ms);
  });
}

napi_value engine_remove_refresh_answers(napi_env env, napi_callback_info info) {
  const auto read = [](Check&, const Arguments&) { return 0; };
  return with_engine(env, info, read, [](i3::Engine& engine, int) { engine.remove_refresh_answers(); });
}

napi_value engine_set_challenge_answers(napi_env env, napi_callback_info info) {
  constexpr int64_t latest_ms = int64_t{1} << 52;
  const auto read = [](Check& check, const Arguments& arguments) {
    i3::ChallengeSpec spec;
    spec.kind = static_cast<uint8_t>(check.integer(arguments[1], "kind", 0, 2));
    spec.from = check.bytes(arguments[2], "from");
    spec.to = check.bytes(arguments[3], "to");
    spec.secret = check.bytes(arguments[4], "secret");
    spec.node_key = check.bytes(arguments[5], "nodeKey");
    spec.wall_offset_ms = static_cast<uint64_t>(check.integer(arguments[6], "wallOffsetMs", 0, latest_ms));
    return spec;
  };
  return with_engine(env, info, read, [](i3::Engine& engine, const i3::ChallengeSpec& spec) { return engine.set_challenge_answers(spec); });
}

napi_value engine_remove_challenge_answers(napi_env env, napi_callback_info info) {
  const auto read = [](Check&, const Arguments&) { return 0; };
  return with_engine(env, info, read, [](i3::Engine& engine, int) { engine.remove_challenge_answers(); });
}

napi_value engine_set_responsibility(napi_env env, napi_callback_info info) {
  struct Values {
    int64_t kind = 0;
    Two range;
  };
  const auto read = [](Check& check, const Arguments& arguments) {
    return Values{check.integer(arguments[1], "kind", 0, 2), {check.bytes(arguments[2], "from"), check.bytes(arguments[3], "to")}};
  };
  return with_engine(env, info, read, [](i3::Engine& engine, const Values& values) {
    if (values.kind == 0) return engine.set_responsibility_all();
    if (values.kind == 1) return engine.set_responsibility_none();
    return engine.set_responsibility_range(values.range.first, values.range.second);
  });
}

napi_value engine_set_next_server(napi_env env, napi_callback_info info) {
  struct Values {
    i3::Bytes ring_key;
    std::optional<i3::Endpoint> endpoint;
  };
  const auto read = [](Check& check, const Arguments& arguments) {
    return Values{check.bytes(arguments[1], "ringKey"), take_optional_endpoint(check, arguments[2], "endpoint")};
  };
  return with_engine(env, info, read, [](i3::Engine& engine, const Values& values) {
    return engine.set_next_server(values.ring_key, values.endpoint);
  });
}

napi_value engine_set_pass_on(napi_env env, napi_callback_info info) {
  struct Ends {
    std::optional<i3::Endpoint> from;
    std::optional<i3::Endpoint> to;
  };
  const auto read = [](Check& check, const Arguments& arguments) { return Ends{take_optional_endpoint(check, arguments[1], "from"), take_optional_endpoint(check, arguments[2], "to")}; };
  return with_engine(env, info, read, [](i3::Engine& engine, const Ends& ends) { return engine.set_pass_on(ends.from, ends.to); });
}

napi_value engine_set_default_server(napi_env env, napi_callback_info info) {
  const auto read = [](Check& check, const Arguments& arguments) { return take_optional_endpoint(check, arguments[1], "endpoint"); };
  return with_engine(env, info, read, [](i3::Engine& engine, const std::optional<i3::Endpoint>& endpoint) {
    engine.set_default_server(endpoint);
  });
}

napi_value engine_set_uplink(napi_env env, napi_callback_info info) {
  const auto read = [](Check& check, const Arguments& arguments) { return take_u32(check, arguments[1], "interfaceIndex"); };
  return with_engine(env, info, read, [](i3::Engine& engine, uint32_t interface_index) {
    engine.set_uplink(interface_index);
  });
}

napi_value engine_discard_route(napi_env env, napi_callback_info info) {
  return with_bytes(env, info, "ringKey", [](i3::Engine& engine, i3::Bytes ring_key) { return engine.discard_route(ring_key); });
}

napi_value engine_release(napi_env env, napi_callback_info info) {
  return with_bytes(env, info, "address", [](i3::Engine& engine, i3::Bytes address) { return engine.release(address); });
}

napi_value engine_discard(napi_env env, napi_callback_info info) {
  struct Values {
    i3::Bytes address;
    bool refuse = false;
  };
  const auto read = [](Check& check, const Arguments& arguments) {
    return Values{check.bytes(arguments[1], "address"), check.boolean(arguments[2], "refuse")};
  };
  return with_engine(env, info, read, [](i3::Engine& engine, const Values& values) { return engine.discard(values.address, values.refuse); });
}

napi_value engine_send(napi_env env, napi_callback_info info) {
  struct Values {
    Route to;
    i3::Bytes bytes;
  };
  const auto read = [](Check& check, const Arguments& arguments) {
    return Values{take_route(check, arguments[1], "endpoint", i3::Via::straight), check.bytes(arguments[2], "bytes")};
  };
  return with_engine(env, info, read, [](i3::Engine& engine, const Values& values) { engine.send(values.to.endpoint, values.bytes, values.to.way); });
}

napi_value engine_send_all(napi_env env, napi_callback_info info) {
  return with_engine(env, info, take_datagrams, [](i3::Engine& engine, const std::vector<i3::Engine::Outgoing>& datagrams) { engine.send(datagrams); });
}

napi_value engine_set_detour(napi_env env, napi_callback_info info) {
  const auto read = [](Check& check, const Arguments& arguments) { return check.boolean(arguments[1], "isOn"); };
  return with_engine(env, info, read, [](i3::Engine& engine, bool is_on) { engine.set_detour(is_on); });
}

napi_value engine_take_detoured(napi_env env, napi_callback_info info) {
  return with_engine(env, info, take_datagrams, [](i3::Engine& engine, const std::vector<i3::Engine::Outgoing>& datagrams) { engine.take_detoured(datagrams); });
}

napi_value engine_inject(napi_env env, napi_callback_info info) {
  return with_bytes(env, info, "packet", [](i3::Engine& engine, i3::Bytes packet) { engine.inject(packet); });
}

napi_value engine_submit(napi_env env, napi_callback_info info) {
  return with_bytes(env, info, "packet", [](i3::Engine& engine, i3::Bytes packet) { engine.submit(packet); });
}

napi_value engine_deliver(napi_env env, napi_callback_info info) {
  return with_two(env, info, "id", "packet", [](i3::Engine& engine, const Two& values) { return engine.deliver(values.first, values.second); });
}

}  // namespace i3io
