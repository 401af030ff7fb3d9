// A sink that holds what every packet and datagram that leaves the engine must be, and keeps some of them.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "packets.h"

namespace i3::test {

// Ends the process with a message; in every build.
[[noreturn]] void fail(const char* what, const char* file, int line);
#define CHECK(holds) ((holds) ? static_cast<void>(0) : ::i3::test::fail(#holds, __FILE__, __LINE__))

// The first byte of bytes that are injected as they are, which need not be a packet.
constexpr uint8_t raw_mark = 0xaa;

// RFC 1071, the plain way: two bytes at a time.
uint32_t naive_sum(Bytes bytes, uint32_t sum = 0);

class CheckingSink : public Sink {
 public:
  void send(std::span<const UdpMessage> messages) override;
  void write(const TunPacket& packet) override;

  // Set with every begin().
  Capabilities capabilities;
  // While there is a detour: where what does not take it may go by the main port.
  std::optional<Endpoint> only_to;
  // The last datagrams and packets that left.
  struct Sent {
    Endpoint to;
    uint8_t traffic_class;
    std::vector<uint8_t> bytes;
    Way way;
  };
  std::deque<Sent> datagrams;
  std::deque<std::vector<uint8_t>> packets;
  size_t kept = 32;
  uint64_t datagram_count = 0;
  uint64_t packet_count = 0;
};

}  // namespace i3::test
