// UDP sockets that JavaScript reads and writes, with recvmmsg and sendmmsg: the proxy's DNS. Data goes through the engine's own sockets
// (engine/ports/udp-socket, udp-receiver, udp-sender). Addresses are 18 bytes: IPv6 or IPv4-mapped IPv6 address 16, port 2 (big-endian).
#include "udp.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

#include "engine/ports/socket-address.h"
#include "environment.h"
#include "system-error.h"
#include "udp-options.h"
#include "unique-fd.h"

namespace i3io {
namespace {

constexpr size_t address_bytes = 18;

// Messages of one system call: all its headers fit the stack, nothing is allocated per packet.
constexpr size_t chunk = 64;

struct Headers {
  std::array<mmsghdr, chunk> messages{};
  std::array<iovec, chunk> vectors{};
  std::array<sockaddr_in6, chunk> names{};  // also holds sockaddr_in, which is shorter

  void point(size_t index, std::span<uint8_t> bytes, socklen_t name_bytes) {
    vectors[index] = {bytes.data(), bytes.size()};
    msghdr& header = messages[index].msg_hdr;
    header = {};
    header.msg_name = &names[index];
    header.msg_namelen = name_bytes;
    header.msg_iov = &vectors[index];
    header.msg_iovlen = 1;
  }
};

// The name of the call that failed (errno set), or nullptr.
const char* configure(int fd, const i3::UdpOptions& options) {
  const int off = 0;
  if (options.is_v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) < 0) return "setsockopt IPV6_V6ONLY";
  if (options.mark != 0 && setsockopt(fd, SOL_SOCKET, SO_MARK, &options.mark, sizeof options.mark) < 0) return "setsockopt SO_MARK";
  i3::set_udp_buffers(fd, options.buffer_bytes);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&options.name), options.name_bytes) < 0) return "bind";
  return nullptr;
}

void write_address(const sockaddr_in6& name, std::span<uint8_t> out) { i3::copy_to(out, 0, i3::endpoint_of(name).bytes); }

// The length of the name, 0 when a socket of this family cannot reach the address.
socklen_t read_address(std::span<const uint8_t> in, bool is_v6, sockaddr_in6& name) {
  i3::Endpoint endpoint;
  i3::copy_to(endpoint.bytes, 0, in);
  return i3::fill_name(name, endpoint, is_v6);
}

std::span<uint8_t> take_addresses(Check& check, napi_value value, size_t count) {
  const std::span<uint8_t> addresses = check.bytes(value, "addresses");
  if (check.valid() && addresses.size() < count * address_bytes) check.fail("addresses", "shorter than 18 bytes a slot");
  return addresses;
}

// Reads and checks the descriptor. Returns -1 when something was thrown.
int take_socket(Check& check, Arguments& arguments, const char* syscall, bool* is_v6) {
  const int fd = static_cast<int>(check.integer(arguments[0], "fd", 0, INT_MAX));
  Kind kind{};
  if (!Environment::of(check.env()).owns(check, fd, syscall, &kind)) return -1;
  if (kind != Kind::udp4 && kind != Kind::udp6) check.fail("fd", "not a UDP socket");
  *is_v6 = kind == Kind::udp6;
  return check.valid() ? fd : -1;
}

// One recvmmsg. MSG_TRUNC as a flag makes the kernel say the real length of what did not fit.
int receive_chunk(int fd, const Batch& batch, size_t first, std::span<uint8_t> addresses, Headers& headers) {
  const size_t wanted = std::min(chunk, batch.size() - first);
  for (size_t i = 0; i < wanted; i++) headers.point(i, batch.slot(first + i), sizeof(sockaddr_in6));
  const int received = recvmmsg(fd, headers.messages.data(), static_cast<unsigned>(wanted), MSG_DONTWAIT | MSG_TRUNC, nullptr);
  for (int i = 0; i < received; i++) {
    const size_t slot = first + static_cast<size_t>(i);
    batch.set_length(slot, headers.messages[static_cast<size_t>(i)].msg_len);
    write_address(headers.names[static_cast<size_t>(i)], addresses.subspan(slot * address_bytes, address_bytes));
  }
  return received;
}

// Fills headers from `next` on, skipping what this family cannot reach. Returns how many headers there are.
size_t prepare_chunk(const Batch& batch, size_t& next, std::span<const uint8_t> addresses, bool is_v6, Headers& headers) {
  size_t prepared = 0;
  for (; next < batch.size() && prepared < chunk; next++) {
    const socklen_t name_bytes = read_address(addresses.subspan(next * address_bytes, address_bytes), is_v6, headers.names[prepared]);
    if (name_bytes > 0) headers.point(prepared++, batch.packet(next), name_bytes);
  }
  return prepared;
}

