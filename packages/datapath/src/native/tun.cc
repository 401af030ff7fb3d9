// TUN devices that JavaScript reads and writes: the WAN emulator of the tests. The engine's are engine/ports/tun-queue.
// One IP packet per read and write, no header of its own (IFF_NO_PI).
#include "tun.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>

#include "environment.h"
#include "system-error.h"
#include "unique-fd.h"

namespace i3io {
namespace {

napi_value describe_tun(napi_env env, int fd, const char* name) {
  napi_value result = nullptr;
  napi_value text = nullptr;
  napi_create_object(env, &result);
  napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &text);
  set_property(env, result, "fd", make_integer(env, fd));
  set_property(env, result, "name", text);
  return result;
}

// Nothing was taken, but the device is well: it is full, down, or did not like this packet.
bool is_packet_fault(int error) {
  return error == EAGAIN || error == ENOBUFS || error == ENOMEM || error == EINVAL || error == EIO || error == EPERM;
}

Batch take_batch(Check& check, Arguments& arguments, bool sending) {
  return sending ? Batch::to_send(check, arguments[1], arguments[2], arguments[3], arguments[4])
                 : Batch::to_fill(check, arguments[1], arguments[2], arguments[3]);
}

// Reads and checks what readBatch and writeBatch have in common. Returns -1 when something was thrown.
int take_tun(Check& check, Arguments& arguments, const char* syscall) {
  const int fd = static_cast<int>(check.integer(arguments[0], "fd", 0, INT_MAX));
  Kind kind{};
  if (!Environment::of(check.env()).owns(check, fd, syscall, &kind)) return -1;
  if (kind != Kind::tun) check.fail("fd", "not a TUN device");
  return check.valid() ? fd : -1;
}

}  // namespace

napi_value open_tun(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  napi_value options = check.object(arguments[0], "options");
  ifreq request{};
  check.text(check.property(options, "name"), "name", std::span(request.ifr_name));
  std::array<char, 8> kind{};
  check.text(check.property(options, "kind"), "kind", kind);
  if (check.valid() && std::strcmp(kind.data(), "tun") != 0) check.fail("kind", "expected \"tun\"");
  if (!check.valid()) return nullptr;

  UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return throw_system(env, errno, "open", "/dev/net/tun");
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (::ioctl(fd.get(), TUNSETIFF, &request) < 0) return throw_system(env, errno, "ioctl", "TUNSETIFF");
  napi_value result = describe_tun(env, fd.get(), request.ifr_name);
  Environment::of(env).descriptors[fd.get()] = Kind::tun;
  fd.release();
  return result;
}

napi_value read_batch(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  const Batch batch = take_batch(check, arguments, false);
  const int fd = take_tun(check, arguments, "read");
  if (fd < 0) return nullptr;
  size_t count = 0;
  while (count < batch.size()) {
    const std::span<uint8_t> slot = batch.slot(count);
    const ssize_t length = ::read(fd, slot.data(), slot.size());
    if (length >= 0) batch.set_length(count++, static_cast<size_t>(length));
    else if (errno == EINTR) continue;
    else if (errno == EAGAIN || count > 0) break;  // a real error comes back with the next call
    else return throw_system(env, errno, "read");
  }
  return make_integer(env, static_cast<int64_t>(count));
}

napi_value write_batch(napi_env env, napi_callback_info info) {
  Check check(env);
  Arguments arguments(env, info);
  const Batch batch = take_batch(check, arguments, true);
  const int fd = take_tun(check, arguments, "write");
  if (fd < 0) return nullptr;
  int64_t taken = 0;
  size_t i = 0;
  while (i < batch.size()) {
    const std::span<uint8_t> packet = batch.packet(i);
    const bool written = ::write(fd, packet.data(), packet.size()) >= 0;
    if (!written && errno == EINTR) continue;
    if (!written && !is_packet_fault(errno)) return throw_system(env, errno, "write");
    if (written) taken++;
    i++;
  }
  return make_integer(env, taken);
}

}  // namespace i3io
