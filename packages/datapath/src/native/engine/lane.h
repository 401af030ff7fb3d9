// One worker's side of the engine. A batch: lock → begin → from_tun / from_udp … → end → unlock.
#pragma once

#include "engine.h"

namespace i3 {

class HostRules;
class LaneState;
class ServerRules;
struct LaneContext;

class Lane {
 public:
  // Bytes that from_tun needs free behind a packet in the same buffer (trailer of the last segment).
  static constexpr size_t tun_slack_bytes = 64;
  // The largest packet that a TUN read yields.
  static constexpr size_t tun_packet_bytes = 65'535;

  Lane(Tables& tables, Shared& shared, size_t index);
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  // The gate. Priority-inheriting: the control plane may be preempted while it holds it.
  void lock();
  // Upcalls of the batch are told of behind it.
  void unlock();

  // `now_ms` is monotonic. What waits from the control plane leaves first. The sink must live until end().
  void begin(double now_ms, Sink& sink, const Capabilities& capabilities);
  // A packet read from the TUN. Its bytes may be changed, and `slack` behind it: `buffer` is packet and slack.
  void from_tun(MutableBytes buffer, size_t packet_bytes, const VnetHeader& vnet);
  // Begins at `place`. Their bytes may be changed, and must stay until end(): output refers to them. False: this batch has put out enough;
  // end it, and call this again in another, which goes on at `place`.
  bool from_udp(std::span<const UdpInput> inputs, UdpPlace& place);
  // A port was read, now or before the next batch: whether more waits behind it.
  void saw_tun(bool more);
  void saw_udp(bool more);
  void saw_hip(bool more);
  // The kernel had no room for some of what came, since this was looked at before.
  void saw_loss();
  // Everything goes to the sink.
  void end();

  // The sink could not send a message that tells. With the gate held.
  void send_failed(const Endpoint& to, const Way& way, SendFailure reason);

  LaneCounters& counters();
  // For the control plane, with all gates closed: what these yield then is held for the next batch.
  HostRules& host();
  ServerRules& server();
  LaneContext& context();

 private:
  std::unique_ptr<LaneState> state_;
};

}  // namespace i3
