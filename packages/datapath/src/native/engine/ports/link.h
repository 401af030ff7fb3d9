// The TUN's MTU, queue and the size of what the kernel hands over at once.
#pragma once

#include <cstdint>
#include <optional>

#include "port-error.h"

namespace i3 {

// `trains`: the device takes several packets in one.
std::optional<PortError> tune_link(unsigned index, uint32_t mtu, bool trains);

}  // namespace i3
