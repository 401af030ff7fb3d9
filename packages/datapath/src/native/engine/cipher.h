// The transforms of ESP (docs/wire.md §7) over OpenSSL. One object belongs to one lane and one direction; it allocates only when it is made.
#pragma once

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <memory>

#include "engine.h"

namespace i3 {

constexpr size_t icv_bytes = 16;
constexpr size_t esp_header_bytes = 8;

constexpr size_t iv_bytes(TransformKind kind) {
  return kind == TransformKind::aes_gcm ? 8 : kind == TransformKind::aes_cbc_hmac ? 16 : 0;
}
// What payload, padding and two bytes are a multiple of.
constexpr size_t padding_step(TransformKind kind) { return kind == TransformKind::aes_cbc_hmac ? 16 : 4; }

// Keys of one association, wiped when they go.
class TransformKeys {
 public:
  explicit TransformKeys(const TransformSpec& spec);
  TransformKeys(const TransformKeys&) = delete;
  TransformKeys& operator=(const TransformKeys&) = delete;
  ~TransformKeys();

  static bool is_valid(const TransformSpec& spec);
  // In constant time.
  bool same_as(const TransformSpec& spec) const;
  TransformKind kind() const { return kind_; }
  Bytes key() const { return Bytes(key_).first(key_bytes_); }
  Bytes salt() const { return salt_; }
  Bytes integrity_key() const { return integrity_key_; }

 private:
  TransformKind kind_;
  size_t key_bytes_;
  std::array<uint8_t, 32> key_{};
  std::array<uint8_t, 4> salt_{};
  std::array<uint8_t, 32> integrity_key_{};
};

class Cipher {
 public:
  enum class Direction : uint8_t { seal, open };
  ~Cipher() { OPENSSL_cleanse(salt_.data(), salt_.size()); }
  Cipher(const Cipher&) = delete;
  Cipher& operator=(const Cipher&) = delete;
  // nullptr when OpenSSL refuses.
  static std::unique_ptr<Cipher> make(const TransformKeys& keys, Direction direction);

  // Writes IV, ciphertext and ICV behind SPI and sequence number: `out` is 8 + IV + plaintext + 16. The two do not overlap.
  bool seal(MutableBytes out, uint32_t spi, uint64_t sequence, Bytes plaintext);
  // `packet` from the SPI on, long enough. Returns the plaintext, in place; empty and changed when the ICV is wrong.
  MutableBytes open(MutableBytes packet, uint32_t spi, uint64_t sequence);
  // A plaintext of `packet_bytes` is possible.
  static bool has_room(TransformKind kind, size_t packet_bytes);

 private:
  struct FreeCipher { void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); } };
  struct FreeMac { void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); } };

  explicit Cipher(TransformKind kind) : kind_(kind) {}
  bool prepare_cipher(const TransformKeys& keys, bool sealing);
  bool prepare_mac(const TransformKeys& keys);
  bool mac(std::array<uint8_t, 32>& out, Bytes first, Bytes second);
  bool seal_gcm(MutableBytes out, uint32_t spi, uint64_t sequence, Bytes plaintext);
  MutableBytes open_gcm(MutableBytes packet, uint32_t spi, uint64_t sequence);
  bool seal_cbc(MutableBytes out, uint64_t sequence, Bytes plaintext);

  TransformKind kind_;
  std::array<uint8_t, 4> salt_{};
  std::unique_ptr<EVP_CIPHER_CTX, FreeCipher> cipher_;
  std::unique_ptr<EVP_MAC_CTX, FreeMac> mac_;
};

}  // namespace i3
