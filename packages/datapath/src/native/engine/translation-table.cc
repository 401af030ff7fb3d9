#include "translation-table.h"

namespace i3 {

Status TranslationTable::set(Bytes flow, Bytes from, Bytes to, const Hasher& hasher, Gates& gates) {
  if (!is_valid(from, to) || !is_of(flow, from)) return Status::invalid;
  const uint32_t from_hash = hash_of(flow, from, hasher), to_hash = hash_of(flow, to, hasher);
  uint32_t entry = lookup_from(flow, from, from_hash);
  const uint32_t taken = lookup_to(flow, to, to_hash);
  if (taken != HashIndex::none) return taken == entry ? Status::ok : Status::taken;
  const bool is_new = entry == HashIndex::none;
  if (is_new && by_from_.size() >= limits::translations) return Status::full;
  if (is_new) {
    grow_if_full(by_from_, entries_, gates);
    grow_if_full(by_to_, entries_, gates);
  }
  auto made = std::make_unique<Translation>(Translation{FlowName(flow), FlowName(from), FlowName(to)});
  Closed closed(gates);
  if (is_new) {
    entry = entries_.add();
    by_from_.insert(from_hash, entry);
  } else {
    by_to_.remove(hash_of(flow, entries_[entry]->to.view(), hasher), entry);
  }
  by_to_.insert(to_hash, entry);
  // What was there is freed when the gates are open again.
  std::swap(entries_[entry], made);
  return Status::ok;
}

void TranslationTable::remove(Bytes flow, Bytes from, const Hasher& hasher, Gates& gates) {
  const uint32_t hash = hash_of(flow, from, hasher);
  const uint32_t entry = lookup_from(flow, from, hash);
  if (entry == HashIndex::none) return;
  std::unique_ptr<Translation> gone;
  Closed closed(gates);
  by_to_.remove(hash_of(flow, entries_[entry]->to.view(), hasher), entry);
  by_from_.remove(hash, entry);
  std::swap(entries_[entry], gone);
  entries_.remove(entry);
}

}  // namespace i3
