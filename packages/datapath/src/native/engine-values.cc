#include "engine-values.h"

#include <cstring>

#include "environment.h"

namespace i3io {
namespace {

template <typename T>
napi_value make_array(napi_env env, napi_typedarray_type type, std::span<const T> values) {
  void* data = nullptr;
  napi_value buffer = nullptr;
  napi_value array = nullptr;
  if (napi_create_arraybuffer(env, values.size_bytes(), &data, &buffer) != napi_ok) return nullptr;
  if (!values.empty()) std::memcpy(data, values.data(), values.size_bytes());
  if (napi_create_typedarray(env, type, values.size(), buffer, 0, &array) != napi_ok) return nullptr;
  return array;
}

// The control datagrams of one batch, each behind its sender, in one buffer: most of what a server hears, and a buffer each would cost more than all else of it.
class ControlDatagrams {
 public:
  ControlDatagrams(napi_env env, std::span<const i3::Upcall> upcalls) : env_(env) {
    size_t bytes = 0;
    for (const i3::Upcall& upcall : upcalls) bytes += upcall.kind == i3::UpcallKind::control ? bytes_of(upcall) : 0;
    void* data = nullptr;
    if (bytes > 0 && napi_create_arraybuffer(env, bytes, &data, &buffer_) == napi_ok) room_ = {static_cast<uint8_t*>(data), bytes};
  }

  napi_value add(const i3::Upcall& upcall) {
    const size_t length = bytes_of(upcall);
    if (length > room_.size() - used_) return nullptr;
    i3::copy_to(room_, used_, upcall.from.bytes);
    i3::copy_to(room_, used_ + upcall.from.bytes.size(), upcall.bytes);
    napi_value array = nullptr;
    napi_create_typedarray(env_, napi_uint8_array, length, buffer_, used_, &array);
    used_ += length;
    return array;
  }

 private:
  static size_t bytes_of(const i3::Upcall& upcall) { return upcall.from.bytes.size() + upcall.bytes.size(); }

