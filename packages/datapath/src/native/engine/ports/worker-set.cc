#include "worker-set.h"

#include <arpa/inet.h>
#include <net/if.h>

#include <cerrno>
#include <ctime>

#include "link.h"

namespace i3 {
namespace {

double monotonic_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

}  // namespace

std::optional<PortError> WorkerSet::open(Engine& engine, PortOptions options, const Worker::FailureHandler& on_failure) {
  auto error = open_all(engine, options, on_failure);
  if (error) close();
  return error;
}

std::optional<PortError> WorkerSet::open_all(Engine& engine, PortOptions& options, const Worker::FailureHandler& on_failure) {
  const double offset_ms = options.now_ms - monotonic_ms();
  for (size_t i = 0; i < options.workers; i++) {
    workers_.push_back(std::make_unique<Worker>(engine.lane(i), offset_ms, on_failure));
  }
  if (auto error = open_sockets(options.udp, [](Worker& worker) -> UdpSocket& { return worker.udp(); }, options.wanted)) return error;
  if (options.hip) {
    options.hip->via = Via::hip;
    // Another name, so that it is known which port it is about.
    if (auto error = open_sockets(*options.hip, [](Worker& worker) -> UdpSocket& { return worker.hip(); }, options.wanted)) return PortError{error->number, "hip socket", error->detail};
  }
  if (options.has_ip) {
    if (auto error = open_raw(options.udp, options.wanted)) return error;
  }
  if (options.tun) {
    if (auto error = open_tuns(*options.tun, options.wanted)) return error;
    tun_ = options.tun;
  }
  for (auto& worker : workers_) {
    if (auto error = worker->start()) return error;
  }
  return std::nullopt;
}

std::optional<PortError> WorkerSet::open_tuns(TunOptions& tun, const Offloads& wanted) {
  const bool several = workers_.size() > 1;
  for (size_t i = 0; i < workers_.size(); i++) {
    if (auto error = workers_[i]->tun().open(tun.name, several, i == 0, wanted)) return error;
  }
  tun_index_ = if_nametoindex(tun.name.data());
  if (tun_index_ == 0) return PortError{errno, "if_nametoindex"};
  for (auto& worker : workers_) worker->watch_losses(tun.name.data(), tun_index_);
  const Capabilities got = workers_.front()->tun().capabilities();
  return tune_link(tun_index_, tun.mtu, got.tun_tcp4 || got.tun_tcp6 || got.tun_udp);
}

std::optional<PortError> WorkerSet::open_sockets(UdpOptions& udp, UdpSocket& (*socket_of)(Worker&), const Offloads& wanted) {
  const bool several = workers_.size() > 1;
  for (size_t i = 0; i < workers_.size(); i++) {
    UdpSocket& socket = socket_of(*workers_[i]);
    if (auto error = socket.open(udp, several, i == 0, wanted)) return error;
    // The kernel may have chosen it. Both kinds of names have it at the same place.
    udp.name.sin6_port = htons(socket.port());
  }
  return std::nullopt;
}

std::optional<PortError> WorkerSet::open_raw(const UdpOptions& udp, const Offloads& wanted) {
  RawSockets& first = workers_.front()->raw();
  if (auto error = first.open(udp, wanted)) return error;
  workers_.front()->read_raw();
  for (size_t i = 1; i < workers_.size(); i++) {
    if (auto error = workers_[i]->raw().open_to_send(first, udp.mark, wanted)) return error;
  }
  return std::nullopt;
}

void WorkerSet::stop() {
  for (auto& worker : workers_) worker->stop();
}

void WorkerSet::close() {
  stop();
  workers_.clear();
}

// What waits is the whole engine's, and whoever begins a batch sends it.
void WorkerSet::wake() {
  if (!workers_.empty()) workers_.front()->wake();
}

Offloads WorkerSet::offloads() const {
  Offloads all;
  for (const auto& worker : workers_) {
    const Capabilities tun = worker->tun().capabilities();
    all.tun_checksum = all.tun_checksum && tun.tun_checksum;
    all.tun_tcp4 = all.tun_tcp4 && tun.tun_tcp4;
    all.tun_tcp6 = all.tun_tcp6 && tun.tun_tcp6;
    all.tun_udp = all.tun_udp && tun.tun_udp;
    all.udp_segment = all.udp_segment && worker->udp().segments();
    all.udp_receive = all.udp_receive && worker->udp().receives_trains();
    all.traffic_class = all.traffic_class && worker->udp().has_traffic_class();
  }
  return all;
}

}  // namespace i3
