// Engines begin and end.
#include <climits>
#include <cstring>

#include "engine-handle.h"
#include "engine-skin.h"
#include "engine-values.h"
#include "udp-options.h"

namespace i3io {
namespace {

constexpr int64_t most_workers = 16;
// What IPv4 must be able to carry.
constexpr int64_t least_mtu = 68;

struct OffloadName {
  const char* name;
  bool i3::Offloads::*flag;
};

constexpr std::array<OffloadName, 7> offload_names{{
    {"tunChecksum", &i3::Offloads::tun_checksum},
    {"tunTcp4", &i3::Offloads::tun_tcp4},
    {"tunTcp6", &i3::Offloads::tun_tcp6},
    {"tunUdp", &i3::Offloads::tun_udp},
    {"udpSegment", &i3::Offloads::udp_segment},
    {"udpReceive", &i3::Offloads::udp_receive},
    {"trafficClass", &i3::Offloads::traffic_class},
}};

i3::Offloads take_wanted(Check& check, napi_value without) {
  i3::Offloads wanted;
  const uint32_t count = check.array(without, "without", 64);
  for (uint32_t i = 0; i < count && check.valid(); i++) {
    std::array<char, 32> text{};
    check.text(check.element(without, "without", i), "without", text);
    bool known = false;
    for (const OffloadName& offload : offload_names) {
      if (std::strcmp(offload.name, text.data()) != 0) continue;
      wanted.*offload.flag = false;
      known = true;
    }
    if (!known) check.fail("without", "no such offload");
  }
  return wanted;
}

std::optional<i3::TunOptions> take_tun(Check& check, napi_value object) {
  if (!check.valid() || check.is_nullish(object)) return std::nullopt;
  i3::TunOptions options;
  check.object(object, "tun");
  check.text(check.property(object, "name"), "name", options.name);
  options.mtu = static_cast<uint32_t>(check.integer(check.property(object, "mtu"), "mtu", least_mtu, 65'535));
  return options;
}

i3::PortOptions take_options(Check& check, napi_value argument, EngineCallbacks& callbacks) {
  i3::PortOptions options;
  napi_value object = check.object(argument, "options");
  options.workers = static_cast<size_t>(check.integer(check.property(object, "workers"), "workers", 1, most_workers));
  options.tun = take_tun(check, check.property(object, "tun"));
  options.udp = take_udp_options(check, check.property(object, "udp"), "udp");
  const napi_value hip = check.property(object, "hip");
  if (check.valid() && !check.is_nullish(hip)) options.hip = take_udp_options(check, hip, "hip");
  options.has_ip = check.boolean(check.property(object, "ip"), "ip");
  options.now_ms = check.number(check.property(object, "nowMs"), "nowMs");
  options.wanted = take_wanted(check, check.property(object, "without"));
  callbacks.on_upcalls = check.function(check.property(object, "onUpcalls"), "onUpcalls");
  callbacks.on_failure = check.function(check.property(object, "onFailure"), "onFailure");
  return options;
}

napi_value describe(napi_env env, napi_value handle, const i3::WorkerSet& workers) {
  napi_value result = nullptr;
  napi_value tun = nullptr;
  napi_create_object(env, &result);
  napi_get_null(env, &tun);
  if (workers.tun() != nullptr) {
    napi_value name = nullptr;
    napi_create_string_utf8(env, workers.tun()->name.data(), NAPI_AUTO_LENGTH, &name);
    napi_create_object(env, &tun);
    set_property(env, tun, "name", name);
    set_property(env, tun, "index", make_integer(env, workers.tun_index()));
  }
  set_property(env, result, "handle", handle);
  set_property(env, result, "tun", tun);
  set_property(env, result, "port", make_integer(env, workers.port()));
  return result;
}

}  // namespace

napi_value open_engine(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  EngineCallbacks callbacks;
  const i3::PortOptions options = take_options(check, arguments[0], callbacks);
  if (!check.valid()) return nullptr;
  auto* instance = new EngineInstance(env, options.workers);
  if (!instance->start(options, callbacks)) {
    EngineInstance::discard(instance);
    return nullptr;
  }
  napi_value handle = EngineInstance::wrap(env, instance);
  return handle == nullptr ? nullptr : describe(env, handle, instance->workers());
}

napi_value create_stepped_engine(napi_env env, napi_callback_info) { return EngineInstance::wrap(env, new EngineInstance(env, 1)); }

napi_value close_engine(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  if (EngineInstance* instance = take_any_engine(check, arguments[0])) instance->close();
  return nullptr;
}

napi_value engine_offloads(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  EngineInstance* instance = take_engine(check, arguments[0]);
  if (instance == nullptr) return nullptr;
  const i3::Offloads offloads = instance->workers().offloads();
  napi_value result = nullptr;
  napi_create_object(env, &result);
  for (const OffloadName& offload : offload_names) set_property(env, result, offload.name, make_boolean(env, offloads.*offload.flag));
  return result;
}

}  // namespace i3io
