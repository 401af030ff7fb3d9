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

// Whether so many hashes make `last` of `token`.
bool leads_to(Bytes token, int steps, Bytes last) {
  if (steps < 1 || steps > static_cast<int>(limits::refresh_skip)) return false;
  std::array<uint8_t, refresh::token_bytes> value{};
  copy_to(value, 0, token);
  for (int i = 0; i < steps; i++) hash_once(value);
  return equal(value, last);
}

}  // namespace

bool RefreshRules::take(Bytes datagram, const Endpoint& from, Answer& answer) {
  const RefreshAnswers* answers = lane_.tables.answers.get();
  if (answers == nullptr) return false;
  const std::optional<refresh::Refresh> asked = refresh::parse(datagram);
  if (!asked) return false;
  LeaseTable& leases = lane_.tables.leases;
  const uint32_t entry = leases.find(asked->id, lane_.tables.hasher);
  if (entry == HashIndex::none) return false;
  Lease& lease = leases[entry];
  if (lease.owner != from || lane_.now_ms >= lease.end_ms - limits::lease_margin_ms) return false;
  if (!lease.is_replica && !answers->range.owns(asked->id.first(ring_key_bytes))) return false;
  const double end_ms = lane_.now_ms + answers->life_ms;
  const auto life_ms = static_cast<uint16_t>(std::floor(end_ms - lane_.now_ms));
  const std::optional<Endpoint>& successor = answers->replicas[from.is_mapped() ? 0 : 1];
  const Bytes replica = successor && !lease.is_replica ? successor->locator() : Bytes();
  answer.length = refresh::write_ok(answer.bytes, asked->id, life_ms, replica, part(datagram, refresh::nonce_at, refresh::nonce_bytes));
  if (answer.length > datagram.size() || !leads_to(asked->token, asked->index - lease.index, lease.token)) return false;
  copy_to(lease.token, 0, asked->token);
  lease.index = asked->index;
  lease.end_ms = end_ms;
  leases.refreshed(entry, lane_.now_ms);
  lane_.counters.refreshed.add();
  return true;
}

void RefreshRules::send(const Answer& answer, const Endpoint& to) {
  const auto [refused, room] = lane_.udp.reserve(to, 0, answer.length);
  if (refused != Drop::none) return lane_.drop(refused);
  copy_to(room, 0, Bytes(answer.bytes).first(answer.length));
}

}  // namespace i3
