// What JavaScript learns from an engine: upcalls, reports, counters.
#include <array>
#include <bit>
#include <limits>
#include <vector>

#include "engine-handle.h"
#include "engine-skin.h"
#include "engine-values.h"

namespace i3io {
namespace {

constexpr size_t totals_after_drops = 13;

}  // namespace

napi_value engine_take_upcalls(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  EngineInstance* instance = take_engine(check, arguments[0]);
  if (instance == nullptr) return nullptr;
  std::vector<i3::Upcall> upcalls;
  // The engine tells of the first that waits, and not again until all are taken.
  if (instance->engine().take_upcalls(upcalls) > 0) instance->tell();
  return make_upcalls(env, upcalls);
}

napi_value engine_upcalls_wait(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  EngineInstance* instance = take_engine(check, arguments[0]);
  return instance == nullptr ? nullptr : make_boolean(env, instance->engine().upcalls_wait());
}

napi_value engine_take_refreshed(napi_env env, napi_callback_info info) {
  constexpr size_t token_at = 32, index_at = 48, times_at = 52, at_ms_at = 56, packed_bytes = 64;
  Check check(env);
  Arguments arguments(env, info);
  EngineInstance* instance = take_engine(check, arguments[0]);
  if (instance == nullptr) return nullptr;
  std::vector<i3::Refreshed> refreshed;
  instance->engine().take_refreshed(refreshed);
  if (refreshed.empty()) return make_undefined(env);
  std::vector<uint8_t> packed(refreshed.size() * packed_bytes);
  for (size_t i = 0; i < refreshed.size(); i++) {
    const i3::Refreshed& one = refreshed[i];
    const i3::MutableBytes out = i3::part(i3::MutableBytes(packed), i * packed_bytes, packed_bytes);
    i3::copy_to(out, 0, one.id);
    i3::copy_to(out, token_at, one.token);
    i3::put32(out, index_at, one.index);
    i3::put32(out, times_at, one.times);
    i3::put64(out, at_ms_at, std::bit_cast<uint64_t>(one.at_ms));
  }
  return make_bytes(env, packed);
}

napi_value engine_behind_last_use(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  const i3::Bytes address = check.bytes(arguments[1], "address");
  EngineInstance* instance = take_engine(check, arguments[0]);
  if (instance == nullptr) return nullptr;
  const auto last_use_ms = instance->engine().behind_last_use_ms(address);
  return last_use_ms ? make_doubles(env, std::array{*last_use_ms}) : make_undefined(env);
}

napi_value engine_flow_report(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  const std::span<uint8_t> address = check.bytes(arguments[1], "address");
  EngineInstance* instance = take_engine(check, arguments[0]);
  if (instance == nullptr) return nullptr;
  const auto report = instance->engine().report(address);
  if (!report) return make_undefined(env);
  const std::array values{
      report->last_use_ms.value_or(std::numeric_limits<double>::quiet_NaN()), static_cast<double>(report->packets_out),
      static_cast<double>(report->bytes_out), static_cast<double>(report->packets_in), static_cast<double>(report->bytes_in), static_cast<double>(report->answers_out),
  };
  return make_doubles(env, values);
}

napi_value engine_next_sequence(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  const uint32_t name = take_u32(check, arguments[1], "name");
  EngineInstance* instance = take_engine(check, arguments[0]);
  if (instance == nullptr) return nullptr;
  const std::optional<uint64_t> next = instance->engine().next_sequence(name);
  if (!next) return make_undefined(env);
  napi_value result = nullptr;
  napi_create_bigint_uint64(env, *next, &result);
  return result;
}

napi_value engine_counters(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  EngineInstance* instance = take_engine(check, arguments[0]);
  if (instance == nullptr) return nullptr;
  const i3::Engine::Totals totals = instance->engine().totals();
  const std::array<uint64_t, totals_after_drops> rest{
      totals.tun_in,    totals.tun_out,    totals.udp_in,    totals.udp_out,   totals.upcalls, totals.hip_answered, totals.refreshed, totals.challenged,
      totals.tun_reads, totals.tun_writes, totals.udp_reads, totals.udp_sends, instance->engine().table_bytes(),
  };
  std::array<double, i3::drop_reasons + totals_after_drops> values{};
  size_t at = 0;
  for (const uint64_t drops : totals.drops) values[at++] = static_cast<double>(drops);
  for (const uint64_t value : rest) values[at++] = static_cast<double>(value);
  return make_doubles(env, values);
}

}  // namespace i3io
