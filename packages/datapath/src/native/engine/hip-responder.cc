#include "hip-responder.h"

#include <algorithm>
#include <string_view>

namespace i3 {
namespace {

constexpr size_t secret_bytes = 32;
constexpr std::string_view label = "i3/1 puzzle";

constexpr size_t random_bytes(Rhash rhash) { return Hmac::bytes(rhash); }
bool is_zero(Bytes bytes) { return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; }); }

// The parameter around PUZZLE's contents is one, within the packet and behind the header.
bool is_puzzle(Bytes r1, size_t offset, size_t contents_bytes) {
  if (offset < hip::header_bytes + hip::parameter_head_bytes || offset > r1.size() || contents_bytes > r1.size() - offset) return false;
  const size_t head = offset - hip::parameter_head_bytes;
  return u16(r1, head) == hip::puzzle && u16(r1, head + 2) == contents_bytes;
}

}  // namespace

bool HipResponder::is_valid(const HipResponderSpec& spec) {
  const Bytes r1 = spec.r1;
  const size_t contents_bytes = hip::puzzle_random + random_bytes(spec.rhash);
  if (spec.open_ids.size() % id_bytes != 0 || spec.open_ids.size() > limits::hip_open_ids * id_bytes) return false;
  if (spec.group == 0 || spec.hit.size() != hip::hit_bytes || spec.secret.size() != secret_bytes || r1.size() > limits::hip_r1_bytes || hip::type_of(r1) != hip::type_r1) return false;
  if (!equal(part(r1, hip::sender_hit, hip::hit_bytes), spec.hit) || !is_puzzle(r1, spec.puzzle_offset, contents_bytes)) return false;
  return is_zero(part(r1, hip::checksum, 2)) && is_zero(part(r1, hip::receiver_hit, hip::hit_bytes)) &&
         is_zero(part(r1, spec.puzzle_offset + hip::puzzle_opaque, contents_bytes - hip::puzzle_opaque));
}

HipResponder::HipResponder(const HipResponderSpec& spec)
    : open_ids_(spec.open_ids.begin(), spec.open_ids.end()), r1_(spec.r1.begin(), spec.r1.end()), random_at_(spec.puzzle_offset + hip::puzzle_random), rhash_(spec.rhash), group_(spec.group), mac_(spec.rhash, spec.secret) {
  put16(r1_, spec.puzzle_offset + hip::puzzle_opaque, spec.epoch);
}

bool HipResponder::is_open(Bytes id) const {
  for (size_t at = 0; at < open_ids_.size(); at += id_bytes) {
    if (equal(part(open_ids_, at, id_bytes), id)) return true;
  }
  return false;
}

PuzzleRandom HipResponder::random(Bytes initiator, Bytes path) const {
  PuzzleRandom made;
  made.size = random_bytes(rhash_);
  const Bytes text(reinterpret_cast<const uint8_t*>(label.data()), label.size());
  mac_.make_mac(MutableBytes(made.bytes).first(made.size), {text, initiator, hit(), path});
  return made;
}

void HipResponder::write(MutableBytes into, Bytes initiator, const PuzzleRandom& random) const {
  copy_to(into, 0, r1_);
  copy_to(into, hip::receiver_hit, initiator);
  copy_to(into, random_at_, random.view());
}

}  // namespace i3
