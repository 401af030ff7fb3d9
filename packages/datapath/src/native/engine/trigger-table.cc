#include "trigger-table.h"

#include <algorithm>
#include <numeric>

namespace i3 {
namespace {

using Suffix = std::array<uint8_t, id_bytes - ring_key_bytes>;

struct Parsed {
  std::vector<Suffix> suffixes;
  std::vector<Target> targets;
  std::vector<uint8_t> stacks;
};

// Reads one trigger at `at` and moves on. False: it is of a wrong shape.
bool parse_one(Bytes ring_key, Bytes packed, size_t& at, Parsed& out) {
  if (at + id_bytes + 2 > packed.size() || !equal(part(packed, at, ring_key_bytes), ring_key)) return false;
  Suffix suffix;
  copy_to(suffix, 0, part(packed, at + ring_key_bytes, suffix.size()));
  const bool is_stack = packed[at + id_bytes] == 1;
  at += id_bytes + 1;
  Target target;
  if (is_stack) {
    const size_t ids = packed[at++];
    if (ids < 1 || ids > limits::stack_length || at + ids * id_bytes > packed.size()) return false;
    target.stack_ids = static_cast<uint8_t>(ids);
    target.stack_at = static_cast<uint32_t>(out.stacks.size());
    const Bytes stack = part(packed, at, ids * id_bytes);
    out.stacks.insert(out.stacks.end(), stack.begin(), stack.end());
    at += stack.size();
  } else {
    if (at + target.endpoint.bytes.size() > packed.size()) return false;
    copy_to(target.endpoint.bytes, 0, part(packed, at, target.endpoint.bytes.size()));
    if (target.endpoint.port() == 0) return false;
    at += target.endpoint.bytes.size();
  }
  out.suffixes.push_back(suffix);
  out.targets.push_back(target);
  return true;
}

std::optional<Parsed> parse(Bytes ring_key, Bytes packed) {
  Parsed out;
  for (size_t at = 0; at < packed.size();) {
    if (!parse_one(ring_key, packed, at, out)) return std::nullopt;
  }
  return out;
}

bool leads_to_same(const Target& a, const Target& b, Bytes stacks) {
  if (a.stack_ids != b.stack_ids) return false;
  if (a.stack_ids == 0) return a.endpoint == b.endpoint;
  return equal(part(stacks, a.stack_at, a.stack_ids * id_bytes), part(stacks, b.stack_at, b.stack_ids * id_bytes));
}

// Once here, so that no packet has to compare them all.
void mark_same(std::span<Target> targets, Bytes stacks) {
  for (size_t i = 0; i < targets.size(); i++) {
    for (size_t j = 0; j < i; j++) {
      if (leads_to_same(targets[j], targets[i], stacks)) targets[i].same_before = static_cast<uint8_t>(j + 1);
    }
  }
}

Group make_group(Bytes ring_key, Parsed parsed) {
  Group group;
  copy_to(group.key, 0, ring_key);
  if (parsed.targets.size() == 1 && parsed.targets[0].stack_ids == 0) {
    group.target = parsed.targets[0];
    return group;
  }
  std::vector<size_t> order(parsed.targets.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&parsed](size_t a, size_t b) { return parsed.suffixes[a] < parsed.suffixes[b]; });
  group.large = std::make_unique<LargeGroup>();
  for (const size_t i : order) {
    group.large->suffixes.push_back(parsed.suffixes[i]);
    group.large->targets.push_back(parsed.targets[i]);
  }
  group.large->stacks = std::move(parsed.stacks);
  mark_same(group.large->targets, group.large->stacks);
  return group;
}

size_t large_size(const Group& group) {
  if (!group.large) return 0;
  const LargeGroup& large = *group.large;
  return sizeof(LargeGroup) + large.suffixes.capacity() * sizeof(Suffix) + large.targets.capacity() * sizeof(Target) + large.stacks.capacity();
}

size_t common_bits(const Suffix& a, Bytes b) {
  for (size_t i = 0; i < a.size(); i++) {
    const auto difference = static_cast<uint8_t>(a[i] ^ b[i]);
    if (difference != 0) return i * 8 + static_cast<size_t>(std::countl_zero(difference));
  }
  return a.size() * 8;
}

// Whether `a` is nearer to `wanted` than `b` by XOR.
bool is_nearer(const Suffix& a, const Suffix& b, const Suffix& wanted) {
  for (size_t i = 0; i < wanted.size(); i++) {
    const auto from_a = static_cast<uint8_t>(a[i] ^ wanted[i]);
    const auto from_b = static_cast<uint8_t>(b[i] ^ wanted[i]);
    if (from_a != from_b) return from_a < from_b;
  }
  return false;
}

// The ids with the longest common prefix are neighbours of the place where the id itself would stand. Of several the nearest by XOR is meant, with all its triggers.
TriggerTable::Match longest_prefix(const LargeGroup& group, Bytes suffix) {
  Suffix wanted;
  copy_to(wanted, 0, suffix);
  const auto& ids = group.suffixes;
  const auto place = static_cast<size_t>(std::lower_bound(ids.begin(), ids.end(), wanted) - ids.begin());
  size_t best = 0;
  if (place > 0) best = common_bits(ids[place - 1], suffix);
  if (place < ids.size()) best = std::max(best, common_bits(ids[place], suffix));
  size_t from = place;
  size_t to = place;
  while (from > 0 && common_bits(ids[from - 1], suffix) == best) from--;
  while (to < ids.size() && common_bits(ids[to], suffix) == best) to++;
  size_t nearest = from;
  for (size_t i = from + 1; i < to; i++) {
    if (is_nearer(ids[i], ids[nearest], wanted)) nearest = i;
  }
  while (ids[from] != ids[nearest]) from++;
  while (ids[to - 1] != ids[nearest]) to--;
  return {std::span(group.targets).subspan(from, to - from), from, group.stacks};
}

}  // namespace

