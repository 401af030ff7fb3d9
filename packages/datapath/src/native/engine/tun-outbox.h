// Packets on their way to the TUN. Neighbours of one TCP stream, and UDP datagrams of one flow and length, become one packet with
// a vnet header, as the kernel's own GRO makes them: the kernel then takes dozens of packets in one write.
#pragma once

#include "shared.h"

namespace i3 {

// A packet in two pieces that lie where they are until the batch ends: the IP header, and what follows.
struct TunPieces {
  MutableBytes ip;
  MutableBytes rest;
  size_t size() const { return ip.size() + rest.size(); }
};

class TunOutbox {
 public:
  TunOutbox(Shared& shared, LaneCounters& counters);

  void attach(Sink& sink, const Capabilities& capabilities) {
    sink_ = &sink;
    capabilities_ = capabilities;
  }
  void detach() {
    flush();
    sink_ = nullptr;
  }

  // A whole packet. Returns why it was dropped.
  Drop add(MutableBytes packet, ChecksumState state);
  // Bytes of the control plane, which need not be a packet.
  void add_as_is(MutableBytes bytes, ChecksumState state);
  // The same between batches; they wait for the next one.
  Drop hold_bytes(Bytes bytes) { return hold(bytes, {}, ChecksumState::complete); }
  // A packet whose IP header has no options, no extension headers and no fragments. The header is copied.
  Drop add_split(Bytes ip, MutableBytes rest, ChecksumState state);
  void flush();

 private:
  // A whole TCP segment carries at most 1,448 or so bytes; as many pieces as one UDP train has datagrams.
  static constexpr size_t max_packets = 64;
  static constexpr size_t max_streams = 4;
  static constexpr size_t max_bytes = 65'535;
  static constexpr size_t header_room = 40;

  // What joins: from the headers of a packet.
  struct Shape {
    unsigned version = 0;
    uint8_t protocol = 0;
    size_t ip_bytes = 0;
    size_t transport_bytes = 0;
    size_t payload_bytes = 0;
  };
  // A packet that may still grow.
  struct Stream {
    bool used = false;
    bool is_open = false;
    Shape shape;
    TunPieces first;
    ChecksumState state = ChecksumState::complete;
    std::array<iovec, max_packets + 2> parts{};
    size_t part_count = 0;
    size_t packets = 0;
    size_t payload_bytes = 0;
    uint8_t push = 0;
  };

  Drop hold(Bytes ip, Bytes rest, ChecksumState state);
  Drop place(const TunPieces& pieces, bool copy_header, ChecksumState state);
  static std::optional<Shape> shape_of(const TunPieces& pieces);
  bool may_join(const Shape& shape) const;
  static bool can_begin(const Shape& shape, const TunPieces& pieces);
  static bool same_stream(const Stream& stream, const Shape& shape, const TunPieces& pieces);
  static bool continues(const Stream& stream, const Shape& shape, const TunPieces& pieces);
  void append(Stream& stream, const Shape& shape, const TunPieces& pieces);
  void begin(Stream& stream, const Shape& shape, const TunPieces& pieces, ChecksumState state);
  Stream& free_stream();
  void finish(Stream& stream);
  void write_single(const TunPieces& pieces, ChecksumState state);

  Shared& shared_;
  LaneCounters& counters_;
  Sink* sink_ = nullptr;
  Capabilities capabilities_;
  std::array<Stream, max_streams> streams_;
  std::array<std::array<uint8_t, header_room>, max_streams> headers_{};
  size_t next_victim_ = 0;
};

}  // namespace i3
