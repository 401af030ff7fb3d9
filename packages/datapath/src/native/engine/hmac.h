// HMAC (RFC 2104) for many short messages under one key, and their plain hash.
#pragma once

#include <openssl/sha.h>

#include <initializer_list>

#include "engine.h"

namespace i3 {

// From the two states that the key leads to, so that a message costs only itself. By OpenSSL's plain functions, which it has deprecated: what it
// offers instead (EVP_MAC, EVP_Digest…) allocates for each message, which a flood must not make us do.
class Hmac {
 public:
  static constexpr size_t max_bytes = 48;
  static constexpr size_t bytes(Rhash rhash) { return rhash == Rhash::sha256 ? 32 : 48; }

  // The key is at most 64 bytes.
  Hmac(Rhash rhash, Bytes key);
  ~Hmac();
  Hmac(const Hmac&) = delete;
  Hmac& operator=(const Hmac&) = delete;

  // Over the parts, one behind the other, into as many bytes as the hash has. By any thread.
  void make_mac(MutableBytes out, std::initializer_list<Bytes> parts) const;
  // The hash of the parts alone, without the key.
  void make_digest(MutableBytes out, std::initializer_list<Bytes> parts) const;

 private:
  union State {
    SHA256_CTX sha256;
    SHA512_CTX sha384;
  };

  void begin(State& state) const;
  void begin(State& state, Bytes key, uint8_t pad) const;
  void update(State& state, Bytes bytes) const;
  void finish(State& state, MutableBytes out) const;

  Rhash rhash_;
  State inner_{};
  State outer_{};
};

}  // namespace i3
