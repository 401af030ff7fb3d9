#include "flow-table.h"

#include "mtu.h"

namespace i3 {

bool FlowTable::is_valid(Bytes address, const FlowSpec& spec) {
  if (!FlowName::is_valid(address) || spec.action == FlowAction::none) return false;
  if (spec.action == FlowAction::setup || spec.action == FlowAction::refuse) return spec.header.empty() && spec.source.empty() && !spec.locator && spec.mtu == 65'535 && spec.credit_bytes == 0;
  const bool has_header = !spec.header.empty();
  const bool header_fits = !has_header || (spec.header[0] == 0x11 && data_header::parse(spec.header) != 0);
  const bool is_limited = spec.credit_bytes != 0;
  const bool way_fits = spec.action == FlowAction::tunnel ? has_header && !spec.locator && !is_limited : is_limited ? spec.locator.has_value() : has_header != spec.locator.has_value();
  return header_fits && way_fits && spec.mtu >= least_mtu && spec.source.size() == address.size() && (!spec.locator || spec.locator->port() != 0);
}

void FlowWay::set(const FlowSpec& spec, const Hasher& hasher, std::shared_ptr<Credit> credit) {
  action = spec.action;
  asked = false;
  mtu = spec.mtu;
  association = spec.association;
  straight = spec.locator ? std::make_unique<StraightTo>(spec, std::move(credit)) : nullptr;
  source = {};
  copy_to(source, 0, spec.source);
  header.assign(spec.header.begin(), spec.header.end());
  header.shrink_to_fit();
  ring_key_hash = header.empty() ? 0 : hasher.bytes(ring_key());
}

void FlowTable::set_way(FlowWay& way, const FlowSpec& spec, const Hasher& hasher) {
  header_bytes_ -= way.header.capacity();
  // The old one may be the same: what was used of it stays used.
  std::shared_ptr<Credit> credit = take_credit(spec);
  leave_credit(way);
  way.set(spec, hasher, std::move(credit));
  header_bytes_ += way.header.capacity();
}

std::shared_ptr<Credit> FlowTable::take_credit(const FlowSpec& spec) {
  if (spec.credit_bytes == 0) return nullptr;
  std::shared_ptr<Credit>& credit = credits_[spec.credit_account];
  if (!credit || !credit->is_of(spec)) credit = std::make_shared<Credit>(spec);
  credit->ways++;
  return credit;
}

void FlowTable::leave_credit(const FlowWay& way) {
  if (!way.straight || !way.straight->credit) return;
  Credit& credit = *way.straight->credit;
  if (--credit.ways > 0) return;
  const auto known = credits_.find(credit.account);
  if (known != credits_.end() && known->second.get() == &credit) credits_.erase(known);
}

MoreOfFlow& FlowTable::add_more(Flow& flow, uint32_t hash) {
  if (flow.has_more) return *more_[lookup_more(flow.address.view(), hash)];
  const uint32_t entry = more_.add();
  more_[entry] = std::make_unique<MoreOfFlow>(flow);
  more_index_.insert(hash, entry);
  flow.has_more = true;
  return *more_[entry];
}

std::unique_ptr<MoreOfFlow> FlowTable::remove_more_unless_needed(Flow& flow, uint32_t hash) {
  const uint32_t entry = lookup_more(flow.address.view(), hash);
  if (more_[entry]->is_needed()) return nullptr;
  std::unique_ptr<MoreOfFlow> gone = std::move(more_[entry]);
  more_index_.remove(hash, entry);
  more_.remove(entry);
  flow.has_more = false;
  return gone;
}

Status FlowTable::set(Bytes address, const FlowSpec& spec, uint8_t strength, const Hasher& hasher, Gates& gates, const std::function<void(Flow&, FlowWay&)>& then) {
  if (!is_valid(address, spec) || strength > strongest) return Status::invalid;
  const uint32_t hash = hasher.bytes(address);
  uint32_t entry = lookup(address, hash);
  const bool is_weaker = strength < strongest;
  if (entry == HashIndex::none && index_.size() >= limits::flows) return Status::full;
  if (is_weaker && !has_room_for_more(entry == HashIndex::none ? nullptr : flows_[entry].get())) return Status::services_full;
  if (entry == HashIndex::none) grow_if_full(index_, flows_, gates);
  if (is_weaker) grow_if_full(more_index_, more_, gates);
  Closed closed(gates);
  if (entry == HashIndex::none) {
    entry = flows_.add();
    flows_[entry] = std::make_unique<Flow>(address);
    index_.insert(hash, entry);
  }
  Flow& flow = *flows_[entry];
  FlowWay* way = &flow;
  if (is_weaker) {
    auto& weaker = add_more(flow, hash).weaker[strength];
    if (!weaker) {
      weaker = std::make_unique<FlowWay>(strength);
      more_bytes_ += sizeof(FlowWay);
    }
    way = weaker.get();
  }
  set_way(*way, spec, hasher);
  then(flow, *way);
  return Status::ok;
}

Status FlowTable::set_services(Bytes address, std::optional<Services> services, const Hasher& hasher, Gates& gates, const std::function<void(Flow&)>& then) {
  Flow* flow = FlowName::is_valid(address) ? find(address, hasher) : nullptr;
  if (flow == nullptr) return Status::invalid;
  if (!services && (!flow->has_more || !more(*flow, hasher).services)) return Status::ok;
  if (!has_room_for_more(flow)) return Status::services_full;
  const uint32_t hash = hasher.bytes(address);
  grow_if_full(more_index_, more_, gates);
  std::unique_ptr<MoreOfFlow> gone;
  Closed closed(gates);
  MoreOfFlow& more = add_more(*flow, hash);
  if (more.services) more_bytes_ -= more.services->memory_bytes();
  // What was there is freed after the gates have opened.
  std::swap(more.services, services);
  if (more.services) more_bytes_ += more.services->memory_bytes();
  gone = remove_more_unless_needed(*flow, hash);
  then(*flow);
  return Status::ok;
}

std::unique_ptr<FlowWay> FlowTable::take_way(MoreOfFlow& more, uint8_t strength) {
  std::unique_ptr<FlowWay> way = std::move(more.weaker[strength]);
  leave_credit(*way);
  header_bytes_ -= way->header.capacity();
  more_bytes_ -= sizeof(FlowWay);
  return way;
}

FlowTable::Removed FlowTable::remove(Bytes address, uint8_t strength, const Hasher& hasher, const std::function<void(FlowWay&)>& drop) {
  Removed removed;
  const uint32_t hash = hasher.bytes(address);
  const uint32_t entry = lookup(address, hash);
  if (entry == HashIndex::none) return removed;
  Flow& flow = *flows_[entry];
  each_way(flow, hasher, [&](FlowWay& way) {
    if (strength > strongest || way.strength == strength) drop(way);
  });
  FlowSpec none;
  none.action = FlowAction::none;
  if (strength >= strongest) set_way(flow, none, hasher);
  if (flow.has_more) {
    MoreOfFlow& all = more(flow, hasher);
    for (uint8_t weaker = 0; weaker < strongest; weaker++) {
      if (all.weaker[weaker] && (strength > strongest || strength == weaker)) removed.ways[weaker] = take_way(all, weaker);
    }
    if (!all.has_ways() && all.services) {
      more_bytes_ -= all.services->memory_bytes();
      all.services.reset();
    }
    removed.more = remove_more_unless_needed(flow, hash);
  }
  if (flow.is_set() || flow.has_more) return removed;
  removed.flow = std::move(flows_[entry]);
  index_.remove(hash, entry);
  flows_.remove(entry);
  return removed;
}

}  // namespace i3
