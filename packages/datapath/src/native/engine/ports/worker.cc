#include "worker.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>
#include <utility>

#include "../limits.h"

namespace i3 {
namespace {

// What one port may do before the other has its turn.
constexpr size_t budget_reads = 64;  // of one packet each
constexpr size_t budget_calls = 8;   // of up to 64 datagrams each
constexpr size_t budget_bytes = 256 * 1024;
// Packets of one batch: what the cache holds while they are worked on. One train is a batch of its own.
constexpr size_t batch_bytes = 32 * 1024;
// Packets and trains below this are small: their cost is that of the call, not of the bytes.
constexpr size_t small_bytes = 8 * 1024;
// A short time slice: the scheduler then lets the worker in before a thread that computes (Linux 6.12; older ones take no notice), and
// no right is needed for it. A higher priority would also interrupt the programs that it serves, packet by packet: three times the work.
constexpr uint64_t slice_ns = 300'000;

// struct sched_attr of linux/sched/types.h, which C libraries before glibc 2.41 do not have.
struct SchedulingAttributes {
  uint32_t size = sizeof(SchedulingAttributes);
  uint32_t policy = SCHED_OTHER;
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime = 0;
  uint64_t deadline = 0;
  uint64_t period = 0;
};

void ask_for_short_slice() {
  SchedulingAttributes attributes;
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return;
  // As it is, the user's `nice` too.
  if (attributes.policy != SCHED_OTHER) return;
  attributes.runtime = slice_ns;
  (void)syscall(SYS_sched_setattr, 0, &attributes, 0);
}

enum Tag : unsigned { tag_event, tag_tun, tag_udp, tag_hip, tag_raw, tags = tag_raw + RawSockets::count };

}  // namespace

Worker::Worker(Lane& lane, double clock_offset_ms, FailureHandler on_failure)
    : lane_(lane),
      counters_(lane.counters()),
      clock_offset_ms_(clock_offset_ms),
      on_failure_(std::move(on_failure)),
      arena_(std::make_unique_for_overwrite<uint8_t[]>(tun_slots * tun_stride)) {}

Worker::~Worker() { stop(); }

bool Worker::watch(int fd, unsigned tag) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u32 = tag;
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

UdpSocket& Worker::hip() {
  if (!hip_) hip_ = std::make_unique<UdpSocket>();
  return *hip_;
}

RawSockets& Worker::raw() {
  if (!raw_) raw_ = std::make_unique<RawSockets>();
  return *raw_;
}

std::optional<PortError> Worker::start() {
  epoll_ = i3io::UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return PortError{errno, "epoll_create1"};
  event_ = i3io::UniqueFd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!event_) return PortError{errno, "eventfd"};
  tun_port_.is_watched = static_cast<bool>(tun_);
  udp_port_.is_watched = static_cast<bool>(udp_);
  hip_port_.is_watched = hip_ != nullptr;
  bool watched = watch(event_.get(), tag_event) && (!tun_ || watch(tun_.fd(), tag_tun)) && (!udp_ || watch(udp_.fd(), tag_udp)) && (!hip_ || watch(hip_->fd(), tag_hip));
  for (size_t i = 0; reads_raw_ && i < RawSockets::count; i++) {
    raw_ports_[i].is_watched = static_cast<bool>((*raw_)[i]);
    watched = watched && (!raw_ports_[i].is_watched || watch((*raw_)[i].fd(), tag_raw + static_cast<unsigned>(i)));
  }
  if (!watched) return PortError{errno, "epoll_ctl"};
  const UdpSender::RefusalHandler told = [this](const UdpMessage& message, SendFailure reason) { lane_.send_failed(message.to, message.way, reason); };
  udp_.on_refusal(told);
  if (hip_) hip_->on_refusal(told);
  for (size_t i = 0; raw_ && i < RawSockets::count; i++) (*raw_)[i].on_refusal(told);
  // The thread inherits the mask: signals are for JavaScript's threads.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int error = pthread_create(&thread_, nullptr, run_thread, this);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) return PortError{error, "pthread_create"};
  is_running_ = true;
  pthread_setname_np(thread_, "i3-engine");
  return std::nullopt;
}

void Worker::wake() {
  if (is_woken_.exchange(true)) return;
  // The counter cannot be full: it is read before the flag falls.
  const uint64_t one = 1;
  (void)!::write(event_.get(), &one, sizeof one);
}