  napi_env env_;
  napi_value buffer_ = nullptr;
  i3::MutableBytes room_;
  size_t used_ = 0;
};

napi_value make_upcall(napi_env env, const i3::Upcall& upcall, ControlDatagrams& datagrams) {
  using i3::UpcallKind;
  const UpcallKind kind = upcall.kind;
  napi_value object = nullptr;
  napi_create_object(env, &object);
  set_property(env, object, "kind", make_integer(env, static_cast<int64_t>(kind)));
  if (kind == UpcallKind::control) {
    set_property(env, object, "bytes", datagrams.add(upcall));
    return object;
  }
  const bool has_sender = kind != UpcallKind::flow_setup;
  if (kind == UpcallKind::detour) {
    set_property(env, object, "from", make_bytes(env, upcall.from.bytes));
    set_property(env, object, "bytes", make_bytes(env, upcall.bytes));
    return object;
  }
  const bool is_of_path = kind == UpcallKind::elsewhere || kind == UpcallKind::send_failed;
  const bool has_route = kind == UpcallKind::hip || is_of_path;
  const bool is_short = kind == UpcallKind::route_miss || kind == UpcallKind::astray;
  const bool has_nonce = has_sender && !has_route && !is_short;
  const bool is_notice = kind == UpcallKind::no_trigger || kind == UpcallKind::cache_request;
  if (has_sender) set_property(env, object, "from", has_route ? make_route(env, upcall.from, upcall.way) : make_bytes(env, upcall.from.bytes));
  if (!has_route) set_property(env, object, "name", make_bytes(env, i3::part(upcall.name, 0, upcall.name_bytes)));
  if (has_nonce) set_property(env, object, "nonce", make_bytes(env, upcall.nonce));
  if (!is_short && !is_notice && !is_of_path) set_property(env, object, "bytes", make_bytes(env, upcall.bytes));
  if (kind == UpcallKind::flow_setup) set_property(env, object, "strength", make_integer(env, upcall.strength));
  if (kind == UpcallKind::payload) set_property(env, object, "payloadKind", make_integer(env, upcall.payload_kind));
  if (kind == UpcallKind::no_trigger) set_property(env, object, "forwarded", make_boolean(env, upcall.forwarded));
  if (kind == UpcallKind::cache_request) set_property(env, object, "shortcutOk", make_boolean(env, upcall.shortcut_ok));
  if (is_notice) set_property(env, object, "requestBytes", make_integer(env, upcall.request_bytes));
  if (kind == UpcallKind::elsewhere) set_property(env, object, "spi", make_integer(env, upcall.spi));
  if (kind == UpcallKind::send_failed) set_property(env, object, "reason", make_integer(env, static_cast<int64_t>(upcall.failure)));
  return object;
}

// The first byte of a way.
bool is_way(uint8_t byte, i3::Via last) {
  const unsigned via = byte & ~i3::Way::whole;
  const bool by_ip = via == static_cast<unsigned>(i3::Via::ip);
  return via <= static_cast<unsigned>(last) && !(by_ip && byte != via);
}

}  // namespace

i3::Endpoint take_endpoint(Check& check, napi_value value, const char* name) {
  i3::Endpoint endpoint;
  const std::span<uint8_t> bytes = check.bytes(value, name);
  if (check.valid() && bytes.size() != endpoint.bytes.size()) check.fail(name, "expected 18 bytes");
  if (check.valid()) std::memcpy(endpoint.bytes.data(), bytes.data(), bytes.size());
  return endpoint;
}

std::optional<i3::Endpoint> take_optional_endpoint(Check& check, napi_value value, const char* name) {
  if (!check.valid() || check.is_nullish(value)) return std::nullopt;
  return take_endpoint(check, value, name);
}

Route take_route(Check& check, napi_value value, const char* name, i3::Via last) { return read_route(check, check.bytes(value, name), name, last); }

Route read_route(Check& check, i3::Bytes bytes, const char* name, i3::Via last) {
  Route route;
  constexpr size_t endpoint_bytes = sizeof(route.endpoint.bytes);
  const bool is_whole = bytes.size() == endpoint_bytes + i3::Way::packed_bytes;
  const bool fits = is_whole ? is_way(bytes[endpoint_bytes], last) : bytes.size() == endpoint_bytes;
  if (check.valid() && !fits) check.fail(name, "expected 18 or 39 bytes");
  if (!check.valid()) return route;
  std::memcpy(route.endpoint.bytes.data(), bytes.data(), endpoint_bytes);
  if (!is_whole) return route;
  route.way.via = static_cast<i3::Via>(bytes[endpoint_bytes] & i3::Way::via_mask);
  route.way.is_whole = (bytes[endpoint_bytes] & i3::Way::whole) != 0;
  std::memcpy(route.way.local.data(), bytes.data() + endpoint_bytes + 1, route.way.local.size());
  route.way.interface_index = i3::u32(bytes, endpoint_bytes + i3::Way::interface_offset);
  return route;
}

std::optional<Route> take_optional_route(Check& check, napi_value value, const char* name, i3::Via last) {
  if (!check.valid() || check.is_nullish(value)) return std::nullopt;
  return take_route(check, value, name, last);
}

uint32_t take_u32(Check& check, napi_value value, const char* name) {
  return static_cast<uint32_t>(check.integer(value, name, 0, UINT32_MAX));
}

napi_value make_bytes(napi_env env, i3::Bytes bytes) { return make_array(env, napi_uint8_array, bytes); }

napi_value make_doubles(napi_env env, std::span<const double> values) { return make_array(env, napi_float64_array, values); }

napi_value make_boolean(napi_env env, bool value) {
  napi_value result = nullptr;
  napi_get_boolean(env, value, &result);
  return result;
}

napi_value make_undefined(napi_env env) {
  napi_value result = nullptr;
  napi_get_undefined(env, &result);
  return result;
}

napi_value make_route(napi_env env, const i3::Endpoint& endpoint, const i3::Way& way) {
  constexpr size_t endpoint_bytes = sizeof(endpoint.bytes);
  std::array<uint8_t, endpoint_bytes + i3::Way::packed_bytes> bytes{};
  i3::copy_to(bytes, 0, endpoint.bytes);
  i3::put8(bytes, endpoint_bytes, way.first_byte());
  i3::copy_to(bytes, endpoint_bytes + 1, way.local);
  i3::put32(bytes, endpoint_bytes + i3::Way::interface_offset, way.interface_index);
  return make_bytes(env, bytes);
}

napi_value make_upcalls(napi_env env, std::span<const i3::Upcall> upcalls) {
  napi_value array = nullptr;
  if (napi_create_array_with_length(env, upcalls.size(), &array) != napi_ok) return nullptr;
  ControlDatagrams datagrams(env, upcalls);
  uint32_t index = 0;
  for (const i3::Upcall& upcall : upcalls) {
    // Each of its own, so that a full batch does not hold thousands of handles at once.
    napi_handle_scope scope = nullptr;
    if (napi_open_handle_scope(env, &scope) != napi_ok) return nullptr;
    napi_set_element(env, array, index++, make_upcall(env, upcall, datagrams));
    napi_close_handle_scope(env, scope);
  }
  return array;
}

}  // namespace i3io
