// Read from the same object for both kinds of sockets: those of udp.cc and the engine's (engine-open.cc).
#include "udp-options.h"

#include <arpa/inet.h>

#include <cstring>

#include "engine-values.h"

namespace i3io {

i3::UdpOptions take_udp_options(Check& check, napi_value object, const char* name) {
  i3::UdpOptions options;
  check.object(object, name);
  const int64_t family = check.integer(check.property(object, "family"), "family", 4, 6);
  if (family == 5) check.fail("family", "expected 4 or 6");
  std::array<char, INET6_ADDRSTRLEN> text{};
  check.text(check.property(object, "address"), "address", text);
  const auto port = static_cast<uint16_t>(check.integer(check.property(object, "port"), "port", 0, 65'535));
  options.mark = take_u32(check, check.property(object, "mark"), "mark");
  options.buffer_bytes = static_cast<int>(check.integer(check.property(object, "bufferBytes"), "bufferBytes", 0, 1 << 30));
  options.is_v6 = family == 6;
  options.name.sin6_port = htons(port);
  bool parsed = false;
  if (options.is_v6) {
    options.name.sin6_family = AF_INET6;
    options.name_bytes = sizeof(sockaddr_in6);
    parsed = inet_pton(AF_INET6, text.data(), &options.name.sin6_addr) == 1;
  } else {
    sockaddr_in name4{};
    name4.sin_family = AF_INET;
    name4.sin_port = htons(port);
    options.name_bytes = sizeof name4;
    parsed = inet_pton(AF_INET, text.data(), &name4.sin_addr) == 1;
    std::memcpy(&options.name, &name4, sizeof name4);
  }
  if (!parsed) check.fail("address", "not an address of this family");
  return options;
}

}  // namespace i3io
