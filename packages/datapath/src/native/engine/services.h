// What packets of one virtual address need (docs/datapath.md, "Services"; docs/policy.md, "Rules").
#pragma once

#include <optional>
#include <vector>

#include "inner-packet.h"

namespace i3 {

// How packets of one way are protected: 0 in cleartext, 1 authenticated, 2 encrypted.
constexpr uint8_t strongest = 2;
// In the place of a strength: nothing is enough.
constexpr uint8_t refused_strength = 3;

class Services {
 public:
  // `packed`: for each service protocol, strength, number of port ranges, and of each first and last port, 2 bytes each. None: of a wrong shape.
  static std::optional<Services> parse(Bytes packed, uint8_t rest);

  // Of a packet whose form inner_length accepted.
  uint8_t need(Bytes packet) const;
  // Of a TCP or UDP message.
  uint8_t need(uint8_t protocol, Bytes message) const;
  size_t memory_bytes() const { return rules_.capacity() * sizeof(Rule) + ranges_.capacity() * sizeof(Range); }

 private:
  // What of a packet services look at, where it shows.
  struct Selector {
    bool has_protocol = false;
    bool has_ports = false;
    uint8_t protocol = 0;
    uint16_t source = 0;
    uint16_t destination = 0;
  };
  struct Range {
    uint16_t first;
    uint16_t last;
    bool holds(uint16_t port) const { return first <= port && port <= last; }
  };
  struct Rule {
    uint8_t protocol;
    uint8_t strength;
    // Of `ranges_`; none: every packet of the protocol.
    uint16_t first_range;
    uint16_t range_count;
  };

  static Selector selector_of(Bytes packet, bool is_quoted);
  static Selector quoted_selector(Bytes quote, unsigned version);
  static Selector message_selector(uint8_t protocol, Bytes message);
  uint8_t need(const Selector& selector) const;
  bool has_port(const Rule& rule, const Selector& selector) const;

  std::vector<Rule> rules_;
  std::vector<Range> ranges_;
  uint8_t rest_ = refused_strength;
};

}  // namespace i3
