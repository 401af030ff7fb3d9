// The ports and threads of one engine.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "worker.h"

namespace i3 {

struct TunOptions {
  std::array<char, IFNAMSIZ> name{};
  uint32_t mtu = 0;
};

struct PortOptions {
  size_t workers = 1;
  // None: a server.
  std::optional<TunOptions> tun;
  UdpOptions udp;
  // HIP's own UDP port, beside the main one.
  std::optional<UdpOptions> hip;
  // IP protocols 139 and 50, with mark and buffers of `udp`.
  bool has_ip = false;
  Offloads wanted;
  // The caller's clock now.
  double now_ms = 0;
};

class WorkerSet {
 public:
  WorkerSet() = default;
  ~WorkerSet() { close(); }
  WorkerSet(const WorkerSet&) = delete;
  WorkerSet& operator=(const WorkerSet&) = delete;

  // `engine` has a lane for each worker and outlives this. After an error nothing is open. `on_failure` is called in the workers' threads.
  std::optional<PortError> open(Engine& engine, PortOptions options, const Worker::FailureHandler& on_failure);
  // Joins the threads; what waits is sent before. The ports stay. Twice is no error.
  void stop();
  // stop(), and closes the ports. Twice is no error.
  void close();
  // Any thread.
  void wake();

  const TunOptions* tun() const { return tun_ ? &*tun_ : nullptr; }
  unsigned tun_index() const { return tun_index_; }
  uint16_t port() const { return workers_.front()->udp().port(); }
  // What all of the workers can do now.
  Offloads offloads() const;

 private:
  std::optional<PortError> open_all(Engine& engine, PortOptions& options, const Worker::FailureHandler& on_failure);
  std::optional<PortError> open_tuns(TunOptions& tun, const Offloads& wanted);
  std::optional<PortError> open_sockets(UdpOptions& udp, UdpSocket& (*socket_of)(Worker&), const Offloads& wanted);
  std::optional<PortError> open_raw(const UdpOptions& udp, const Offloads& wanted);

  std::vector<std::unique_ptr<Worker>> workers_;
  std::optional<TunOptions> tun_;
  unsigned tun_index_ = 0;
};

}  // namespace i3
