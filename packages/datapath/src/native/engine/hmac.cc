#include "hmac.h"

#include <openssl/crypto.h>

namespace i3 {

std::unique_ptr<Hmac> Hmac::make(Rhash hash, Bytes key) {
  std::unique_ptr<Hmac> made(new Hmac(hash));
  made->context_.reset(EVP_MD_CTX_new());
  if (!made->context_ || EVP_DigestInit_ex2(made->context_.get(), hash == Rhash::sha256 ? EVP_sha256() : EVP_sha384(), nullptr) != 1) return nullptr;
  copy_to(made->inner_, 0, key);
  copy_to(made->outer_, 0, key);
  for (uint8_t& byte : made->inner_) byte ^= 0x36;
  for (uint8_t& byte : made->outer_) byte ^= 0x5c;
  return made;
}

Hmac::~Hmac() {
  OPENSSL_cleanse(inner_.data(), inner_.size());
  OPENSSL_cleanse(outer_.data(), outer_.size());
}

bool Hmac::make_mac(MutableBytes out, std::initializer_list<Bytes> parts) {
  require(out.size() == bytes(hash_));
  std::array<uint8_t, max_bytes> inner{};
  const MutableBytes sum = MutableBytes(inner).first(out.size());
  return digest(sum, pad(inner_), parts) && digest(out, pad(outer_), {sum});
}

bool Hmac::digest(MutableBytes out, Bytes pad, std::initializer_list<Bytes> parts) {
  EVP_MD_CTX* context = context_.get();
  // Without an algorithm: begins anew with the one it has.
  bool is_fine = EVP_DigestInit_ex2(context, nullptr, nullptr) == 1 && EVP_DigestUpdate(context, pad.data(), pad.size()) == 1;
  for (const Bytes part : parts) is_fine = is_fine && EVP_DigestUpdate(context, part.data(), part.size()) == 1;
  unsigned written = 0;
  return is_fine && EVP_DigestFinal_ex(context, out.data(), &written) == 1 && written == out.size();
}

}  // namespace i3
