// What JavaScript says of a UDP socket: family, address, port, mark, bufferBytes.
#pragma once

#include "check.h"
#include "engine/ports/udp-socket.h"

namespace i3io {

// `name`: of the argument, for its TypeError.
i3::UdpOptions take_udp_options(Check& check, napi_value object, const char* name);

}  // namespace i3io
