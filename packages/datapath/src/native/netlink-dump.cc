// What the addon reads: the routes and addresses of the machine.
#include "netlink-dump.h"

#include <linux/if_addr.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cerrno>
#include <vector>

#include "environment.h"
#include "netlink.h"
#include "system-error.h"

namespace i3io {
namespace {

// A machine with a full Internet table is no place to look for overlaps one by one: E2BIG.
constexpr size_t max_rows = 262'144;
// A dump that is interrupted by changes is begun again this often.
constexpr int max_attempts = 5;

struct RouteRow {
  Address destination;
  Address gateway;
  uint8_t prefix_bits;
  uint8_t type;
  uint8_t protocol;
  uint32_t index = 0;
  uint32_t table;
  uint32_t metric = 0;
};

struct AddressRow {
  Address address;
  uint8_t prefix_bits;
  uint32_t index;
};

Address copy_address(std::span<const uint8_t> value) {
  Address address;
  if (value.size() != 4 && value.size() != 16) return address;
  std::memcpy(address.storage.data(), value.data(), value.size());
  address.size = value.size();
  return address;
}

void read_route_attribute(RouteRow& row, uint16_t type, std::span<const uint8_t> value) {
  switch (type) {
    case RTA_DST: row.destination = copy_address(value); break;
    case RTA_GATEWAY: row.gateway = copy_address(value); break;
    // RTA_VIA: | family 2 | address |, a gateway of the other family.
    case RTA_VIA: row.gateway = copy_address(value.subspan(std::min<size_t>(2, value.size()))); break;
    case RTA_OIF: row.index = read_as<uint32_t>(value); break;
    case RTA_TABLE: row.table = read_as<uint32_t>(value); break;
    case RTA_PRIORITY: row.metric = read_as<uint32_t>(value); break;
    // Several next hops: the first one stands for all.
    case RTA_MULTIPATH:
      row.index = static_cast<uint32_t>(read_as<rtnexthop>(value).rtnh_ifindex);
      for_each_attribute(after<rtnexthop>(value.first(std::min<size_t>(read_as<rtnexthop>(value).rtnh_len, value.size()))),
                         [&row](uint16_t inner, std::span<const uint8_t> bytes) {
                           if (inner == RTA_GATEWAY) row.gateway = copy_address(bytes);
                         });
      break;
    default: break;
  }
}

void read_route(const NetlinkMessage& message, uint8_t family, std::vector<RouteRow>& rows) {
  if (message.type != RTM_NEWROUTE || message.body.size() < sizeof(rtmsg)) return;
  const auto header = read_as<rtmsg>(message.body);
  if (header.rtm_family != family || (header.rtm_flags & RTM_F_CLONED) != 0) return;
  RouteRow row{};
  row.prefix_bits = header.rtm_dst_len;
  row.type = header.rtm_type;
  row.protocol = header.rtm_protocol;
  row.table = header.rtm_table;
  row.destination.size = family == AF_INET ? 4 : 16;  // a default route has no RTA_DST
  for_each_attribute(after<rtmsg>(message.body), [&row](uint16_t type, std::span<const uint8_t> value) { read_route_attribute(row, type, value); });
  rows.push_back(row);
}

void read_address(const NetlinkMessage& message, uint8_t family, std::vector<AddressRow>& rows) {
  if (message.type != RTM_NEWADDR || message.body.size() < sizeof(ifaddrmsg)) return;
  const auto header = read_as<ifaddrmsg>(message.body);
  if (header.ifa_family != family) return;
  AddressRow row{};
  row.prefix_bits = header.ifa_prefixlen;
  row.index = header.ifa_index;
  Address local;
  for_each_attribute(after<ifaddrmsg>(message.body), [&row, &local](uint16_t type, std::span<const uint8_t> value) {
    if (type == IFA_ADDRESS) row.address = copy_address(value);
    if (type == IFA_LOCAL) local = copy_address(value);
  });
  // On point-to-point links IFA_ADDRESS is the peer's.
  if (local.size != 0) row.address = local;
  if (row.address.size != 0) rows.push_back(row);
}

// `read` appends to `rows`.
template <typename Header, typename Row>
NetlinkResult dump_rows(NetlinkSocket& netlink, uint16_t type, const Header& header, uint8_t family, std::vector<Row>& rows,
                        void (*read)(const NetlinkMessage&, uint8_t, std::vector<Row>&)) {
  NetlinkResult result;
  for (int attempt = 0; attempt < max_attempts; attempt++) {
    rows.clear();
    bool full = false;
    Request request(type, NLM_F_DUMP, header);
    result = netlink.dump(request, [&](const NetlinkMessage& message) {
      if (rows.size() < max_rows) read(message, family, rows);
      else full = true;
    });
    if (full) result.error = E2BIG;
    if (result.error != EAGAIN) break;
  }
  return result;
}

const char* type_name(uint8_t type) {
  static constexpr std::array<const char*, 10> names{"unspec", "unicast", "local", "broadcast", "anycast",
                                                     "multicast", "blackhole", "unreachable", "prohibit", "throw"};
  return type < names.size() ? names[type] : "other";
}

napi_value make_text(napi_env env, const char* text) {
  napi_value value = nullptr;
  napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value);
  return value;
}

// A Uint8Array, or null for no address.
napi_value make_address(napi_env env, const Address& address) {
  napi_value result = nullptr;
  if (address.size == 0) {
    napi_get_null(env, &result);
    return result;
  }
  void* data = nullptr;
  napi_value buffer = nullptr;
  if (napi_create_arraybuffer(env, address.size, &data, &buffer) != napi_ok) return nullptr;
  std::memcpy(data, address.storage.data(), address.size);
  napi_create_typedarray(env, napi_uint8_array, address.size, buffer, 0, &result);
  return result;
}

napi_value make_route(napi_env env, const RouteRow& row) {
  napi_value object = nullptr;
  napi_create_object(env, &object);
  set_property(env, object, "type", make_text(env, type_name(row.type)));
  set_property(env, object, "destination", make_address(env, row.destination));
  set_property(env, object, "prefixBits", make_integer(env, row.prefix_bits));
  set_property(env, object, "gateway", make_address(env, row.gateway));
  set_property(env, object, "index", make_integer(env, row.index));
  set_property(env, object, "table", make_integer(env, row.table));
  set_property(env, object, "metric", make_integer(env, row.metric));
  set_property(env, object, "protocol", make_integer(env, row.protocol));
  return object;
}

napi_value make_address_row(napi_env env, const AddressRow& row) {
  std::array<char, IF_NAMESIZE> name{};
  if_indextoname(row.index, name.data());
  napi_value object = nullptr;
  napi_create_object(env, &object);
  set_property(env, object, "index", make_integer(env, row.index));
  set_property(env, object, "name", make_text(env, name.data()));
  set_property(env, object, "address", make_address(env, row.address));
  set_property(env, object, "prefixBits", make_integer(env, row.prefix_bits));
  return object;
}

template <typename Row>
napi_value make_array(napi_env env, const std::vector<Row>& rows, napi_value (*make)(napi_env, const Row&)) {
  napi_value array = nullptr;
  napi_create_array_with_length(env, rows.size(), &array);
  for (size_t i = 0; i < rows.size(); i++) {
    napi_handle_scope scope = nullptr;
    if (napi_open_handle_scope(env, &scope) != napi_ok) return array;
    napi_set_element(env, array, static_cast<uint32_t>(i), make(env, rows[i]));
    napi_close_handle_scope(env, scope);
  }
  return array;
}

// AF_INET or AF_INET6; AF_UNSPEC when something was thrown.
uint8_t take_family(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  const int64_t family = check.integer(arguments[0], "family", 4, 6);
  if (family == 5) check.fail("family", "expected 4 or 6");
  if (!check.valid()) return AF_UNSPEC;
  return family == 6 ? AF_INET6 : AF_INET;
}

}  // namespace

napi_value list_routes(napi_env env, napi_callback_info info) {
  const uint8_t family = take_family(env, info);
  if (family == AF_UNSPEC) return nullptr;
  rtmsg header{};
  header.rtm_family = family;
  std::vector<RouteRow> rows;
  const NetlinkResult result = dump_rows(Environment::of(env).netlink, RTM_GETROUTE, header, family, rows, read_route);
  return result.error != 0 ? finish_request(env, result, "RTM_GETROUTE") : make_array(env, rows, make_route);
}

napi_value list_addresses(napi_env env, napi_callback_info info) {
  const uint8_t family = take_family(env, info);
  if (family == AF_UNSPEC) return nullptr;
  ifaddrmsg header{};
  header.ifa_family = family;
  std::vector<AddressRow> rows;
  const NetlinkResult result = dump_rows(Environment::of(env).netlink, RTM_GETADDR, header, family, rows, read_address);
  return result.error != 0 ? finish_request(env, result, "RTM_GETADDR") : make_array(env, rows, make_address_row);
}

}  // namespace i3io
