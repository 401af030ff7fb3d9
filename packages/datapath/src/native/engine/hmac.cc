#define OPENSSL_SUPPRESS_DEPRECATED
#include "hmac.h"

#include <openssl/crypto.h>

namespace i3 {

Hmac::Hmac(Rhash rhash, Bytes key) : rhash_(rhash) {
  begin(inner_, key, 0x36);
  begin(outer_, key, 0x5c);
}

Hmac::~Hmac() {
  OPENSSL_cleanse(&inner_, sizeof(inner_));
  OPENSSL_cleanse(&outer_, sizeof(outer_));
}

void Hmac::begin(State& state) const {
  if (rhash_ == Rhash::sha256) SHA256_Init(&state.sha256);
  else SHA384_Init(&state.sha384);
}

void Hmac::begin(State& state, Bytes key, uint8_t pad) const {
  std::array<uint8_t, SHA512_CBLOCK> block{};
  copy_to(block, 0, key);
  for (uint8_t& byte : block) byte ^= pad;
  begin(state);
  update(state, Bytes(block).first(rhash_ == Rhash::sha256 ? SHA256_CBLOCK : SHA512_CBLOCK));
  OPENSSL_cleanse(block.data(), block.size());
}

void Hmac::update(State& state, Bytes bytes) const {
  if (rhash_ == Rhash::sha256) SHA256_Update(&state.sha256, bytes.data(), bytes.size());
  else SHA384_Update(&state.sha384, bytes.data(), bytes.size());
}

void Hmac::finish(State& state, MutableBytes out) const {
  require(out.size() == bytes(rhash_));
  if (rhash_ == Rhash::sha256) SHA256_Final(out.data(), &state.sha256);
  else SHA384_Final(out.data(), &state.sha384);
}

void Hmac::make_mac(MutableBytes out, std::initializer_list<Bytes> parts) const {
  State state = inner_;
  for (const Bytes part : parts) update(state, part);
  std::array<uint8_t, max_bytes> inner{};
  const MutableBytes sum = MutableBytes(inner).first(bytes(rhash_));
  finish(state, sum);
  state = outer_;
  update(state, sum);
  finish(state, out);
  OPENSSL_cleanse(&state, sizeof(state));
}

void Hmac::make_digest(MutableBytes out, std::initializer_list<Bytes> parts) const {
  State state;
  begin(state);
  for (const Bytes part : parts) update(state, part);
  finish(state, out);
}

}  // namespace i3
