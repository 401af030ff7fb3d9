// What the addon reads of netfilter's netlink (src/native/netfilter-messages.cc, netlink.cc) under the sanitizers: messages as the kernel makes them,
// cut at every byte, with bits and lengths changed, and noise, in buffers of exact length; requests that do not fit; datagrams that are not the kernel's.
#include "netfilter-messages.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "node-stand-in.h"

namespace i3io {
namespace {

Buffer numbers(std::initializer_list<int> values) {
  Buffer made;
  for (const int value : values) made.push_back(static_cast<uint8_t>(value));
  return made;
}
// | length 2 | type 2 | value | padding |
Buffer attribute(int type, const Buffer& value) {
  const auto length = static_cast<uint16_t>(4 + value.size());
  const auto number = static_cast<uint16_t>(type);
  Buffer made(4);
  std::memcpy(made.data(), &length, 2);
  std::memcpy(made.data() + 2, &number, 2);
  made = joined(made, value);
  made.resize(NLMSG_ALIGN(made.size()));
  return made;
}
Buffer nest(int type, const Buffer& inside) { return attribute(type | NLA_F_NESTED, inside); }
Buffer all_of(std::initializer_list<Buffer> parts) {
  Buffer made;
  for (const Buffer& part : parts) made = joined(made, part);
  return made;
}
Buffer message(uint16_t type, uint8_t family, const Buffer& attributes) {
  nlmsghdr header{};
  header.nlmsg_len = static_cast<uint32_t>(sizeof header + sizeof(nfgenmsg) + attributes.size());
  header.nlmsg_type = type;
  header.nlmsg_seq = 1;
  Buffer made(sizeof header);
  std::memcpy(made.data(), &header, sizeof header);
  return all_of({made, numbers({family, 0, 0, 33}), attributes});
}
constexpr uint16_t log_type = netfilter_type(NFNL_SUBSYS_ULOG, NFULNL_MSG_PACKET);
constexpr uint16_t entry_type = netfilter_type(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_NEW);

Buffer zeros(size_t size) { return Buffer(size, 0); }
const Buffer log_header = attribute(NFULA_PACKET_HDR, numbers({0x86, 0xdd, 2, 0}));
Buffer log_message() {
  return message(log_type, AF_INET6, all_of({log_header, attribute(NFULA_PREFIX, numbers({'c', '1', 0})), attribute(NFULA_IFINDEX_INDEV, numbers({0, 0, 1, 5})),
                                             attribute(NFULA_IFINDEX_OUTDEV, numbers({0, 0, 0, 6})), attribute(NFULA_MARK, numbers({0x69, 0x33, 0, 1})),
                                             attribute(NFULA_SEQ, numbers({0, 0, 0, 9})), attribute(NFULA_HWADDR, zeros(12)), attribute(NFULA_PAYLOAD, zeros(61))}));
}
Buffer tuple(int type, int first, size_t address_bytes) {
  const bool is_v4 = address_bytes == 4;
  return nest(type, all_of({nest(CTA_TUPLE_IP, all_of({attribute(is_v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, Buffer(address_bytes, static_cast<uint8_t>(first))),
                                                        attribute(is_v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, Buffer(address_bytes, static_cast<uint8_t>(first + 1)))})),
                            nest(CTA_TUPLE_PROTO, all_of({attribute(CTA_PROTO_NUM, numbers({6})), attribute(CTA_PROTO_SRC_PORT, numbers({1, 2})),
                                                          attribute(CTA_PROTO_DST_PORT, numbers({0, 80}))}))}));
}
Buffer entry_message(size_t address_bytes = 4) {
  return message(entry_type, address_bytes == 4 ? AF_INET : AF_INET6,
                 all_of({tuple(CTA_TUPLE_ORIG, 1, address_bytes), tuple(CTA_TUPLE_REPLY, 3, address_bytes), attribute(CTA_STATUS, numbers({0, 0, 1, 0x8e})),
                         attribute(CTA_MARK, numbers({0, 1, 0, 0})), attribute(CTA_ID, numbers({0xff, 0, 0, 1})), attribute(CTA_ZONE, numbers({0, 7}))}));
}

bool lies_in(Octets part, Octets whole) { return part.empty() || (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size()); }
// Every byte of what was found is read, so that the sanitizer sees it.
void touch(Octets part, Octets whole) {
  CHECK(lies_in(part, whole));
  volatile uint8_t sum = 0;
  for (const uint8_t byte : part) sum = static_cast<uint8_t>(sum + byte);
}

struct Found {
  std::optional<LoggedPacket> logged;
  std::optional<ConntrackEntry> entry;
  size_t messages = 0;
  bool is_whole = false;
};
// `bytes` in memory of just this length, which lives until the next call.
Found read(const Buffer& bytes) {
  static std::unique_ptr<uint8_t[]> kept;
  kept = std::make_unique_for_overwrite<uint8_t[]>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), kept.get());
  const Octets whole(kept.get(), bytes.size());
  Found found;
  found.is_whole = for_each_message(whole, [&](const NetlinkMessage& one) {
    found.messages++;
    if (is_logged_packet(one)) found.logged = read_logged_packet(one);
    if (is_conntrack_entry(one)) found.entry = read_conntrack_entry(one);
    if (found.logged) {
      CHECK(found.logged->prefix.size() <= max_log_prefix);
      touch(found.logged->packet, whole);
      touch(Octets(reinterpret_cast<const uint8_t*>(found.logged->prefix.data()), found.logged->prefix.size()), whole);
    }
    if (found.entry) {
      const size_t size = found.entry->family == AF_INET ? 4 : 16;
      for (const ConntrackTuple& side : {found.entry->original, found.entry->reply}) {
        touch(side.source, whole);
        touch(side.destination, whole);
        CHECK(side.source.size() == size && side.destination.size() == size);
      }
    }
  });
  return found;
}

