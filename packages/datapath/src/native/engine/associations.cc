#include "associations.h"

#include <algorithm>

namespace i3 {
namespace {

// Of ours; what others choose for themselves is theirs, but for what RFC 4303 §2.1 reserves.
constexpr uint32_t min_spi = 0x2000'0000, max_spi = 0xfeff'ffff;
constexpr uint32_t min_receiver_spi = 256;

bool is_spi(uint32_t spi) { return spi >= min_spi && spi <= max_spi; }
bool is_beet(uint8_t beet) { return beet == 0 || beet == 4 || beet == 6; }

}  // namespace

bool AssociationBase::make_ciphers(size_t lanes, Cipher::Direction direction) {
  for (size_t i = 0; i < lanes; i++) {
    ciphers.push_back(Cipher::make(keys, direction));
    if (!ciphers.back()) return false;
  }
  return true;
}

bool Rewrites::is_valid(const RewriteSpec& spec) {
  return (spec.pairs4.empty() || spec.pairs4.size() == 16) && (spec.pairs6.empty() || spec.pairs6.size() == 64);
}

Rewrites::Rewrites(const RewriteSpec& spec) {
  if (!spec.pairs4.empty()) plan4 = RewritePlan::from_pairs(spec.pairs4);
  if (!spec.pairs6.empty()) plan6 = RewritePlan::from_pairs(spec.pairs6);
}

Status set_outbound(AssociationTable<OutboundAssociation>& table, uint32_t name, const OutboundSpec& spec, const Hasher& hasher, Gates& gates, size_t lanes) {
  if (!TransformKeys::is_valid(spec.transform) || spec.spi < min_receiver_spi || !is_beet(spec.beet) || spec.first_sequence == 0) return Status::invalid;
  auto made = std::make_unique<OutboundAssociation>(spec.transform, name, spec.beet, spec.checksum_state);
  made->spi = spec.spi;
  made->next = spec.first_sequence;
  if (!made->make_ciphers(lanes, Cipher::Direction::seal)) return Status::invalid;
  // The same keys: no number is used twice. The lanes stand still from the reading of the counter to the exchange.
  OutboundAssociation* before = table.find(name, hasher);
  if (before == nullptr || !before->keys.same_as(spec.transform)) return table.set(std::move(made), hasher, gates);
  Closed closed(gates);
  const uint64_t next = before->next;
  before->next = next == 0 ? 0 : std::max(next, spec.first_sequence);
  before->spi = spec.spi;
  before->beet = spec.beet;
  before->checksum_state = spec.checksum_state;
  return Status::ok;
}

Status set_inbound(AssociationTable<InboundAssociation>& table, uint32_t spi, const InboundSpec& spec, const Hasher& hasher, Gates& gates, size_t lanes) {
  const bool fits = TransformKeys::is_valid(spec.transform) && is_spi(spi) && is_beet(spec.beet) && Rewrites::is_valid(spec.rewrites) && FlowName::is_valid(spec.flow) && spec.strength <= strongest && (!spec.watch_from || (spec.watches && spec.watch_from->port() != 0));
  if (!fits) return Status::invalid;
  InboundAssociation* before = table.find(spi, hasher);
  if (before != nullptr && before->keys.same_as(spec.transform)) {
    Closed closed(gates);
    before->beet = spec.beet;
    before->checksum_state = spec.checksum_state;
    before->rewrites = Rewrites(spec.rewrites);
    before->flow = FlowName(spec.flow);
    before->strength = spec.strength;
    before->watches = spec.watches;
    before->watch_from = spec.watch_from;
    return Status::ok;
  }
  auto made = std::make_unique<InboundAssociation>(spec, spi);
  if (!made->make_ciphers(lanes, Cipher::Direction::open)) return Status::invalid;
  return table.set(std::move(made), hasher, gates);
}

}  // namespace i3
