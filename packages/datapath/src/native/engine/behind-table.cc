#include "behind-table.h"

namespace i3 {
namespace {

// Of the byte at `i`, what belongs to a prefix of so many bits.
uint8_t mask_at(size_t i, size_t bits) {
  const size_t before = i * 8;
  return bits <= before ? 0 : static_cast<uint8_t>(0xff00u >> std::min<size_t>(8, bits - before));
}

size_t bits_of(Bytes address) { return address.size() * 8; }

}  // namespace

bool Behind::covers(Bytes other) const {
  const Bytes prefix = address.view();
  if (other.size() != prefix.size()) return false;
  for (size_t i = 0; i < prefix.size(); i++) {
    if (((prefix[i] ^ other[i]) & mask_at(i, bits)) != 0) return false;
  }
  return true;
}

bool BehindTable::is_valid(Bytes address, size_t bits, Bytes flow) {
  if (!FlowName::is_valid(address) || flow.size() != address.size() || bits > bits_of(address)) return false;
  for (size_t i = 0; i < address.size(); i++) {
    if ((address[i] & ~mask_at(i, bits) & 0xff) != 0) return false;
  }
  return true;
}

Behind* BehindTable::find_prefix(Bytes address) const {
  for (const auto& prefix : prefixes_) {
    if (prefix->covers(address)) return prefix.get();
  }
  return nullptr;
}

BehindTable::Prefixes::iterator BehindTable::place_of(Bytes address, uint8_t bits) {
  return std::find_if(prefixes_.begin(), prefixes_.end(), [&](const auto& prefix) { return prefix->bits == bits && equal(prefix->address.view(), address); });
}

Status BehindTable::set(Bytes address, uint8_t bits, Bytes flow, const Hasher& hasher, Gates& gates) {
  if (!is_valid(address, bits, flow)) return Status::invalid;
  auto made = std::make_unique<Behind>();
  made->address = FlowName(address);
  made->bits = bits;
  made->flow = FlowName(flow);
  if (bits < bits_of(address)) return set_prefix(std::move(made), gates);
  const uint32_t hash = hasher.bytes(address);
  uint32_t entry = lookup(address, hash);
  if (entry == HashIndex::none && index_.size() >= limits::behind) return Status::full;
  if (entry == HashIndex::none) grow_if_full(index_, hosts_, gates);
  Closed closed(gates);
  if (entry == HashIndex::none) {
    entry = hosts_.add();
    index_.insert(hash, entry);
  } else {
    made->use(hosts_[entry]->last_use_ms.load(std::memory_order_relaxed));
  }
  std::swap(hosts_[entry], made);
  return Status::ok;
}

Status BehindTable::set_prefix(std::unique_ptr<Behind> made, Gates& gates) {
  const auto known = place_of(made->address.view(), made->bits);
  if (known == prefixes_.end() && prefixes_.size() >= limits::behind_prefixes) return Status::full;
  Closed closed(gates);
  if (known != prefixes_.end()) {
    made->use((*known)->last_use_ms.load(std::memory_order_relaxed));
    std::swap(*known, made);
  } else {
    const auto shorter = std::find_if(prefixes_.begin(), prefixes_.end(), [&](const auto& prefix) { return prefix->bits < made->bits; });
    prefixes_.insert(shorter, std::move(made));
  }
  return Status::ok;
}

void BehindTable::remove(Bytes address, uint8_t bits, const Hasher& hasher, Gates& gates) {
  std::unique_ptr<Behind> gone;
  if (bits < bits_of(address)) {
    const auto known = place_of(address, bits);
    if (known == prefixes_.end()) return;
    Closed closed(gates);
    gone = std::move(*known);
    prefixes_.erase(known);
    return;
  }
  const uint32_t hash = hasher.bytes(address);
  const uint32_t entry = lookup(address, hash);
  if (entry == HashIndex::none) return;
  Closed closed(gates);
  std::swap(hosts_[entry], gone);
  index_.remove(hash, entry);
  hosts_.remove(entry);
}

}  // namespace i3
