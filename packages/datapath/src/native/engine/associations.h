// Associations (RFC 4301 §4.1): outbound by the control plane's name, inbound by SPI.
#pragma once

#include <atomic>
#include <limits>
#include <mutex>

#include "address-rewrite.h"
#include "cipher.h"
#include "gates.h"
#include "limits.h"
#include "replay-window.h"

namespace i3 {

// What both directions have.
struct AssociationBase {
  AssociationBase(const TransformSpec& transform, uint32_t number_, uint8_t beet_, bool checksum_state_)
      : keys(transform), number(number_), beet(beet_), checksum_state(checksum_state_) {}

  TransformKeys keys;
  // Name or SPI: by which it is found.
  uint32_t number;
  uint8_t beet;
  bool checksum_state;
  // One for each lane, because contexts cannot be shared.
  std::vector<std::unique_ptr<Cipher>> ciphers;

  bool make_ciphers(size_t lanes, Cipher::Direction direction);
};

struct OutboundAssociation : AssociationBase {
  using AssociationBase::AssociationBase;
  uint32_t spi = 0;

  // The next number, once; 0 when there is none left.
  uint64_t take() {
    uint64_t sequence = next.load(std::memory_order_relaxed);
    while (sequence != 0 && !next.compare_exchange_weak(sequence, sequence + 1, std::memory_order_relaxed)) {
    }
    return sequence;
  }
  // 0: all are used.
  std::atomic<uint64_t> next{1};
};

// The rewrites of an inbound entry, for both families.
struct Rewrites {
  std::optional<RewritePlan> plan4;
  std::optional<RewritePlan> plan6;

  static bool is_valid(const RewriteSpec& spec);
  explicit Rewrites(const RewriteSpec& spec);
  const RewritePlan* plan(unsigned version) const {
    const auto& found = version == 4 ? plan4 : plan6;
    return found ? &*found : nullptr;
  }
};

// A virtual address as it is found in tables.
struct FlowName {
  std::array<uint8_t, 16> bytes{};
  uint8_t size = 0;

  static bool is_valid(Bytes address) { return address.size() == 4 || address.size() == 16; }
  FlowName() = default;
  explicit FlowName(Bytes address) : size(static_cast<uint8_t>(address.size())) { copy_to(bytes, 0, address); }
  Bytes view() const { return Bytes(bytes).first(size); }
};

struct InboundAssociation : AssociationBase {
  InboundAssociation(const InboundSpec& spec, uint32_t spi_)
      : AssociationBase(spec.transform, spi_, spec.beet, spec.checksum_state), rewrites(spec.rewrites), flow(spec.flow), strength(spec.strength), watches(spec.watches), watch_from(spec.watch_from) {}
  Rewrites rewrites;
  FlowName flow;
  uint8_t strength;
  bool watches;
  std::optional<Endpoint> watch_from;
  // Several lanes may have packets of one association.
  std::mutex window_mutex;
  ReplayWindow window;
  // When and where a packet from elsewhere was last told of; also with the mutex.
  double told_ms = -std::numeric_limits<double>::infinity();
  std::optional<Endpoint> told_from;

  // Whether it is to be told that a packet came from there; counts as told.
  bool tells_of(const Endpoint& from, double now_ms) {
    if (watch_from == from || now_ms - told_ms < (told_from == from ? limits::same_place_interval_ms : limits::notice_interval_ms)) return false;
    told_ms = now_ms;
    told_from = from;
    return true;
  }
  // There was no room for it.
  void forget_told() {
    const std::lock_guard lock(window_mutex);
    told_from.reset();
  }
};

template <typename Association>
class AssociationTable {
 public:
  Association* find(uint32_t number, const Hasher& hasher) const {
    const uint32_t entry = index_.size() == 0 ? HashIndex::none : lookup(number, hasher.number(number));
    return entry == HashIndex::none ? nullptr : entries_[entry].get();
  }

  // Sets or replaces; what was there is freed after the gates have opened. Status::full: it is new and there is no room.
  Status set(std::unique_ptr<Association> association, const Hasher& hasher, Gates& gates) {
    const uint32_t number = association->number;
    const uint32_t hash = hasher.number(number);
    uint32_t entry = lookup(number, hash);
    if (entry == HashIndex::none && index_.size() >= limits::associations) return Status::full;
    if (entry == HashIndex::none) grow_if_full(index_, entries_, gates);
    {
      Closed closed(gates);
      if (entry == HashIndex::none) {
        entry = entries_.add();
        index_.insert(hash, entry);
      }
      std::swap(entries_[entry], association);
    }
    return Status::ok;
  }

  void remove(uint32_t number, const Hasher& hasher, Gates& gates) {
    const uint32_t hash = hasher.number(number);
    const uint32_t entry = lookup(number, hash);
    if (entry == HashIndex::none) return;
    std::unique_ptr<Association> gone;
    Closed closed(gates);
    std::swap(entries_[entry], gone);
    index_.remove(hash, entry);
    entries_.remove(entry);
  }
  size_t memory_bytes() const { return index_.memory_bytes() + entries_.memory_bytes() + index_.size() * sizeof(Association); }

 private:
  uint32_t lookup(uint32_t number, uint32_t hash) const {
    return index_.find(hash, [&](uint32_t entry) { return entries_[entry]->number == number; });
  }

  HashIndex index_;
  Slab<std::unique_ptr<Association>> entries_;
};

// Status::invalid when the spec is of a wrong shape or OpenSSL refuses it, Status::full when the table is.
Status set_outbound(AssociationTable<OutboundAssociation>& table, uint32_t name, const OutboundSpec& spec, const Hasher& hasher, Gates& gates, size_t lanes);
Status set_inbound(AssociationTable<InboundAssociation>& table, uint32_t spi, const InboundSpec& spec, const Hasher& hasher, Gates& gates, size_t lanes);

}  // namespace i3