void Worker::stop() {
  if (!is_running_) return;
  is_running_ = false;
  is_stopping_ = true;
  // Whatever the flag says: the thread may be between reading the counter and lowering it.
  const uint64_t one = 1;
  (void)!::write(event_.get(), &one, sizeof one);
  pthread_join(thread_, nullptr);
}

void* Worker::run_thread(void* self) {
  ask_for_short_slice();
  // Waits end when they should and not up to 50 µs later.
  (void)prctl(PR_SET_TIMERSLACK, 1'000);
  static_cast<Worker*>(self)->run();
  return nullptr;
}

void Worker::run() {
  while (!is_stopping_) {
    wait();
    if (tun_port_.is_ready) pump_tun();
    if (udp_port_.is_ready) pump_udp(udp_, udp_port_);
    pump_sockets();
    if (is_behind_) look_for_losses();
    if (owes_batch_) run_empty_batch();
    remove_broken();
    let_gather();
  }
  run_empty_batch();
}

void Worker::let_gather() {
  const double wait_us = pace_.after(std::exchange(small_reads_, 0), now_ms());
  if (wait_us <= 0) return;
  const timespec wait{0, static_cast<long>(wait_us * 1'000)};
  (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &wait, nullptr);
}

void Worker::wait() {
  tun_port_.is_ready = false;
  udp_port_.is_ready = false;
  hip_port_.is_ready = false;
  for (Port& port : raw_ports_) port.is_ready = false;
  std::array<epoll_event, tags> events;
  const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
  for (int i = 0; i < count; i++) {
    const unsigned tag = events[static_cast<size_t>(i)].data.u32;
    if (tag == tag_tun) tun_port_.is_ready = true;
    if (tag == tag_udp) udp_port_.is_ready = true;
    if (tag == tag_hip) hip_port_.is_ready = true;
    if (tag >= tag_raw && tag < tags) raw_ports_[tag - tag_raw].is_ready = true;
    if (tag != tag_event) continue;
    uint64_t counter = 0;
    (void)!::read(event_.get(), &counter, sizeof counter);
    // Before the batch: who comes later writes again.
    is_woken_ = false;
    owes_batch_ = true;
  }
}

double Worker::now_ms() const {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6 + clock_offset_ms_;
}

void Worker::look_for_losses() {
  const double now = now_ms();
  if (now - looked_ms_ < limits::share_window_ms) return;
  looked_ms_ = now;
  is_behind_ = false;
  const uint64_t tun = std::exchange(tun_lost_, tun_losses_.read());
  const bool udp = udp_.has_lost();
  const bool hip = hip_ && hip_->has_lost();
  if (tun != tun_lost_ || udp || hip) lane_.saw_loss();
}

void Worker::begin_batch() {
  owes_batch_ = false;
  lane_.lock();
  const bool has_tun = tun_ && tun_port_.error == 0;
  lane_.begin(now_ms(), *this, has_tun ? tun_.capabilities() : Capabilities{false, false, false, false});
}

void Worker::end_batch() {
  lane_.end();
  lane_.unlock();
}

void Worker::run_empty_batch() {
  begin_batch();
  end_batch();
}

int Worker::gather_tun() {
  gathered_ = 0;
  gathered_bytes_ = 0;
  while (gathered_ < tun_slots && gathered_bytes_ < batch_bytes) {
    const MutableBytes buffer = tun_slot(gathered_).first(TunQueue::head_bytes + Lane::tun_packet_bytes);
    if (const int error = tun_.read(buffer, packet_bytes_[gathered_], vnets_[gathered_])) return error;
    counters_.tun_reads.add();
    if (packet_bytes_[gathered_] < small_bytes) small_reads_++;
    gathered_bytes_ += packet_bytes_[gathered_++];
    // A lone packet does not wait until it is known to be one.
    if (pace_.is_slow() && gathered_bytes_ < small_bytes) return 0;
  }
  return 0;
}

void Worker::run_tun_batch() {
  begin_batch();
  for (size_t i = 0; i < gathered_; i++) {
    const MutableBytes buffer = tun_slot(i).subspan(TunQueue::head_bytes, packet_bytes_[i] + Lane::tun_slack_bytes);
    lane_.from_tun(buffer, packet_bytes_[i], vnets_[i]);
  }
  end_batch();
}

void Worker::pump_tun() {
  size_t reads = 0;
  size_t bytes = 0;
  int error = 0;
  while (error == 0 && reads < budget_reads && bytes < budget_bytes && tun_port_.error == 0) {
    error = gather_tun();
    reads += gathered_;
    bytes += gathered_bytes_;
    if (gathered_ > 0) run_tun_batch();
  }
  lane_.saw_tun(error == 0);
  is_behind_ |= error == 0;
  if (TunQueue::is_broken(error)) break_port(tun_port_, error, "read");
}

void Worker::pump_sockets() {
  if (hip_port_.is_ready) pump_udp(*hip_, hip_port_);
  for (size_t i = 0; i < RawSockets::count; i++) {
    if (raw_ports_[i].is_ready) pump_udp((*raw_)[i], raw_ports_[i]);
  }
}

template <typename Socket>
void Worker::pump_udp(Socket& socket, Port& port) {
  size_t calls = 0;
  size_t bytes = 0;
  bool more = true;
  while (more && calls++ < budget_calls && bytes < budget_bytes && port.error == 0) {
    const UdpReceiver::Received received = socket.receive();
    bytes += received.bytes;
    more = received.full;
    if (received.error == 0) counters_.udp_reads.add();
    if (is_socket_broken(received.error)) break_port(port, received.error, "recvmmsg");
    saw_queue(port, more);
    if (received.inputs.empty() && received.cut == 0) continue;
    for (const UdpInput& input : received.inputs) small_reads_ += input.bytes.size() < small_bytes ? 1 : 0;
    run_udp_batches(received);
  }
}

// Bare in IP comes what a few hosts send.
void Worker::saw_queue(const Port& port, bool more) {
  if (&port == &udp_port_) lane_.saw_udp(more);
  else if (&port == &hip_port_) lane_.saw_hip(more);
  else return;
  is_behind_ |= more;
}

// One, but for packets that become many: the control plane has its turn between.
void Worker::run_udp_batches(const UdpReceiver::Received& received) {
  UdpPlace place;
  begin_batch();
  if (received.cut > 0) counters_.drop(Drop::too_big, received.cut);
  while (!lane_.from_udp(received.inputs, place)) {
    end_batch();
    begin_batch();
  }
  end_batch();
}

void Worker::send(std::span<const UdpMessage> messages) {
  // Neighbours that pass the same socket go together: nearly always all of them.
  for (size_t at = 0; at < messages.size();) {
    const Via via = messages[at].way.via;
    size_t end = at + 1;
    while (end < messages.size() && messages[end].way.via == via) end++;
    send_by(via, messages.subspan(at, end - at));
    at = end;
  }
}

void Worker::send_by(Via via, std::span<const UdpMessage> messages) {
  if (via == Via::udp && udp_ && udp_port_.error == 0) {
    if (const int error = udp_.send(messages, counters_)) break_port(udp_port_, error, "sendmmsg");
  } else if (via == Via::hip && hip_ && hip_port_.error == 0) {
    if (const int error = hip_->send(messages, counters_)) break_port(hip_port_, error, "sendmmsg");
  } else if (via == Via::ip && raw_) {
    // Its sockets are told of as broken when they are read.
    (void)raw_->send(messages, counters_);
  } else {
    for (const UdpMessage& message : messages) counters_.drop(Drop::io_error, message.segments);
  }
}

void Worker::write(const TunPacket& packet) {
  const int error = tun_ && tun_port_.error == 0 ? tun_.write(packet) : EBADFD;
  if (error == 0) {
    counters_.tun_writes.add();
    return;
  }
  counters_.drop(Drop::io_error, packet.packets);
  if (tun_ && TunQueue::is_broken(error)) break_port(tun_port_, error, "write");
}

void Worker::break_port(Port& port, int error, const char* call) {
  if (port.error != 0) return;
  port.error = error;
  port.call = call;
}

void Worker::remove_broken() {
  remove_if_broken(tun_port_, tun_.fd());
  remove_if_broken(udp_port_, udp_.fd());
  if (hip_) remove_if_broken(hip_port_, hip_->fd());
  for (size_t i = 0; reads_raw_ && i < RawSockets::count; i++) remove_if_broken(raw_ports_[i], (*raw_)[i].fd());
}

// After the batch, so that the gate is not held while others are told. The descriptor stays until the worker goes.
void Worker::remove_if_broken(Port& port, int fd) {
  if (port.error == 0 || !port.is_watched) return;
  port.is_watched = false;
  (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  on_failure_(port.kind, {port.error, port.call});
}

}  // namespace i3
