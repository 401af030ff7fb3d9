#include "nflog.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <climits>
#include <vector>

#include "datagram-views.h"
#include "environment.h"
#include "netfilter-messages.h"
#include "system-error.h"

namespace i3io {
namespace {

// The kernel gathers so much before it sends, whatever the threshold says; its largest is 128 KiB.
constexpr uint32_t gathered_bytes = 32 * 1024;
// One packet with all its attributes may exceed that.
constexpr size_t datagram_bytes = 64 * 1024;
constexpr int64_t max_copy_bytes = 4'096;
constexpr int64_t max_threshold = 256;
constexpr int64_t max_flush_ms = 10'000;

struct NflogOptions {
  uint16_t group = 0;
  uint32_t copy_bytes = 0;
  int buffer_bytes = 0;
  uint32_t threshold = 0;
  uint32_t flush_hundredths = 0;
};

NflogOptions take_options(Check& check, napi_value argument) {
  napi_value object = check.object(argument, "options");
  const auto take = [&](const char* name, int64_t minimum, int64_t maximum) { return check.integer(check.property(object, name), name, minimum, maximum); };
  NflogOptions options;
  options.group = static_cast<uint16_t>(take("group", 0, UINT16_MAX));
  options.copy_bytes = static_cast<uint32_t>(take("copyBytes", 1, max_copy_bytes));
  options.buffer_bytes = static_cast<int>(take("bufferBytes", 0, INT_MAX));
  options.threshold = static_cast<uint32_t>(take("queueThreshold", 1, max_threshold));
  options.flush_hundredths = static_cast<uint32_t>((take("flushMs", 10, max_flush_ms) + 9) / 10);
  return options;
}

Request bind_request(const NflogOptions& options) {
  nfgenmsg header{};
  header.version = NFNETLINK_V0;
  header.res_id = htons(options.group);
  Request request(netfilter_type(NFNL_SUBSYS_ULOG, NFULNL_MSG_CONFIG), NLM_F_ACK, header);
  nfulnl_msg_config_mode mode{};
  mode.copy_range = htonl(options.copy_bytes);
  mode.copy_mode = NFULNL_COPY_PACKET;
  request.attribute_of(NFULA_CFG_CMD, nfulnl_msg_config_cmd{NFULNL_CFG_CMD_BIND});
  request.attribute_of(NFULA_CFG_MODE, mode);
  request.attribute_u32(NFULA_CFG_NLBUFSIZ, htonl(gathered_bytes));
  request.attribute_u32(NFULA_CFG_TIMEOUT, htonl(options.flush_hundredths));
  request.attribute_u32(NFULA_CFG_QTHRESH, htonl(options.threshold));
  request.attribute_of(NFULA_CFG_FLAGS, htons(NFULNL_CFG_F_SEQ));
  return request;
}

// The kernel says EPERM also of a group that is another socket's. This message nobody may send to it, which it says after it has looked at rights.
bool has_right(NetlinkSocket& socket) {
  Request request(netfilter_type(NFNL_SUBSYS_ULOG, NFULNL_MSG_PACKET), NLM_F_ACK, nfgenmsg{});
  return socket.acknowledge(request).error != EPERM;
}

// SO_RCVBUFFORCE needs a right over the network namespace, which whoever bound a group has.
void set_buffer(int fd, int bytes) {
  if (bytes == 0) return;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

// Datagrams that found no room, since the socket was opened. ENOBUFS, which tells the first of them only, may be read by a watch.
int64_t drops_of(int fd) {
  std::array<uint32_t, SK_MEMINFO_VARS> values{};
  socklen_t size = sizeof values;
  return getsockopt(fd, SOL_SOCKET, SO_MEMINFO, values.data(), &size) == 0 ? values[SK_MEMINFO_DROPS] : 0;
}

napi_value make_entry(napi_env env, const LoggedPacket& logged, const DatagramViews& views) {
  napi_value object = nullptr;
  napi_value prefix = nullptr;
  napi_create_object(env, &object);
  napi_create_string_utf8(env, logged.prefix.data(), logged.prefix.size(), &prefix);
  const int family = logged.family == AF_INET ? 4 : logged.family == AF_INET6 ? 6 : 0;
  set_property(env, object, "prefix", prefix);
  set_property(env, object, "family", make_integer(env, family));
  set_property(env, object, "hook", make_integer(env, logged.hook));
  set_property(env, object, "inIndex", make_integer(env, logged.in_index));
  set_property(env, object, "outIndex", make_integer(env, logged.out_index));
  set_property(env, object, "mark", make_integer(env, logged.mark));
  set_property(env, object, "hardwareProtocol", make_integer(env, logged.hardware_protocol));
  set_property(env, object, "sequence", make_integer(env, logged.sequence));
  set_property(env, object, "packet", views.view(logged.packet));
  return object;
}

// Appends to `entries`. Returns how many messages were not as the kernel makes them.
int64_t make_entries(napi_env env, std::span<const uint8_t> datagram, napi_value entries) {
  const DatagramViews views(env, datagram);
  uint32_t count = 0;
  int64_t malformed = 0;
  const bool is_whole = for_each_message(datagram, [&](const NetlinkMessage& message) {
    if (!is_logged_packet(message)) return;  // the NLMSG_DONE behind several
    const auto logged = read_logged_packet(message);
    napi_handle_scope scope = nullptr;
    if (!logged) malformed++;
    if (!logged || napi_open_handle_scope(env, &scope) != napi_ok) return;
    napi_set_element(env, entries, count++, make_entry(env, *logged, views));
    napi_close_handle_scope(env, scope);
  });
  return malformed + (is_whole ? 0 : 1);
}

}  // namespace

napi_value open_nflog(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  const NflogOptions options = take_options(check, arguments[0]);
  if (!check.valid()) return nullptr;
  // The group is the socket's that asks for it, until that is closed.
  NetlinkSocket socket(NETLINK_NETFILTER);
  Request request = bind_request(options);
  NetlinkResult result = socket.acknowledge(request);
  if (result.error == EPERM && has_right(socket)) result.error = EBUSY;
  if (result.error != 0) return finish_request(env, result, "NFULNL_MSG_CONFIG");
  UniqueFd fd = socket.take();
  set_buffer(fd.get(), options.buffer_bytes);
  return give_descriptor(env, std::move(fd), Kind::nflog);
}

napi_value read_nflog(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  const int fd = static_cast<int>(check.integer(arguments[0], "fd", 0, INT_MAX));
  Kind kind{};
  if (!Environment::of(env).owns(check, fd, "recvfrom", &kind)) return nullptr;
  if (kind != Kind::nflog) check.fail("fd", "not a group of NFLOG");
  if (!check.valid()) return nullptr;
  alignas(nlmsghdr) std::array<uint8_t, datagram_bytes> buffer;
  std::span<const uint8_t> datagram = receive_from_kernel(fd, buffer, MSG_DONTWAIT);
  if (datagram.empty() && errno == ENOBUFS) datagram = receive_from_kernel(fd, buffer, MSG_DONTWAIT);
  const int error = datagram.empty() ? errno : 0;
  const bool is_known = error == 0 || error == EAGAIN || error == EMSGSIZE || error == ENOBUFS;
  if (!is_known) return throw_system(env, error, "recvfrom");
  napi_value object = nullptr;
  napi_value entries = nullptr;
  napi_value more = nullptr;
  napi_create_object(env, &object);
  napi_create_array(env, &entries);
  napi_get_boolean(env, error != EAGAIN, &more);
  const int64_t malformed = error == 0 ? make_entries(env, datagram, entries) : error == EMSGSIZE ? 1 : 0;
  set_property(env, object, "entries", entries);
  set_property(env, object, "malformed", make_integer(env, malformed));
  set_property(env, object, "drops", make_integer(env, drops_of(fd)));
  set_property(env, object, "more", more);
  return object;
}

}  // namespace i3io
