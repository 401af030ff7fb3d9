#include "icmp-translation.h"

#include <algorithm>

#include "checksum.h"
#include "translation-header.h"

namespace i3 {
namespace {

constexpr size_t header_bytes = 8, type_at = 0, checksum_at = 2, rest_at = 4, quote_at = 8;
namespace icmp4 {
constexpr uint8_t echo_reply = 0, unreachable = 3, echo = 8, time_exceeded = 11, parameter_problem = 12;
}
namespace icmp6 {
constexpr uint8_t unreachable = 1, too_big = 2, time_exceeded = 3, parameter_problem = 4, echo = 128, echo_reply = 129;
}

// The first bytes of an error: what is behind type and code is an MTU or a pointer.
struct Head {
  uint8_t type;
  uint8_t code;
  uint32_t value = 0;
};

std::optional<uint8_t> echo_of(unsigned version, uint8_t type) {
  if (version == 4 && type == icmp4::echo) return icmp6::echo;
  if (version == 4 && type == icmp4::echo_reply) return icmp6::echo_reply;
  if (version == 6 && type == icmp6::echo) return icmp4::echo;
  if (version == 6 && type == icmp6::echo_reply) return icmp4::echo_reply;
  return std::nullopt;
}

// RFC 1191 §7.1: for routers that do not say how much passes.
uint32_t plateau_below(uint32_t total) {
  constexpr std::array<uint16_t, 7> plateaus{32'000, 17'914, 8'166, 4'352, 2'002, 1'492, 1'006};
  const auto found = std::find_if(plateaus.begin(), plateaus.end(), [total](uint16_t plateau) { return plateau < total; });
  return found == plateaus.end() ? 0 : *found;
}

uint32_t mtu6_of(Bytes message) {
  const uint16_t told = u16(message, 6);
  const Bytes quote = message.subspan(quote_at);
  const uint32_t mtu = told != 0 || quote.size() < ipv4::min_bytes ? told : plateau_below(u16(quote, ipv4::total_length));
  return std::max<uint32_t>(mtu + 20, 1'280);
}

// Of RFC 7915, figure 3: where the same thing stands in the other header.
std::optional<uint8_t> pointer6_of(uint8_t pointer) {
  if (pointer < 2) return pointer;
  if (pointer < 4) return ipv6::payload_length;
  if (pointer == ipv4::ttl) return ipv6::hop_limit;
  if (pointer == ipv4::protocol) return ipv6::next_header;
  if (pointer < ipv4::source || pointer >= ipv4::min_bytes) return std::nullopt;
  return pointer < ipv4::destination ? ipv6::source : ipv6::destination;
}
// Figure 6.
std::optional<uint8_t> pointer4_of(uint32_t pointer) {
  if (pointer < 2) return static_cast<uint8_t>(pointer);
  if (pointer < 4 || pointer >= ipv6::header_bytes) return std::nullopt;
  if (pointer < 6) return ipv4::total_length;
  if (pointer == ipv6::next_header) return ipv4::protocol;
  if (pointer == ipv6::hop_limit) return ipv4::ttl;
  return pointer < ipv6::destination ? ipv4::source : ipv4::destination;
}

std::optional<Head> unreachable6(Bytes message) {
  const uint8_t code = u8(message, 1);
  switch (code) {
    case 0: case 1: case 5: case 6: case 7: case 8: case 11: case 12: return Head{icmp6::unreachable, 0};
    case 2: return Head{icmp6::parameter_problem, 1, ipv6::next_header};
    case 3: return Head{icmp6::unreachable, 4};
    case 4: return Head{icmp6::too_big, 0, mtu6_of(message)};
    case 9: case 10: case 13: case 15: return Head{icmp6::unreachable, 1};
    default: return std::nullopt;
  }
}

std::optional<Head> head6(Bytes message) {
  const uint8_t type = u8(message, type_at), code = u8(message, 1);
  if (type == icmp4::unreachable) return unreachable6(message);
  if (type == icmp4::time_exceeded) return Head{icmp6::time_exceeded, code};
  if (type != icmp4::parameter_problem || (code != 0 && code != 2)) return std::nullopt;
  const auto pointer = pointer6_of(u8(message, rest_at));
  return pointer ? std::optional(Head{icmp6::parameter_problem, 0, *pointer}) : std::nullopt;
}

// `value` stands where each type has it.
std::optional<Head> head4(Bytes message) {
  const uint8_t type = u8(message, type_at), code = u8(message, 1);
  const uint32_t value = u32(message, rest_at);
  switch (type) {
    case icmp6::unreachable:
      if (code > 4) return std::nullopt;
      return Head{icmp4::unreachable, static_cast<uint8_t>(code == 1 ? 10 : code == 4 ? 3 : 1)};
    case icmp6::too_big:
      // IPv6 has no shorter ones than 1,280; who says so may lie.
      return Head{icmp4::unreachable, 4, std::min(std::max(value, 1'280u) - 20, 65'535u)};
    case icmp6::time_exceeded:
      return Head{icmp4::time_exceeded, code};
    case icmp6::parameter_problem: {
      if (code == 1) return Head{icmp4::unreachable, 2};
      const auto pointer = code == 0 ? pointer4_of(value) : std::nullopt;
      return pointer ? std::optional(Head{icmp4::parameter_problem, 0, uint32_t{*pointer} << 24}) : std::nullopt;
    }
    default:
      return std::nullopt;
  }
}

// Without what RFC 4884 puts behind it, whose place would have to be told in other units.
Bytes quote_of(Bytes message, unsigned version) {
  const uint8_t type = u8(message, type_at);
  const bool has_length = version == 4 ? type == icmp4::unreachable || type == icmp4::time_exceeded || type == icmp4::parameter_problem : type == icmp6::unreachable || type == icmp6::time_exceeded;
  const size_t length = !has_length ? 0 : version == 4 ? u8(message, 5) * size_t{4} : u8(message, 4) * size_t{8};
  const Bytes quote = message.subspan(quote_at);
  return length == 0 ? quote : quote.first(std::min(length, quote.size()));
}

// Only echo: no error is about an error (RFC 1122 §3.2.2, RFC 4443 §2.4 e).
bool mend_quoted_icmp(MutableBytes message, const TranslationHeader& header, const AddressPair& own, const AddressPair& after) {
  if (message.empty()) return true;
  const auto type = echo_of(header.version, message[type_at]);
  if (!type || !header.is_whole()) return false;
  const auto before = static_cast<uint16_t>(message[type_at] << 8);
  put8(message, type_at, *type);
  if (message.size() < checksum_at + 2) return true;
  const uint32_t pseudo = header.version == 4 ? pseudo_sum_of(after, protocol::icmp6, header.payload_bytes) : static_cast<uint16_t>(~pseudo_sum_of(own, protocol::icmp6, header.payload_bytes));
  adjust_checksum(message, checksum_at, fold(uint64_t{word_delta(before, static_cast<uint16_t>(*type << 8))} + pseudo));
  return true;
}

// A checksum that is half quoted stays.
bool mend_quoted(MutableBytes segment, const TranslationHeader& header, const AddressPair& own, const AddressPair& after) {
  if (header.next == header.icmp()) return mend_quoted_icmp(segment, header, own, after);
  if (!has_counterpart(header.next)) return false;
  if (header.offset != 0) return true;
  const uint32_t delta = addresses_delta(own, after);
  if (header.next == protocol::tcp && tcp::checksum + 2 <= segment.size()) adjust_checksum(segment, tcp::checksum, delta);
  if (header.next == protocol::udp && udp::checksum + 2 <= segment.size()) adjust_udp_checksum(segment, udp::checksum, delta);
  return true;
}

// What went the other way: from `before.destination` to `before.source`.
std::optional<size_t> translate_quote(MutableBytes out, Bytes quote, const IcmpEnds& ends) {
  const auto header = read_translation_header(quote);
  if (!header || header->version != ends.version) return std::nullopt;
  const AddressPair own = addresses_of(quote), after{ends.after.destination, ends.after.source};
  if (!equal(own.source, ends.before.destination) || !equal(own.destination, ends.before.source)) return std::nullopt;
  if (header->version == 6 && ipv4::min_bytes + header->payload_bytes > 65'535) return std::nullopt;
  const Bytes rest = quote.subspan(header->payload_at);
  const size_t made_bytes = header->made_bytes();
  const MutableBytes segment = out.subspan(made_bytes, std::min(rest.size(), out.size() - made_bytes));
  copy_to(segment, 0, rest.first(segment.size()));
  if (!mend_quoted(segment, *header, own, after)) return std::nullopt;
  put_translation_header(out, *header, after, header->payload_bytes, nullptr);
  return made_bytes + segment.size();
}

}  // namespace

std::optional<size_t> translate_icmp(MutableBytes out, size_t most, Bytes message, const IcmpEnds& ends) {
  if (message.size() < header_bytes) return std::nullopt;
  size_t length = message.size();
  if (const auto echo = echo_of(ends.version, u8(message, type_at))) {
    copy_to(out, 0, message);
    put8(out, type_at, *echo);
  } else {
    const auto head = ends.version == 4 ? head6(message) : head4(message);
    if (!head) return std::nullopt;
    const auto quoted = translate_quote(out.first(std::min(most, out.size())).subspan(quote_at), quote_of(message, ends.version), ends);
    if (!quoted) return std::nullopt;
    length = quote_at + *quoted;
    put8(out, type_at, head->type);
    put8(out, 1, head->code);
    put32(out, rest_at, head->value);
  }
  const MutableBytes made = out.first(length);
  put16(made, checksum_at, 0);
  // What was wrong with the old one is wrong with the new one.
  const uint16_t old_pseudo = ends.version == 6 ? pseudo_sum_of(ends.own, protocol::icmp6, message.size()) : uint16_t{0};
  const uint16_t new_pseudo = ends.version == 4 ? pseudo_sum_of(ends.after, protocol::icmp6, length) : uint16_t{0};
  const auto wrong = static_cast<uint16_t>(~fold(uint64_t{sum_words(message)} + old_pseudo));
  put16(made, checksum_at, static_cast<uint16_t>(~fold(uint64_t{wrong} + sum_words(made) + new_pseudo)));
  return length;
}

}  // namespace i3
