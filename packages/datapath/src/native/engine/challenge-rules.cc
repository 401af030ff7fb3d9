#include "challenge-rules.h"

namespace i3 {

std::optional<challenge::Request> ChallengeRules::asked(Bytes datagram, const Endpoint& from) const {
  const ChallengeAnswers* answers = lane_.tables.challenges.get();
  if (answers == nullptr) return std::nullopt;
  const std::optional<challenge::Request> request = challenge::parse(datagram);
  if (!request || answers->range.owns(request->ring_key) == request->is_replica) return std::nullopt;
  if (challenge::answer_bytes(from.locator().size(), made_ms() + answers->wall_offset_ms) > datagram.size()) return std::nullopt;
  return request;
}

void ChallengeRules::answer(const challenge::Request& request, const Endpoint& to) {
  constexpr size_t time_bytes = 8;
  const ChallengeAnswers& answers = *lane_.tables.challenges;
  const Bytes observed = to.locator();
  const uint64_t time_ms = made_ms() + answers.wall_offset_ms;
  lane_.counters.challenged.add();
  const auto [refused, room] = lane_.udp.reserve(to, 0, challenge::answer_bytes(observed.size(), time_ms));
  if (refused != Drop::none) return lane_.drop(refused);
  // docs/wire.md §4.1, step 2.
  std::array<uint8_t, challenge::cookie_bytes> cookie{};
  put64(cookie, 0, made_ms());
  const std::array<uint8_t, 1> length{static_cast<uint8_t>(observed.size())};
  std::array<uint8_t, Hmac::bytes(Rhash::sha256)> mac{};
  answers.cookies.make_mac(mac, {part(Bytes(cookie), 0, time_bytes), length, observed, request.ring_key});
  copy_to(cookie, time_bytes, part(Bytes(mac), 0, cookie.size() - time_bytes));
  challenge::write(room, request, {cookie, observed, time_ms, answers.node_key});
}

}  // namespace i3
