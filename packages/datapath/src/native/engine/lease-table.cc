#include "lease-table.h"

namespace i3 {

Status LeaseTable::set(Bytes id, const LeaseSpec& spec, const Hasher& hasher, Gates& gates) {
  if (id.size() != refresh::id_bytes || spec.token.size() != refresh::token_bytes || spec.owner.port() == 0) return Status::invalid;
  uint32_t entry = find(id, hasher);
  const bool is_new = entry == HashIndex::none;
  if (is_new && index_.size() >= limits::triggers) return Status::full;
  if (is_new) grow_if_full(index_, leases_, gates);
  Closed closed(gates);
  if (is_new) {
    entry = leases_.add();
    index_.insert(hasher.bytes(id), entry);
  }
  Lease& lease = leases_[entry];
  unlist(lease);
  copy_to(lease.id, 0, id);
  copy_to(lease.token, 0, spec.token);
  lease.owner = spec.owner;
  lease.is_replica = spec.is_replica;
  lease.index = spec.index;
  lease.end_ms = spec.end_ms;
  lease.times = 0;
  return Status::ok;
}

void LeaseTable::remove(Bytes id, const Hasher& hasher, Gates& gates) {
  const uint32_t entry = find(id, hasher);
  if (entry == HashIndex::none) return;
  Closed closed(gates);
  unlist(leases_[entry]);
  index_.remove(hasher.bytes(id), entry);
  leases_.remove(entry);
}

uint32_t LeaseTable::find(Bytes id, const Hasher& hasher) const {
  return index_.find(hasher.bytes(id), [&](uint32_t entry) { return equal(leases_[entry].id, id); });
}

void LeaseTable::refreshed(uint32_t entry, double now_ms) {
  Lease& lease = leases_[entry];
  unlist(lease);
  lease.at_ms = now_ms;
  lease.times++;
  lease.is_listed = true;
  lease.before = last_;
  if (last_ == HashIndex::none) first_ = entry;
  else leases_[last_].next = entry;
  last_ = entry;
}

void LeaseTable::take(std::vector<Refreshed>& out) {
  for (size_t i = 0; i < limits::refreshed_per_batch && first_ != HashIndex::none; i++) {
    Lease& lease = leases_[first_];
    out.push_back({lease.id, lease.token, lease.index, lease.times, lease.at_ms});
    lease.times = 0;
    unlist(lease);
  }
}

void LeaseTable::unlist(Lease& lease) {
  if (!lease.is_listed) return;
  if (lease.before == HashIndex::none) first_ = lease.next;
  else leases_[lease.before].next = lease.next;
  if (lease.next == HashIndex::none) last_ = lease.before;
  else leases_[lease.next].before = lease.before;
  lease.is_listed = false;
  lease.before = HashIndex::none;
  lease.next = HashIndex::none;
}

}  // namespace i3
