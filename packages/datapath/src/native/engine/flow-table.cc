#include "flow-table.h"

namespace i3 {

bool FlowTable::is_valid(Bytes address, const FlowSpec& spec) {
  if (!FlowName::is_valid(address)) return false;
  if (spec.action == FlowAction::setup || spec.action == FlowAction::refuse) return spec.header.empty() && spec.source.empty() && !spec.locator && spec.mtu == 65'535;
  const bool has_header = !spec.header.empty();
  const bool header_fits = !has_header || (spec.header[0] == 0x11 && data_header::parse(spec.header) != 0);
  const bool way_fits = spec.action == FlowAction::tunnel ? has_header && !spec.locator : has_header != spec.locator.has_value();
  const bool mtu_fits = spec.mtu >= (address.size() == 4 ? 576 : 1'280);
  return header_fits && way_fits && mtu_fits && spec.source.size() == address.size() && (!spec.locator || spec.locator->port() != 0);
}

void Flow::set(const FlowSpec& spec, const Hasher& hasher) {
  action = spec.action;
  asked = false;
  mtu = spec.mtu;
  association = spec.association;
  has_locator = spec.locator.has_value();
  if (has_locator) locator = *spec.locator;
  way = spec.way;
  source = {};
  copy_to(source, 0, spec.source);
  header.assign(spec.header.begin(), spec.header.end());
  header.shrink_to_fit();
  ring_key_hash = header.empty() ? 0 : hasher.bytes(ring_key());
}

Status FlowTable::set(Bytes address, const FlowSpec& spec, const Hasher& hasher, Gates& gates, const std::function<void(Flow&)>& then) {
  if (!is_valid(address, spec)) return Status::invalid;
  const uint32_t hash = hasher.bytes(address);
  uint32_t entry = lookup(address, hash);
  if (entry == HashIndex::none && index_.size() >= limits::flows) return Status::full;
  if (entry == HashIndex::none) grow_if_full(index_, flows_, gates);
  Closed closed(gates);
  if (entry == HashIndex::none) {
    entry = flows_.add();
    flows_[entry] = std::make_unique<Flow>();
    flows_[entry]->address = FlowName(address);
    index_.insert(hash, entry);
  }
  Flow& flow = *flows_[entry];
  header_bytes_ -= flow.header.capacity();
  flow.set(spec, hasher);
  header_bytes_ += flow.header.capacity();
  then(flow);
  return Status::ok;
}

std::unique_ptr<Flow> FlowTable::remove(Bytes address, const Hasher& hasher) {
  const uint32_t hash = hasher.bytes(address);
  const uint32_t entry = lookup(address, hash);
  if (entry == HashIndex::none) return nullptr;
  std::unique_ptr<Flow> flow = std::move(flows_[entry]);
  header_bytes_ -= flow->header.capacity();
  index_.remove(hash, entry);
  flows_.remove(entry);
  return flow;
}

}  // namespace i3
