#include "hip-responder.h"

#include <algorithm>
#include <string_view>

namespace i3 {
namespace {

constexpr size_t secret_bytes = 32;
constexpr size_t epoch_at = 0, difficulty_at = 2, secret_at = 3, puzzles_bytes = secret_at + secret_bytes;
constexpr std::string_view label = "i3/1 puzzle";

constexpr size_t random_bytes(Rhash rhash) { return Hmac::bytes(rhash); }
bool is_zero(Bytes bytes) { return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; }); }

// The parameter around PUZZLE's contents is one, within the packet and behind the header.
bool is_puzzle(Bytes r1, size_t offset, size_t contents_bytes) {
  if (offset < hip::header_bytes + hip::parameter_head_bytes || offset > r1.size() || contents_bytes > r1.size() - offset) return false;
  const size_t head = offset - hip::parameter_head_bytes;
  return u16(r1, head) == hip::puzzle && u16(r1, head + 2) == contents_bytes;
}

bool ends_in_zeros(Bytes digest, unsigned bits) {
  const size_t last = digest.size() - bits / 8 - 1;
  return is_zero(digest.subspan(last + 1)) && (digest[last] & ((1u << bits % 8) - 1)) == 0;
}

}  // namespace

bool HipResponder::is_valid(const HipResponderSpec& spec) {
  const Bytes r1 = spec.r1;
  const size_t contents_bytes = hip::puzzle_random + random_bytes(spec.rhash);
  const size_t epochs = spec.puzzles.size() / puzzles_bytes;
  if (spec.puzzles.size() % puzzles_bytes != 0 || epochs < 1 || epochs > limits::hip_puzzles) return false;
  if (spec.open_ids.size() % id_bytes != 0 || spec.open_ids.size() > limits::hip_open_ids * id_bytes) return false;
  if (spec.group == 0 || spec.hit.size() != hip::hit_bytes || r1.size() > limits::hip_r1_bytes || hip::type_of(r1) != hip::type_r1) return false;
  if (!equal(part(r1, hip::sender_hit, hip::hit_bytes), spec.hit) || !is_puzzle(r1, spec.puzzle_offset, contents_bytes)) return false;
  if (u8(r1, spec.puzzle_offset + hip::puzzle_difficulty) != u8(spec.puzzles, difficulty_at)) return false;
  return is_zero(part(r1, hip::checksum, 2)) && is_zero(part(r1, hip::receiver_hit, hip::hit_bytes)) &&
         is_zero(part(r1, spec.puzzle_offset + hip::puzzle_opaque, contents_bytes - hip::puzzle_opaque));
}

HipResponder::HipResponder(const HipResponderSpec& spec)
    : open_ids_(spec.open_ids.begin(), spec.open_ids.end()), r1_(spec.r1.begin(), spec.r1.end()), random_at_(spec.puzzle_offset + hip::puzzle_random), rhash_(spec.rhash), group_(spec.group) {
  for (size_t at = 0; at < spec.puzzles.size(); at += puzzles_bytes) puzzles_.emplace_back(rhash_, part(spec.puzzles, at, puzzles_bytes));
  put16(r1_, spec.puzzle_offset + hip::puzzle_opaque, puzzles_.front().epoch);
}

HipResponder::Puzzles::Puzzles(Rhash rhash, Bytes packed) : epoch(u16(packed, epoch_at)), difficulty(u8(packed, difficulty_at)), mac(rhash, part(packed, secret_at, secret_bytes)) {}

bool HipResponder::is_open(Bytes id) const {
  for (size_t at = 0; at < open_ids_.size(); at += id_bytes) {
    if (equal(part(open_ids_, at, id_bytes), id)) return true;
  }
  return false;
}

PuzzleRandom HipResponder::random(Bytes initiator, Bytes path) const { return random_of(puzzles_.front(), initiator, path); }

bool HipResponder::is_solved(Bytes solution, Bytes initiator, Bytes path) const {
  const uint16_t epoch = u16(solution, hip::puzzle_opaque);
  const auto found = std::find_if(puzzles_.begin(), puzzles_.end(), [epoch](const Puzzles& puzzles) { return puzzles.epoch == epoch; });
  if (found == puzzles_.end() || u8(solution, hip::puzzle_difficulty) != found->difficulty) return false;
  const Bytes random = part(solution, hip::puzzle_random, random_bytes(rhash_));
  if (!equal(random, random_of(*found, initiator, path).view())) return false;
  std::array<uint8_t, Hmac::max_bytes> digest{};
  const MutableBytes sum = MutableBytes(digest).first(random_bytes(rhash_));
  found->mac.make_digest(sum, {random, initiator, hit(), solution.subspan(hip::puzzle_random + random.size())});
  return ends_in_zeros(sum, found->difficulty);
}

PuzzleRandom HipResponder::random_of(const Puzzles& puzzles, Bytes initiator, Bytes path) const {
  PuzzleRandom made;
  made.size = random_bytes(rhash_);
  const Bytes text(reinterpret_cast<const uint8_t*>(label.data()), label.size());
  puzzles.mac.make_mac(MutableBytes(made.bytes).first(made.size), {text, initiator, hit(), path});
  return made;
}

void HipResponder::write(MutableBytes into, Bytes initiator, const PuzzleRandom& random) const {
  copy_to(into, 0, r1_);
  copy_to(into, hip::receiver_hit, initiator);
  copy_to(into, random_at_, random.view());
}

}  // namespace i3
