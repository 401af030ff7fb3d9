#include "behind-table.h"

namespace i3 {
namespace {

size_t bits_of(const FlowName& address) { return address.size * size_t{8}; }

// With zeros behind the prefix.
FlowName prefix_of(Bytes address, size_t bits) {
  FlowName prefix(address);
  for (size_t i = bits / 8; i < prefix.size; i++) prefix.bytes[i] = static_cast<uint8_t>(i == bits / 8 ? prefix.bytes[i] & (0xff00u >> (bits % 8)) : 0);
  return prefix;
}

// Prefixes of one address that differ only in their length are apart.
uint32_t hash_of(const FlowName& prefix, uint8_t bits, const Hasher& hasher) { return hasher.bytes(prefix.view()) ^ hasher.number(bits); }

}  // namespace

bool BehindTable::is_valid(Bytes address, size_t bits, Bytes flow) {
  if (!FlowName::is_valid(address) || flow.size() != address.size() || bits > address.size() * 8) return false;
  return equal(prefix_of(address, bits).view(), address);
}

Behind* BehindTable::find(Bytes address, uint8_t bits, const Hasher& hasher) const {
  const FlowName prefix = prefix_of(address, bits);
  const uint32_t entry = lookup(prefix, bits, hash_of(prefix, bits, hasher));
  return entry == HashIndex::none ? nullptr : entries_[entry].get();
}

// The gates are closed.
void BehindTable::count(const FlowName& prefix, uint8_t bits, int by) {
  const size_t family = prefix.size == 4 ? 0 : 1;
  uint32_t& number = counts_[family][bits];
  std::vector<uint8_t>& lengths = lengths_[family];
  if (by > 0 && number == 0) lengths.insert(std::find_if(lengths.begin(), lengths.end(), [&](uint8_t other) { return other < bits; }), bits);
  if (by < 0 && number == 1) std::erase(lengths, bits);
  number = static_cast<uint32_t>(static_cast<int>(number) + by);
  if (bits < bits_of(prefix)) prefixes_ = by > 0 ? prefixes_ + 1 : prefixes_ - 1;
}

Status BehindTable::set(Bytes address, uint8_t bits, Bytes flow, const Hasher& hasher, Gates& gates) {
  if (!is_valid(address, bits, flow)) return Status::invalid;
  auto made = std::make_unique<Behind>();
  made->address = FlowName(address);
  made->bits = bits;
  made->flow = FlowName(flow);
  const uint32_t hash = hash_of(made->address, bits, hasher);
  uint32_t entry = lookup(made->address, bits, hash);
  const bool is_new = entry == HashIndex::none;
  const bool is_host = bits == bits_of(made->address);
  if (is_new && (is_host ? index_.size() - prefixes_ >= limits::behind : prefixes_ >= limits::behind_prefixes)) return Status::full;
  if (is_new) grow_if_full(index_, entries_, gates);
  Closed closed(gates);
  if (is_new) {
    entry = entries_.add();
    index_.insert(hash, entry);
    count(made->address, bits, 1);
  } else {
    made->use(entries_[entry]->last_use_ms.load(std::memory_order_relaxed));
  }
  // What was there is freed when the gates are open again.
  std::swap(entries_[entry], made);
  return Status::ok;
}

void BehindTable::remove(Bytes address, uint8_t bits, const Hasher& hasher, Gates& gates) {
  const FlowName prefix(address);
  const uint32_t hash = hash_of(prefix, bits, hasher);
  const uint32_t entry = lookup(prefix, bits, hash);
  if (entry == HashIndex::none) return;
  std::unique_ptr<Behind> gone;
  Closed closed(gates);
  std::swap(entries_[entry], gone);
  index_.remove(hash, entry);
  entries_.remove(entry);
  count(prefix, bits, -1);
}

}  // namespace i3
