#define OPENSSL_SUPPRESS_DEPRECATED
#include "refresh-rules.h"

#include <openssl/sha.h>

#include <cmath>
#include <string_view>

namespace i3 {
namespace {

// docs/wire.md §2: the domain, then the part behind its length.
constexpr std::string_view domain("i3/1 refresh\0\0\x10", 15);

void hash_once(std::array<uint8_t, refresh::token_bytes>& value) {
  std::array<uint8_t, SHA256_DIGEST_LENGTH> digest{};
  SHA256_CTX state;
  SHA256_Init(&state);
  SHA256_Update(&state, domain.data(), domain.size());
  SHA256_Update(&state, value.data(), value.size());
  SHA256_Final(digest.data(), &state);
  copy_to(value, 0, Bytes(digest).first(value.size()));
}

}  // namespace

std::optional<RefreshRules::Claim> RefreshRules::claimed(Bytes datagram, const Endpoint& from) const {
  const RefreshAnswers* answers = lane_.tables.answers.get();
  if (answers == nullptr) return std::nullopt;
  const std::optional<refresh::Refresh> asked = refresh::parse(datagram);
  if (!asked) return std::nullopt;
  const uint32_t entry = lane_.tables.leases.find(asked->id, lane_.tables.hasher);
  if (entry == HashIndex::none) return std::nullopt;
  const Lease& lease = lane_.tables.leases[entry];
  if (lease.owner != from || lane_.now_ms >= lease.end_ms - limits::lease_margin_ms) return std::nullopt;
  if (!lease.is_replica && !answers->range.owns(asked->id.first(ring_key_bytes))) return std::nullopt;
  if (asked->index <= lease.index || asked->index - lease.index > static_cast<int>(limits::refresh_skip)) return std::nullopt;
  const double end_ms = lane_.now_ms + answers->life_ms;
  const auto life_ms = static_cast<uint16_t>(std::floor(end_ms - lane_.now_ms));
  const std::optional<Endpoint>& successor = answers->replicas[from.is_mapped() ? 0 : 1];
  const Bytes replica = successor && !lease.is_replica ? successor->locator() : Bytes();
  Claim claim{entry, asked->index, lease.index, lease.token, asked->token, {}, 0};
  claim.answer_bytes = refresh::write_ok(claim.answer, asked->id, life_ms, replica, part(datagram, refresh::nonce_at, refresh::nonce_bytes));
  if (claim.answer_bytes > datagram.size()) return std::nullopt;
  return claim;
}

bool RefreshRules::is_proven(const Claim& claim) {
  std::array<uint8_t, refresh::token_bytes> value{};
  copy_to(value, 0, claim.token);
  for (int i = claim.last_index; i < claim.index; i++) hash_once(value);
  return equal(value, claim.last);
}

bool RefreshRules::take(const Claim& claim) {
  LeaseTable& leases = lane_.tables.leases;
  Lease& lease = leases[claim.entry];
  // The gate keeps the lease itself.
  if (lease.index != claim.last_index) return false;
  copy_to(lease.token, 0, claim.token);
  lease.index = claim.index;
  lease.end_ms = lane_.now_ms + lane_.tables.answers->life_ms;
  leases.refreshed(claim.entry, lane_.now_ms);
  lane_.counters.refreshed.add();
  return true;
}

void RefreshRules::send(const Claim& claim, const Endpoint& to) {
  const auto [refused, room] = lane_.udp.reserve(to, 0, claim.answer_bytes);
  if (refused != Drop::none) return lane_.drop(refused);
  copy_to(room, 0, Bytes(claim.answer).first(claim.answer_bytes));
}

}  // namespace i3
