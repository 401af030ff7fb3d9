// The TUN's MTU, queue and the size of what the kernel hands over at once.
#pragma once

#include <cstdint>
#include <optional>

#include "../../unique-fd.h"
#include "port-error.h"

namespace i3 {

// `trains`: the device takes several packets in one.
std::optional<PortError> tune_link(unsigned index, uint32_t mtu, bool trains);

// How many packets the TUN's queue has had no room for.
class QueueLosses {
 public:
  // Without it, or where /sys does not show the device, nothing is known of losses.
  void open(const char* name, unsigned index);
  // Since the device was made; as before when the kernel does not tell.
  uint64_t read();

 private:
  i3io::UniqueFd file_;
  uint64_t last_ = 0;
};

}  // namespace i3