void messages_of_the_kernel() {
  const auto logged = read(log_message()).logged;
  CHECK(logged && logged->family == AF_INET6 && logged->hardware_protocol == 0x86dd && logged->hook == 2 && logged->prefix == "c1");
  CHECK(logged->in_index == 0x105 && logged->out_index == 6 && logged->mark == 0x69330001 && logged->sequence == 9 && logged->packet.size() == 61);
  for (const size_t size : {size_t{4}, size_t{16}}) {
    const auto entry = read(entry_message(size)).entry;
    CHECK(entry && entry->id == 0xff000001 && entry->mark == 0x10000 && entry->status == 0x18e && entry->zone == 7);
    CHECK(entry->original.protocol == 6 && entry->original.source_port == 0x102 && entry->original.destination_port == 80);
    CHECK(concerns(*entry, Buffer(size, 1)) && !concerns(*entry, Buffer(size, 2)) && concerns(*entry, Buffer(size, 3)) && concerns(*entry, Buffer(size, 4)));
    CHECK(!concerns(*entry, Buffer(20 - size, 1)) && !concerns(*entry, Buffer()));
  }
  const Found both = read(joined(entry_message(), log_message()));
  CHECK(both.messages == 2 && both.is_whole && both.entry && both.logged);
}

void prefixes() {
  const auto prefix_of = [](const Buffer& text) { return read(message(log_type, AF_INET, joined(log_header, attribute(NFULA_PREFIX, text)))).logged->prefix.size(); };
  CHECK(prefix_of({}) == 0 && prefix_of(numbers({0})) == 0 && prefix_of(numbers({'a'})) == 1 && prefix_of(numbers({'a', 0, 'b'})) == 1);
  for (const size_t length : {126UL, 127UL, 128UL, 200UL, 60'000UL}) CHECK(prefix_of(Buffer(length, 'x')) == std::min<size_t>(length, max_log_prefix));
}

void what_is_missing_or_of_the_wrong_size() {
  CHECK(!read(message(log_type, AF_INET, attribute(NFULA_PAYLOAD, zeros(20)))).logged);
  const Buffer orig = tuple(CTA_TUPLE_ORIG, 1, 4);
  const Buffer reply = tuple(CTA_TUPLE_REPLY, 3, 4);
  CHECK(!read(message(entry_type, AF_INET, orig)).entry && !read(message(entry_type, AF_INET, reply)).entry);
  CHECK(read(message(entry_type, AF_INET, joined(orig, reply))).entry && !read(message(entry_type, AF_INET6, joined(orig, reply))).entry);
  CHECK(!read(message(entry_type, AF_UNIX, joined(orig, reply))).entry);
  CHECK(!read(message(entry_type, AF_INET, all_of({orig, reply, tuple(CTA_TUPLE_REPLY, 3, 16)}))).entry);
  for (size_t size = 0; size < 12; size++) {
    for (const int type : {NFULA_MARK, NFULA_IFINDEX_INDEV, NFULA_IFINDEX_OUTDEV, NFULA_SEQ, NFULA_PACKET_HDR}) {
      CHECK(read(message(log_type, AF_INET, joined(log_header, attribute(type, zeros(size))))).logged.has_value() == (size == 4));
    }
    for (const int type : {CTA_MARK, CTA_ID, CTA_STATUS}) CHECK(read(message(entry_type, AF_INET, all_of({orig, reply, attribute(type, zeros(size))}))).entry.has_value() == (size == 4));
    CHECK(read(message(entry_type, AF_INET, all_of({orig, reply, attribute(CTA_ZONE, zeros(size))}))).entry.has_value() == (size == 2));
    const Buffer transport = nest(CTA_TUPLE_ORIG, nest(CTA_TUPLE_PROTO, attribute(CTA_PROTO_ICMP_ID, zeros(size))));
    CHECK(read(message(entry_type, AF_INET, all_of({orig, reply, transport}))).entry.has_value() == (size == 2));
  }
}

// A message that says another length than it has: nothing of it counts.
void cut_everywhere() {
  for (const Buffer& whole : {log_message(), entry_message(4), entry_message(16)}) {
    for (size_t length = 0; length < whole.size(); length++) {
      const Buffer part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
      const Found found = read(part);
      CHECK(found.messages == 0 && found.is_whole == (length == 0));
      if (length < sizeof(nlmsghdr)) continue;
      // The same with the length that it has: attributes end early.
      Buffer relabelled = part;
      const auto size = static_cast<uint32_t>(length);
      std::memcpy(relabelled.data(), &size, sizeof size);
      CHECK(read(relabelled).messages == 1);
    }
  }
}

void changed_and_noise() {
  constexpr int rounds = 10'000;
  for (int n = 0; n < rounds; n++) {
    Buffer bytes = below(2) == 0 ? log_message() : entry_message(below(2) == 0 ? 4 : 16);
    for (uint64_t bits = 1 + below(8); bits > 0; bits--) bytes = changed(std::move(bytes));
    // Lengths of attributes, which one bit seldom makes plausible.
    const size_t at = 20 + 4 * below((bytes.size() - 24) / 4);
    const auto length = static_cast<uint16_t>(below(80));
    if (below(2) == 0) std::memcpy(bytes.data() + at, &length, sizeof length);
    read(bytes);
    read(message(below(2) == 0 ? log_type : entry_type, below(2) == 0 ? AF_INET : AF_INET6, noise(below(120))));
    read(noise(below(120)));
  }
}

void requests_that_do_not_fit() {
  Request fits(entry_type, 0, nfgenmsg{});
  const size_t outer = fits.begin_nest(CTA_TUPLE_ORIG);
  fits.attribute(CTA_TUPLE_IP, zeros(3));
  fits.end_nest(outer);
  const Octets made = fits.finish(5);
  CHECK(made.size() == 16 + 4 + 4 + 8);
  const auto header = read_as<nlmsghdr>(made);
  const auto nested = read_as<rtattr>(made.subspan(20));
  CHECK(header.nlmsg_len == made.size() && header.nlmsg_seq == 5 && nested.rta_len == 12 && nested.rta_type == (CTA_TUPLE_ORIG | NLA_F_NESTED));
  for (const size_t size : {size_t{480}, size_t{500}, size_t{5'000}}) {
    Request cut(entry_type, 0, nfgenmsg{});
    const size_t nest_at = cut.begin_nest(CTA_TUPLE_ORIG);
    cut.attribute(CTA_TUPLE_IP, zeros(size));
    cut.attribute_u32(CTA_ID, 1);
    cut.end_nest(nest_at);
    CHECK(cut.finish(1).empty() && send_to_kernel(-1, cut, 1) == EMSGSIZE);
  }
}

// NETLINK_USERSOCK lets anybody send to anybody: what comes by it is a process's, never the kernel's.
void datagrams_of_others() {
  const UniqueFd ours = open_netlink(NETLINK_USERSOCK);
  const UniqueFd theirs = open_netlink(NETLINK_USERSOCK);
  CHECK(ours && theirs);
  sockaddr_nl name{};
  name.nl_family = AF_NETLINK;
  socklen_t size = sizeof name;
  CHECK(bind(ours.get(), reinterpret_cast<sockaddr*>(&name), size) == 0 && getsockname(ours.get(), reinterpret_cast<sockaddr*>(&name), &size) == 0);
  const Buffer forged = log_message();
  const auto forge = [&] { return sendto(theirs.get(), forged.data(), forged.size(), 0, reinterpret_cast<sockaddr*>(&name), size) == static_cast<ssize_t>(forged.size()); };
  CHECK(forge() && forge());
  Buffer buffer(4'096);
  CHECK(receive_from_kernel(ours.get(), buffer, MSG_DONTWAIT).empty() && errno == EAGAIN);
  CHECK(forge());
  CHECK(recv(ours.get(), buffer.data(), buffer.size(), MSG_DONTWAIT) == static_cast<ssize_t>(forged.size()));
}

}  // namespace
}  // namespace i3io

int main(int count, char** arguments) {
  using namespace i3io;
  const Test tests[] = {{"messages of the kernel", messages_of_the_kernel},
                        {"prefixes", prefixes},
                        {"what is missing or of the wrong size", what_is_missing_or_of_the_wrong_size},
                        {"cut everywhere", cut_everywhere},
                        {"changed, and noise", changed_and_noise},
                        {"requests that do not fit", requests_that_do_not_fit},
                        {"datagrams of others", datagrams_of_others}};
  return run_tests(count, arguments, tests);
}
