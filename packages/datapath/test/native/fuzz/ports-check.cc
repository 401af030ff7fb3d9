// The ports on real sockets and TUN devices, under the sanitizers, in a network namespace where this process is root. Each test prints its
// name; the first that fails ends the program.
//
//     ports-check SEED
//
// Refusals are the kernel's own: UDP-Lite and sockets without checksums take no UDP_SEGMENT, nor does a path whose MTU is below the
// segments; a TUN takes no header that contradicts its packet. Only the kernel before 6.2, which knows no UDP segments on a TUN, is played
// by a seccomp filter.
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>

#include "data-header.h"
#include "inner-maker.h"
#include "ports/worker-set.h"
#include "specs.h"
#include "test-sockets.h"

namespace i3::test {
namespace {

constexpr std::array<uint8_t, 16> seed{2, 7, 1, 8, 2, 8, 1, 8, 2, 8, 4, 5, 9, 0, 4, 5};
std::mt19937_64 random_bits;

std::vector<uint8_t> random_bytes(size_t length) {
  std::vector<uint8_t> made(length);
  for (uint8_t& byte : made) byte = static_cast<uint8_t>(random_bits());
  return made;
}

uint64_t lost(const LaneCounters& counters) { return counters.drops[static_cast<size_t>(Drop::io_error)].read(); }

// --- UDP ---

UdpMessage message_of(Bytes bytes, size_t segment_bytes, const Endpoint& to) {
  UdpMessage made;
  made.bytes = bytes;
  made.segment_bytes = segment_bytes;
  made.segments = (bytes.size() + segment_bytes - 1) / segment_bytes;
  made.to = to;
  return made;
}

void expect_datagrams(const TestSocket& at, const UdpMessage& message) {
  for (size_t from = 0; from < message.bytes.size(); from += message.segment_bytes) {
    CHECK(equal(at.receive(), message.bytes.subspan(from, std::min(message.segment_bytes, message.bytes.size() - from))));
  }
}

// Whatever the kernel refuses arrives all the same, datagram by datagram and in its order. `for_good`: trains are not tried again.
void refused_trains(const TestSocket& from, const TestSocket& at, uint16_t segment_bytes, std::initializer_list<int> errors, bool for_good) {
  const auto train = random_bytes(5u * segment_bytes + 100);
  const auto one = random_bytes(10), other = random_bytes(20);
  const int error = from.send(at.endpoint(), train, segment_bytes);
  CHECK(std::count(errors.begin(), errors.end(), error) == 1);
  CHECK(at.is_quiet());
  LaneCounters counters;
  const auto sender = std::make_unique<UdpSender>();
  sender->open(from.fd(), false, {});
  // The option itself is taken: what follows is no matter of looking before.
  CHECK(sender->segments());
  const std::array messages{message_of(one, one.size(), at.endpoint()), message_of(train, segment_bytes, at.endpoint()), message_of(other, other.size(), at.endpoint())};
  for (int i = 0; i < 3; i++) {
    CHECK(sender->send(messages, counters) == 0);
    for (const UdpMessage& message : messages) expect_datagrams(at, message);
    CHECK(at.is_quiet());
    CHECK(sender->segments() == !for_good);
  }
  CHECK(lost(counters) == 0);
}

void no_way_out_for_trains() {
  const TestSocket from(loopback_address, 0, IPPROTO_UDPLITE), at(loopback_address, 0, IPPROTO_UDPLITE);
  refused_trains(from, at, 1'000, {EIO}, true);
}

void a_train_that_is_wrong() {
  const TestSocket from, at;
  from.set(SOL_SOCKET, SO_NO_CHECK, 1);
  refused_trains(from, at, 1'000, {EINVAL}, false);
}

// Older kernels say EINVAL here too.
void a_train_above_the_path() {
  set_mtu("lo", 1'400);
  {
    const TestSocket from, at;
    refused_trains(from, at, 1'450, {EMSGSIZE, EINVAL}, false);
  }
  set_mtu("lo", 65'536);
}

void taken_trains() {
  const TestSocket from, at;
  LaneCounters counters;
  const auto sender = std::make_unique<UdpSender>();
  sender->open(from.fd(), false, {});
  const auto train = random_bytes(5'100);
  const std::array messages{message_of(train, 1'000, at.endpoint())};
  CHECK(sender->send(messages, counters) == 0);
  expect_datagrams(at, messages[0]);
  CHECK(sender->segments() && lost(counters) == 0 && counters.udp_sends.read() == 1);
}

// A socket that has no such option, and a caller who wants none.
void no_trains_from_the_start() {
  int pair[2];
  CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) == 0);
  const i3io::UniqueFd one(pair[0]), other(pair[1]);
  const auto sender = std::make_unique<UdpSender>();
  sender->open(one.get(), false, {});
  CHECK(!sender->segments());
  const TestSocket from, at;
  Offloads wanted;
  wanted.udp_segment = false;
  sender->open(from.fd(), false, wanted);
  CHECK(!sender->segments());
  LaneCounters counters;
  const auto train = random_bytes(70 * 100 + 1);
  const std::array messages{message_of(train, 100, at.endpoint())};
  CHECK(sender->send(messages, counters) == 0);
  expect_datagrams(at, messages[0]);
  // 71 datagrams, 64 a call.
  CHECK(counters.udp_sends.read() == 2);
}

void a_broken_socket() {
  const TestSocket at;
  const auto sender = std::make_unique<UdpSender>();
  {
    const TestSocket from;
    sender->open(from.fd(), false, {});
  }
  LaneCounters counters;
  const auto train = random_bytes(550);
  const std::array messages{message_of(train, 100, at.endpoint()), message_of(train, 550, at.endpoint())};
  CHECK(sender->send(messages, counters) == EBADF);
  CHECK(lost(counters) == 7 && at.is_quiet());
}

// --- TUN ---

std::array<char, IFNAMSIZ> device_name(std::string_view text) {
  std::array<char, IFNAMSIZ> name{};
  std::copy(text.begin(), text.end(), name.begin());
  return name;
}

std::unique_ptr<TunQueue> open_tun(const Offloads& wanted = {}, bool up = true) {
  auto queue = std::make_unique<TunQueue>();
  auto name = device_name("i3check%d");
  CHECK(!queue->open(name, false, true, wanted));
  if (up) set_up(name.data());
  return queue;
}

enum class Kind : uint8_t { plain, checksum, tcp4, tcp6, udp };
constexpr std::array offloads{Kind::checksum, Kind::tcp4, Kind::tcp6, Kind::udp};

struct Made {
  VnetHeader vnet;
  std::vector<uint8_t> bytes;
};

// What the engine writes of that kind: two segments of 100 bytes in one, or a packet whose checksum is to be completed.
Made make_packet(Kind kind) {
  const unsigned version = kind == Kind::tcp6 ? 6 : 4;
  const bool is_tcp = kind == Kind::tcp4 || kind == Kind::tcp6;
  const size_t ip_bytes = version == 4 ? 20 : 40;
  const size_t header_bytes = ip_bytes + (is_tcp ? 20u : 8u);
  Made made;
  made.bytes = random_bytes(header_bytes + 200);
  put8(made.bytes, 0, version << 4);
  put8(made.bytes, 1, 0);
  mend(made.bytes, Mend(static_cast<uint8_t>((version == 4 ? 0 : 1) | 16 | 32)), 1, own, is_tcp ? 6 : 17);
  if (is_tcp) put8(made.bytes, ip_bytes + 12, 0x50);
  if (is_tcp) put8(made.bytes, ip_bytes + 13, 0x10);
  if (kind == Kind::plain) return made;
  made.vnet.flags = VnetHeader::needs_checksum;
  made.vnet.checksum_start = static_cast<uint16_t>(ip_bytes);
  made.vnet.checksum_offset = is_tcp ? 16 : 6;
  if (kind == Kind::checksum) return made;
  made.vnet.gso_type = kind == Kind::tcp4 ? VnetHeader::gso_tcp4 : kind == Kind::tcp6 ? VnetHeader::gso_tcp6 : VnetHeader::gso_udp;
  made.vnet.header_bytes = static_cast<uint16_t>(header_bytes);
  made.vnet.gso_bytes = 100;
  return made;
}

// A header that the kernel takes for nonsense: segments of no bytes, a checksum behind the end.
Made make_refused(Kind kind) {
  Made made = make_packet(kind);
  if (kind == Kind::checksum) made.vnet.checksum_start = 9'000;
  else made.vnet.gso_bytes = 0;
  return made;
}

int write(TunQueue& queue, Made made) {
  const std::array parts{iovec{made.bytes.data(), 20}, iovec{made.bytes.data() + 20, made.bytes.size() - 20}};
  return queue.write({made.vnet, parts, 1});
}

bool has(const Capabilities& got, Kind kind) {
  return kind == Kind::checksum ? got.tun_checksum : kind == Kind::tcp4 ? got.tun_tcp4 : kind == Kind::tcp6 ? got.tun_tcp6 : got.tun_udp;
}

// An offload that the kernel has never taken and refuses is off from then on, and only that one.
void first_use_refused() {
  for (const Kind refused : offloads) {
    const auto queue = open_tun();
    for (const Kind kind : offloads) CHECK(has(queue->capabilities(), kind));
    CHECK(write(*queue, make_refused(refused)) == EINVAL);
    for (const Kind kind : offloads) CHECK(has(queue->capabilities(), kind) == (kind != refused));
    CHECK(write(*queue, make_packet(Kind::plain)) == 0);
  }
}

// After the kernel took one, a refusal is about the packet.
void later_use_refused() {
  for (const Kind refused : offloads) {
    const auto queue = open_tun();
    CHECK(write(*queue, make_packet(refused)) == 0);
    CHECK(write(*queue, make_refused(refused)) == EINVAL);
    for (const Kind kind : offloads) CHECK(has(queue->capabilities(), kind));
    CHECK(write(*queue, make_packet(refused)) == 0);
  }
}

// That is EIO, and says nothing about headers.
void device_is_down() {
  const auto queue = open_tun({}, false);
  for (const Kind kind : offloads) {
    CHECK(write(*queue, make_packet(kind)) == EIO);
    CHECK(has(queue->capabilities(), kind));
  }
}

void unwanted_offloads() {
  Offloads wanted;
  wanted.tun_udp = wanted.tun_tcp6 = false;
  const Capabilities some = open_tun(wanted)->capabilities();
  CHECK(some.tun_checksum && some.tun_tcp4 && !some.tun_tcp6 && !some.tun_udp);
  wanted.tun_checksum = false;
  const auto none = open_tun(wanted);
  for (const Kind kind : offloads) CHECK(!has(none->capabilities(), kind));
  CHECK(write(*none, make_packet(Kind::plain)) == 0);
}

void in_child(void (*act)(unsigned), unsigned argument) {
  std::fflush(nullptr);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    act(argument);
    std::fflush(nullptr);
    _exit(0);
  }
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

// From now on the kernel answers TUNSETOFFLOAD with EINVAL when it asks for one of `flags`, as one that does not know them.
void forget_offloads(unsigned flags) {
  constexpr uint32_t low = std::endian::native == std::endian::little ? 0 : 4;
  constexpr auto argument = [](uint32_t index) { return static_cast<uint32_t>(offsetof(seccomp_data, args)) + 8 * index + low; };
  std::array<sock_filter, 8> program{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_ioctl, 0, 5),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument(1)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(TUNSETOFFLOAD), 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument(2)),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, flags, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog whole{program.size(), program.data()};
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &whole) == 0);
}

constexpr unsigned udp_flags = 0x20 | 0x40;  // TUN_F_USO4, TUN_F_USO6
constexpr unsigned tcp_flags = TUN_F_TSO4 | TUN_F_TSO6;

void older_kernels() {
  for (const unsigned flags : {0u, udp_flags, tcp_flags, udp_flags | tcp_flags, unsigned{TUN_F_CSUM}}) {
    in_child([](unsigned unknown) {
      if (unknown != 0) forget_offloads(unknown);
      const auto queue = open_tun();
      const Capabilities got = queue->capabilities();
      const bool checksum = (unknown & TUN_F_CSUM) == 0;
      CHECK(got.tun_checksum == checksum);
      CHECK(got.tun_tcp4 == (checksum && (unknown & tcp_flags) == 0) && got.tun_tcp6 == got.tun_tcp4);
      CHECK(got.tun_udp == (checksum && (unknown & udp_flags) == 0));
      for (const Kind kind : offloads) CHECK(!has(got, kind) || write(*queue, make_packet(kind)) == 0);
      CHECK(write(*queue, make_packet(Kind::plain)) == 0);
    }, flags);
  }
}

// --- Workers ---

constexpr uint32_t own_address = 0x0a00'0099;
constexpr uint16_t own_port = 7'000, peer_port = 5'000;

double monotonic_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

// From the peer's program to ours, behind its data header.
std::vector<uint8_t> arriving(Bytes payload) {
  std::vector<uint8_t> packet(28 + payload.size());
  put16(packet, 20, peer_port);
  put16(packet, 22, own_port);
  copy_to(packet, 28, payload);
  mend(packet, Mend(16 | 32), 1, own, 17);
  return joined({data_header_to(make_id(1), 1), packet});
}

// The payload of what our program sent to the peer's: one packet in a data packet, all of whose checksums are right.
std::vector<uint8_t> payload_of(Bytes datagram) {
  const auto header = data_header_to(make_id(2), 1);
  CHECK(datagram.size() >= header.size() + 28 && equal(datagram.first(header.size()), header));
  const Bytes packet = datagram.subspan(header.size());
  CHECK(u16(packet, 2) == packet.size() && u16(packet, 24) == packet.size() - 20 && u16(packet, 20) == own_port && u16(packet, 22) == peer_port);
  CHECK(naive_sum(packet.first(20)) == 0xffff);
  CHECK(naive_sum(packet.subspan(20), naive_sum(packet.subspan(12, 8), static_cast<uint32_t>(packet.size() - 20) + 17)) == 0xffff);
  return {packet.begin() + 28, packet.end()};
}

PortOptions port_options(size_t workers, const Offloads& wanted) {
  PortOptions options;
  options.workers = workers;
  options.tun = TunOptions{device_name("i3check%d"), 1'360};
  const sockaddr_in name = name4(loopback_address, 0);
  std::memcpy(&options.udp.name, &name, sizeof name);
  options.udp.name_bytes = sizeof name;
  options.udp.buffer_bytes = 4 << 20;
  options.wanted = wanted;
  options.now_ms = monotonic_ms();
  return options;
}

// An engine with ports, a program on its TUN, and the peer's server.
//
//     program ── TUN ── engine ── UDP over loopback ── server
struct Bed {
  explicit Bed(size_t workers, const Offloads& wanted) : engine(seed, workers) {
    engine.on_output([this] { ports.wake(); });
    CHECK(!ports.open(engine, port_options(workers, wanted), [this](PortKind kind, PortError) { (kind == PortKind::tun ? tun_failures : udp_failures)++; }));
    const auto own4 = address4(own), peer4 = address4(1), same = pairs(4, 1, 1, own), header = data_header_to(make_id(2), 1);
    CHECK(engine.set_inbound_tun(make_id(1), peer4, {same, {}}) == Status::ok);
    FlowSpec flow;
    flow.action = FlowAction::tunnel;
    flow.header = header;
    flow.source = own4;
    CHECK(engine.set_flow(peer4, flow) == Status::ok);
    engine.set_default_server(server.endpoint());
    set_address(ports.tun()->name.data(), own_address);
    set_up(ports.tun()->name.data());
    program = std::make_unique<TestSocket>(own_address, own_port);
    const sockaddr_in name = name4(loopback_address, ports.port());
    sockaddr_in6 wide{};
    std::memcpy(&wide, &name, sizeof name);
    at = endpoint_of(wide);
    const sockaddr_in peer_name = name4(0x0a00'0001, peer_port);
    std::memcpy(&wide, &peer_name, sizeof peer_name);
    peer = endpoint_of(wide);
  }

  // One train each way, of the payloads as they are.
  void exchange(size_t count, size_t bytes) {
    std::vector<uint8_t> train, all;
    const auto payload = random_bytes(count * bytes);
    for (size_t i = 0; i < count; i++) append(train, arriving(Bytes(payload).subspan(i * bytes, bytes)));
    CHECK(server.send(at, train, static_cast<uint16_t>(train.size() / count)) == 0);
    for (size_t i = 0; i < count; i++) append(all, program->receive());
    CHECK(all == payload);
    all.clear();
    CHECK(program->send(peer, payload, static_cast<uint16_t>(bytes)) == 0);
    for (size_t i = 0; i < count; i++) append(all, payload_of(server.receive()));
    CHECK(all == payload);
  }

  std::atomic<int> tun_failures{0}, udp_failures{0};
  Engine engine;
  WorkerSet ports;
  TestSocket server;
  std::unique_ptr<TestSocket> program;
  Endpoint at, peer;
};

void packets_both_ways(size_t workers, const Offloads& wanted) {
  Bed bed(workers, wanted);
  for (int i = 0; i < 100; i++) bed.exchange(1 + random_bits() % 30, 1 + random_bits() % 1'200);
  // Whatever else comes, what is right goes on after it.
  for (int i = 0; i < 1'000; i++) {
    auto junk = random_bytes(random_bits() % (i % 100 == 0 ? 65'507 : 300));
    static constexpr std::array<uint8_t, 6> firsts{0x11, 0x11, 0x19, 0x20, 0x45, 0xff};
    if (!junk.empty()) junk[0] = firsts[random_bits() % firsts.size()];
    CHECK(bed.server.send(bed.at, junk) == 0);
    if (i % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  bed.exchange(10, 500);
  const Offloads got = bed.ports.offloads();
  CHECK(got.tun_checksum == wanted.tun_checksum && got.tun_tcp4 == wanted.tun_tcp4 && got.tun_tcp6 == wanted.tun_tcp6 && got.tun_udp == wanted.tun_udp);
  CHECK(got.udp_segment == wanted.udp_segment && got.udp_receive == wanted.udp_receive && got.traffic_class == wanted.traffic_class);
  // The control plane's output, while packets pass.
  for (uint8_t i = 0; i < 100; i++) {
    const std::vector<uint8_t> sent{0x19, i};
    bed.engine.send(bed.server.endpoint(), sent);
    CHECK(bed.server.receive() == sent);
    const auto datagram = arriving(sent);
    bed.engine.inject(Bytes(datagram).subspan(data_header::bytes_with(1)));
    CHECK(bed.program->receive() == sent);
  }
  const auto totals = bed.engine.totals();
  CHECK(totals.tun_in > 0 && totals.tun_reads > 0 && totals.tun_writes > 0 && totals.udp_reads > 0 && totals.udp_sends > 0);
  CHECK(totals.drops[static_cast<size_t>(Drop::io_error)] == 0);
  bed.ports.stop();
  bed.ports.stop();
  CHECK(bed.tun_failures == 0 && bed.udp_failures == 0);
  bed.ports.close();
}

void one_worker() { packets_both_ways(1, {}); }
void two_workers() { packets_both_ways(2, {}); }
void without_offloads() { packets_both_ways(1, {false, false, false, false, false, false, false}); }

// Each queue of it breaks once, and the other ports go on.
void device_taken_away() {
  Bed bed(2, {});
  bed.exchange(3, 100);
  CHECK(std::system((std::string("ip link delete ") + bed.ports.tun()->name.data()).c_str()) == 0);
  for (int i = 0; i < 6'000 && bed.tun_failures < 2; i++) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  const auto lost_before = bed.engine.totals().drops[static_cast<size_t>(Drop::io_error)];
  CHECK(bed.server.send(bed.at, arriving(random_bytes(10))) == 0);
  for (int i = 0; i < 6'000 && bed.engine.totals().drops[static_cast<size_t>(Drop::io_error)] == lost_before; i++) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  CHECK(bed.engine.totals().drops[static_cast<size_t>(Drop::io_error)] == lost_before + 1);
  bed.engine.send(bed.server.endpoint(), std::vector<uint8_t>{0x19});
  CHECK(bed.server.receive().size() == 1);
  CHECK(bed.tun_failures == 2 && bed.udp_failures == 0);
}

// Nothing is left open: what could be opened before the error is free again.
void port_in_use() {
  Engine engine(seed, 2);
  const TestSocket holder;
  PortOptions options = port_options(2, {});
  const sockaddr_in name = name4(loopback_address, holder.endpoint().port());
  std::memcpy(&options.udp.name, &name, sizeof name);
  WorkerSet ports;
  const auto error = ports.open(engine, options, [](PortKind, PortError) {});
  CHECK(error && error->number == EADDRINUSE && std::string_view(error->call) == "bind");
  for (int i = 0; i < 3; i++) {
    CHECK(!ports.open(engine, port_options(2, {}), [](PortKind, PortError) {}));
    ports.close();
  }
}

}  // namespace
}  // namespace i3::test

int main(int count, char** arguments) {
  using namespace i3::test;
  const unsigned long long number = count > 1 ? std::strtoull(arguments[1], nullptr, 10) : 1;
  const std::pair<const char*, void (*)()> tests[] = {
      {"UDP: no way out for trains (EIO)", no_way_out_for_trains}, {"UDP: a train that is wrong (EINVAL)", a_train_that_is_wrong},
      {"UDP: a train above the path (EMSGSIZE)", a_train_above_the_path}, {"UDP: trains that are taken", taken_trains},
      {"UDP: no trains from the start", no_trains_from_the_start}, {"UDP: a broken socket", a_broken_socket},
      {"TUN: first use refused (EINVAL)", first_use_refused}, {"TUN: later use refused", later_use_refused}, {"TUN: device is down (EIO)", device_is_down},
      {"TUN: unwanted offloads", unwanted_offloads}, {"TUN: older kernels", older_kernels},
      {"workers: one", one_worker}, {"workers: two", two_workers}, {"workers: without offloads", without_offloads},
      {"workers: device taken away", device_taken_away}, {"workers: port in use", port_in_use}};
  set_up("lo");
  for (const auto& [name, test] : tests) {
    std::printf("%s\n", name);
    std::fflush(stdout);
    random_bits.seed(number);
    test();
  }
  std::printf("all passed\n");
  return 0;
}