// Sends what is prepared; a refused datagram is left out. Returns the number sent; sets `error` when the socket is full or broken.
size_t send_chunk(int fd, Headers& headers, size_t prepared, int& error) {
  size_t sent = 0;
  size_t at = 0;
  while (at < prepared) {
    const int result = sendmmsg(fd, headers.messages.data() + at, static_cast<unsigned>(prepared - at), MSG_DONTWAIT);
    if (result > 0) {
      at += static_cast<size_t>(result);
      sent += static_cast<size_t>(result);
    } else if (errno == EAGAIN || i3::is_socket_broken(errno)) {
      error = errno;
      break;
    } else if (errno != EINTR) {
      at++;  // the error belongs to this datagram, or came in by ICMP from an earlier one
    }
  }
  return sent;
}

UniqueFd open_datagrams(const i3::UdpOptions& options) {
  return UniqueFd(socket(options.is_v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

}  // namespace

napi_value open_udp(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  const i3::UdpOptions options = take_udp_options(check, arguments[0], "options");
  if (!check.valid()) return nullptr;
  UniqueFd fd = open_datagrams(options);
  if (!fd) return throw_system(env, errno, "socket");
  if (const char* failed = configure(fd.get(), options)) return throw_system(env, errno, failed);
  const int port = i3::bound_port(fd.get());
  if (port < 0) return throw_system(env, errno, "getsockname");
  napi_value result = give_descriptor(env, std::move(fd), options.is_v6 ? Kind::udp6 : Kind::udp4);
  set_property(env, result, "port", make_integer(env, port));
  return result;
}

napi_value open_reporting_udp(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  const i3::UdpOptions options = take_udp_options(check, arguments[0], "options");
  if (!check.valid()) return nullptr;
  UniqueFd fd = open_datagrams(options);
  if (!fd) return throw_system(env, errno, "socket");
  const int on = 1;
  if (setsockopt(fd.get(), IPPROTO_IP, IP_RECVERR, &on, sizeof on) < 0) return throw_system(env, errno, "setsockopt IP_RECVERR");
  if (options.is_v6 && setsockopt(fd.get(), IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on) < 0) return throw_system(env, errno, "setsockopt IPV6_RECVERR");
  if (const char* failed = configure(fd.get(), options)) return throw_system(env, errno, failed);
  napi_value result = nullptr;
  napi_create_object(env, &result);
  set_property(env, result, "fd", make_integer(env, fd.release()));
  return result;
}

napi_value receive_batch(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  const Batch batch = Batch::to_fill(check, arguments[1], arguments[2], arguments[3]);
  const std::span<uint8_t> addresses = take_addresses(check, arguments[4], batch.size());
  bool is_v6 = false;
  const int fd = take_socket(check, arguments, "recvmmsg", &is_v6);
  if (fd < 0) return nullptr;
  Headers headers;
  size_t count = 0;
  // Errors that came in by ICMP are reported once each and then gone; this many of them are passed over.
  int patience = 16;
  while (count < batch.size()) {
    const size_t wanted = std::min(chunk, batch.size() - count);
    const int received = receive_chunk(fd, batch, count, addresses, headers);
    if (received > 0) count += static_cast<size_t>(received);
    if (received >= 0 && static_cast<size_t>(received) < wanted) break;
    if (received >= 0) continue;
    if (errno == EAGAIN) break;
    if (i3::is_socket_broken(errno) && count == 0) return throw_system(env, errno, "recvmmsg");
    if (patience-- == 0) break;
  }
  return make_integer(env, static_cast<int64_t>(count));
}

napi_value send_batch(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  const Batch batch = Batch::to_send(check, arguments[1], arguments[2], arguments[3], arguments[5]);
  const std::span<uint8_t> addresses = take_addresses(check, arguments[4], batch.size());
  bool is_v6 = false;
  const int fd = take_socket(check, arguments, "sendmmsg", &is_v6);
  if (fd < 0) return nullptr;
  Headers headers;
  size_t sent = 0;
  size_t next = 0;
  int error = 0;
  while (next < batch.size() && error == 0) {
    const size_t prepared = prepare_chunk(batch, next, addresses, is_v6, headers);
    sent += send_chunk(fd, headers, prepared, error);
  }
  if (i3::is_socket_broken(error)) return throw_system(env, error, "sendmmsg");
  return make_integer(env, static_cast<int64_t>(sent));
}

}  // namespace i3io
