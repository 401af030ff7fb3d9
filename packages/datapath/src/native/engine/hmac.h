// HMAC (RFC 2104) for many short messages under one key. One object belongs to one lane.
#pragma once

#include <openssl/evp.h>

#include <initializer_list>
#include <memory>

#include "engine.h"

namespace i3 {

// By OpenSSL's digests and not its HMAC, which in OpenSSL 3.0 allocates for each message.
class Hmac {
 public:
  static constexpr size_t max_bytes = 48;
  static constexpr size_t bytes(Rhash hash) { return hash == Rhash::sha256 ? 32 : 48; }

  // nullptr when OpenSSL refuses. The key is at most 64 bytes; what is kept of it is wiped.
  static std::unique_ptr<Hmac> make(Rhash hash, Bytes key);
  ~Hmac();
  Hmac(const Hmac&) = delete;
  Hmac& operator=(const Hmac&) = delete;

  // Over the parts, one behind the other, into as many bytes as the hash has. False when OpenSSL refuses.
  bool make_mac(MutableBytes out, std::initializer_list<Bytes> parts);

 private:
  struct FreeDigest { void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); } };
  explicit Hmac(Rhash hash) : hash_(hash) {}
  bool digest(MutableBytes out, Bytes pad, std::initializer_list<Bytes> parts);
  Bytes pad(const std::array<uint8_t, 128>& whole) const { return Bytes(whole).first(hash_ == Rhash::sha256 ? 64 : 128); }

  Rhash hash_;
  std::unique_ptr<EVP_MD_CTX, FreeDigest> context_;
  std::array<uint8_t, 128> inner_{};
  std::array<uint8_t, 128> outer_{};
};

}  // namespace i3
