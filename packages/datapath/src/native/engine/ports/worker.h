// One worker: a thread that carries packets between its ports and its lane.
//
//     TUN ── read ───► from_tun ─┐          ┌─► write ── writev ──► TUN
//     UDP ─ recvmmsg ► from_udp ─┴─ Lane ───┴─► send ── sendmmsg ─► UDP    one batch, with the gate held
#pragma once

#include <pthread.h>

#include <atomic>
#include <functional>
#include <memory>

#include "../lane.h"
#include "link.h"
#include "pace.h"
#include "raw-sockets.h"
#include "tun-queue.h"
#include "udp-socket.h"

namespace i3 {

class Worker final : public Sink {
 public:
  // Called in the worker's thread, once for each port.
  using FailureHandler = std::function<void(PortKind, PortError)>;

  // `clock_offset_ms`: what the engine's clock has more than CLOCK_MONOTONIC.
  Worker(Lane& lane, double clock_offset_ms, FailureHandler on_failure);
  ~Worker() override;

  // To be opened before start(); the TUN only if there is one.
  TunQueue& tun() { return tun_; }
  UdpSocket& udp() { return udp_; }
  // Made when first asked for: HIP's own UDP port, and raw sockets, of which the first worker's alone are read.
  UdpSocket& hip();
  RawSockets& raw();
  void read_raw() { reads_raw_ = true; }
  const TunQueue& tun() const { return tun_; }
  const UdpSocket& udp() const { return udp_; }

  std::optional<PortError> start();
  // Any thread, any number of times: a batch is done soon, also when nothing comes in.
  void wake();
  // Of the TUN's queue. Before start().
  void watch_losses(const char* tun_name, unsigned tun_index) {
    tun_losses_.open(tun_name, tun_index);
    tun_lost_ = tun_losses_.read();
  }
  // Twice is no error. What waits from the control plane is sent before the thread ends.
  void stop();

  void send(std::span<const UdpMessage> messages) override;
  void write(const TunPacket& packet) override;

 private:
  static constexpr size_t tun_slots = 64;
  // Not a multiple of 4,096, see UdpReceiver.
  static constexpr size_t tun_stride = 65'536 + 192;
  static_assert(tun_stride >= TunQueue::head_bytes + Lane::tun_packet_bytes + Lane::tun_slack_bytes);

  // A port that the loop waits for.
  struct Port {
    PortKind kind;
    bool is_watched = false;
    bool is_ready = false;
    // Why it broke; taken care of after the batch.
    int error = 0;
    const char* call = "";
  };

  static void* run_thread(void* self);
  void run();
  void wait();
  void pump_tun();
  // errno when reading came to its end, otherwise 0.
  int gather_tun();
  void run_tun_batch();
  template <typename Socket>
  void pump_udp(Socket& socket, Port& port);
  void saw_queue(const Port& port, bool more);
  void pump_sockets();
  void send_by(Via via, std::span<const UdpMessage> messages);
  void run_udp_batches(const UdpReceiver::Received& received);
  void run_empty_batch();
  void let_gather();
  void begin_batch();
  void end_batch();
  bool watch(int fd, unsigned tag);
  void break_port(Port& port, int error, const char* call);
  void remove_broken();
  void remove_if_broken(Port& port, int fd);
  double now_ms() const;
  // More was waiting than could be read: whether the kernel had room for it.
  void look_for_losses();
  // Room for a header, a packet and slack.
  MutableBytes tun_slot(size_t index) { return {arena_.get() + index * tun_stride, tun_stride}; }

  Lane& lane_;
  LaneCounters& counters_;
  double clock_offset_ms_;
  FailureHandler on_failure_;
  TunQueue tun_;
  UdpSocket udp_;
  i3io::UniqueFd epoll_;
  i3io::UniqueFd event_;
  Port tun_port_{PortKind::tun};
  Port udp_port_{PortKind::udp};
  std::unique_ptr<UdpSocket> hip_;
  Port hip_port_{PortKind::udp};
  std::unique_ptr<RawSockets> raw_;
  std::array<Port, RawSockets::count> raw_ports_{Port{PortKind::udp}, Port{PortKind::udp}, Port{PortKind::udp}, Port{PortKind::udp}};
  bool reads_raw_ = false;
  std::atomic<bool> is_woken_{false};
  std::atomic<bool> is_stopping_{false};
  bool is_running_ = false;
  pthread_t thread_{};
  // Something was asked for that a batch does: it is owed until one began.
  bool owes_batch_ = false;
  Pace pace_;
  QueueLosses tun_losses_;
  uint64_t tun_lost_ = 0;
  bool is_behind_ = false;
  double looked_ms_ = 0;
  // Packets and short trains that this round of the loop read one by one.
  size_t small_reads_ = 0;

  std::unique_ptr<uint8_t[]> arena_;
  std::array<size_t, tun_slots> packet_bytes_{};
  std::array<VnetHeader, tun_slots> vnets_{};
  size_t gathered_ = 0;
  size_t gathered_bytes_ = 0;
};

}  // namespace i3
