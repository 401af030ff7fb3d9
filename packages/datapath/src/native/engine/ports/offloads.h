// What the ports let the kernel do for many packets at once. The names are those of interface Offloads in src/native-addon.ts.
#pragma once

#include <atomic>

namespace i3 {

struct Offloads {
  bool tun_checksum = true;
  bool tun_tcp4 = true;
  bool tun_tcp6 = true;
  bool tun_udp = true;
  bool udp_segment = true;
  bool udp_receive = true;
  bool traffic_class = true;
};

// A yes or no that the port's thread changes and any thread asks for.
class Flag {
 public:
  Flag() = default;
  operator bool() const { return value_.load(std::memory_order_relaxed); }
  Flag& operator=(bool value) {
    value_.store(value, std::memory_order_relaxed);
    return *this;
  }

 private:
  std::atomic<bool> value_{false};
};

}  // namespace i3