Status TriggerTable::set(Bytes ring_key, Bytes packed, const Hasher& hasher, Gates& gates) {
  if (ring_key.size() != ring_key_bytes) return Status::invalid;
  auto parsed = parse(ring_key, packed);
  if (!parsed) return Status::invalid;
  const uint32_t key_hash = hasher.bytes(ring_key);
  const uint32_t entry = find(ring_key, key_hash);
  const size_t before = entry == HashIndex::none ? 0 : groups_[entry].triggers();
  const size_t after = parsed->targets.size();
  if (after > limits::triggers_per_ring_key) return Status::group_full;
  if (count_ - before + after > limits::triggers) return Status::full;
  if (after > 0) put(ring_key, key_hash, entry, make_group(ring_key, std::move(*parsed)), gates);
  else if (entry != HashIndex::none) remove(entry, key_hash, gates);
  count_ = count_ - before + after;
  return Status::ok;
}

void TriggerTable::remove(uint32_t entry, uint32_t key_hash, Gates& gates) {
  Closed closed(gates);
  large_bytes_ -= large_size(groups_[entry]);
  index_.remove(key_hash, entry);
  groups_.remove(entry);
}

void TriggerTable::put(Bytes ring_key, uint32_t key_hash, uint32_t entry, Group group, Gates& gates) {
  (void)ring_key;
  if (entry == HashIndex::none) grow_if_full(index_, groups_, gates);
  Closed closed(gates);
  const bool is_new = entry == HashIndex::none;
  if (is_new) entry = groups_.add();
  large_bytes_ += large_size(group);
  large_bytes_ -= is_new ? 0 : large_size(groups_[entry]);
  // Swapped, so that what was there is freed after the gates have opened.
  std::swap(groups_[entry], group);
  if (is_new) index_.insert(key_hash, entry);
}

uint32_t TriggerTable::find(Bytes ring_key, uint32_t key_hash) const {
  return index_.find(key_hash, [&](uint32_t entry) { return equal(groups_[entry].key, ring_key); });
}

TriggerTable::Match TriggerTable::match(Bytes id, uint32_t key_hash) const {
  const uint32_t entry = find(part(id, 0, ring_key_bytes), key_hash);
  if (entry == HashIndex::none) return {};
  const Group& group = groups_[entry];
  if (!group.large) return {std::span(&group.target, 1), 0, {}};
  return longest_prefix(*group.large, part(id, ring_key_bytes, id_bytes - ring_key_bytes));
}

}  // namespace i3
