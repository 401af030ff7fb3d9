#include "cipher.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

namespace i3 {
namespace {

const EVP_CIPHER* algorithm(const TransformKeys& keys) {
  const bool is_gcm = keys.kind() == TransformKind::aes_gcm;
  if (keys.key().size() == 16) return is_gcm ? EVP_aes_128_gcm() : EVP_aes_128_cbc();
  return is_gcm ? EVP_aes_256_gcm() : EVP_aes_256_cbc();
}

// A context of HMAC-SHA-256. The algorithm is fetched once; OpenSSL counts references to it.
EVP_MAC_CTX* new_hmac() {
  static EVP_MAC* const hmac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  return hmac == nullptr ? nullptr : EVP_MAC_CTX_new(hmac);
}

std::array<uint8_t, 4> high_half(uint64_t sequence) {
  std::array<uint8_t, 4> bytes{};
  put32(bytes, 0, static_cast<uint32_t>(sequence >> 32));
  return bytes;
}

int length_of(Bytes bytes) { return static_cast<int>(bytes.size()); }

// Sets the whole nonce of a GCM context that has its key, as EVP_CTRL_GCM_SET_IV_FIXED with length -1 does, and with it the tag to
// expect when there is one. EVP_CipherInit_ex does the same at twice the price: it looks the nonce's length up by name.
bool begin_gcm(EVP_CIPHER_CTX* context, MutableBytes nonce, MutableBytes tag) {
  const OSSL_PARAM whole_nonce = OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TLS1_IV_FIXED, nonce.data(), static_cast<size_t>(-1));
  const OSSL_PARAM expected = tag.empty() ? OSSL_PARAM_construct_end() : OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag.data(), tag.size());
  const std::array<OSSL_PARAM, 3> parameters{whole_nonce, expected, OSSL_PARAM_construct_end()};
  return EVP_CIPHER_CTX_set_params(context, parameters.data()) == 1;
}

bool take_tag(EVP_CIPHER_CTX* context, MutableBytes tag) {
  std::array<OSSL_PARAM, 2> parameters{OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag.data(), tag.size()), OSSL_PARAM_construct_end()};
  return EVP_CIPHER_CTX_get_params(context, parameters.data()) == 1;
}

}  // namespace

bool TransformKeys::is_valid(const TransformSpec& spec) {
  const bool has_cipher = spec.kind != TransformKind::null_hmac;
  const bool has_mac = spec.kind != TransformKind::aes_gcm;
  const bool key_fits = has_cipher ? spec.key.size() == 16 || spec.key.size() == 32 : spec.key.empty();
  return key_fits && spec.salt.size() == (spec.kind == TransformKind::aes_gcm ? 4u : 0u) && spec.integrity_key.size() == (has_mac ? 32u : 0u);
}

TransformKeys::TransformKeys(const TransformSpec& spec) : kind_(spec.kind), key_bytes_(spec.key.size()) {
  copy_to(key_, 0, spec.key);
  copy_to(salt_, 0, spec.salt);
  copy_to(integrity_key_, 0, spec.integrity_key);
}

TransformKeys::~TransformKeys() {
  OPENSSL_cleanse(key_.data(), key_.size());
  OPENSSL_cleanse(salt_.data(), salt_.size());
  OPENSSL_cleanse(integrity_key_.data(), integrity_key_.size());
}

bool TransformKeys::same_as(const TransformSpec& spec) const {
  if (spec.kind != kind_ || spec.key.size() != key_bytes_) return false;
  const TransformKeys other(spec);
  return (CRYPTO_memcmp(key_.data(), other.key_.data(), key_.size()) | CRYPTO_memcmp(salt_.data(), other.salt_.data(), salt_.size()) |
          CRYPTO_memcmp(integrity_key_.data(), other.integrity_key_.data(), integrity_key_.size())) == 0;
}

std::unique_ptr<Cipher> Cipher::make(const TransformKeys& keys, Direction direction) {
  std::unique_ptr<Cipher> cipher(new Cipher(keys.kind()));
  copy_to(cipher->salt_, 0, keys.salt());
  if (keys.kind() != TransformKind::null_hmac && !cipher->prepare_cipher(keys, direction == Direction::seal)) return nullptr;
  if (keys.kind() != TransformKind::aes_gcm && !cipher->prepare_mac(keys)) return nullptr;
  return cipher;
}

bool Cipher::prepare_cipher(const TransformKeys& keys, bool sealing) {
  cipher_.reset(EVP_CIPHER_CTX_new());
  if (!cipher_ || EVP_CipherInit_ex(cipher_.get(), algorithm(keys), nullptr, keys.key().data(), nullptr, sealing ? 1 : 0) != 1) return false;
  // ESP has its own padding.
  return EVP_CIPHER_CTX_set_padding(cipher_.get(), 0) == 1;
}

bool Cipher::prepare_mac(const TransformKeys& keys) {
  mac_.reset(new_hmac());
  if (!mac_) return false;
  char digest[] = "SHA256";
  const std::array<OSSL_PARAM, 2> parameters{OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
  return EVP_MAC_init(mac_.get(), keys.integrity_key().data(), keys.integrity_key().size(), parameters.data()) == 1;
}

bool Cipher::mac(std::array<uint8_t, 32>& out, Bytes first, Bytes second) {
  size_t length = 0;
  // Without a key: begins anew with the one it has.
  return EVP_MAC_init(mac_.get(), nullptr, 0, nullptr) == 1 && EVP_MAC_update(mac_.get(), first.data(), first.size()) == 1 &&
         EVP_MAC_update(mac_.get(), second.data(), second.size()) == 1 && EVP_MAC_final(mac_.get(), out.data(), &length, out.size()) == 1;
}

bool Cipher::has_room(TransformKind kind, size_t packet_bytes) {
  const size_t around = esp_header_bytes + iv_bytes(kind) + icv_bytes;
  if (packet_bytes < around + 2) return false;
  return kind != TransformKind::aes_cbc_hmac || (packet_bytes - around) % 16 == 0;
}

bool Cipher::seal(MutableBytes out, uint32_t spi, uint64_t sequence, Bytes plaintext) {
  require(out.size() == esp_header_bytes + iv_bytes(kind_) + plaintext.size() + icv_bytes);
  put32(out, 0, spi);
  put32(out, 4, static_cast<uint32_t>(sequence));
  if (kind_ == TransformKind::aes_gcm) return seal_gcm(out, spi, sequence, plaintext);
  if (kind_ == TransformKind::null_hmac) copy_to(out, esp_header_bytes, plaintext);
  else if (!seal_cbc(out, sequence, plaintext)) return false;
  std::array<uint8_t, 32> icv{};
  if (!mac(icv, out.first(out.size() - icv_bytes), high_half(sequence))) return false;
  copy_to(out, out.size() - icv_bytes, Bytes(icv).first(icv_bytes));
  return true;
}

bool Cipher::seal_gcm(MutableBytes out, uint32_t spi, uint64_t sequence, Bytes plaintext) {
  std::array<uint8_t, 12> nonce{};
  copy_to(nonce, 0, salt_);
  put64(nonce, 4, sequence);
  std::array<uint8_t, 12> additional{};
  put32(additional, 0, spi);
  put64(additional, 4, sequence);
  put64(out, esp_header_bytes, sequence);
  EVP_CIPHER_CTX* context = cipher_.get();
  const MutableBytes text = out.subspan(esp_header_bytes + 8, plaintext.size());
  const MutableBytes icv = out.last(icv_bytes);
  int length = 0;
  return begin_gcm(context, nonce, {}) && EVP_EncryptUpdate(context, nullptr, &length, additional.data(), 12) == 1 &&
         EVP_EncryptUpdate(context, text.data(), &length, plaintext.data(), length_of(plaintext)) == 1 &&
         EVP_EncryptFinal_ex(context, icv.data(), &length) == 1 && take_tag(context, icv);
}

// The IV must not be foreseen (RFC 3602 §3): HMAC of the sequence number under the integrity key, so that it is never the same.
bool Cipher::seal_cbc(MutableBytes out, uint64_t sequence, Bytes plaintext) {
  constexpr std::array<uint8_t, 5> label{'i', '3', ' ', 'i', 'v'};
  std::array<uint8_t, 8> number{};
  put64(number, 0, sequence);
  std::array<uint8_t, 32> digest{};
  if (!mac(digest, label, number)) return false;
  copy_to(out, esp_header_bytes, Bytes(digest).first(16));
  int length = 0;
  return EVP_EncryptInit_ex(cipher_.get(), nullptr, nullptr, nullptr, digest.data()) == 1 &&
         EVP_EncryptUpdate(cipher_.get(), out.subspan(esp_header_bytes + 16).data(), &length, plaintext.data(), length_of(plaintext)) == 1;
}

MutableBytes Cipher::open(MutableBytes packet, uint32_t spi, uint64_t sequence) {
  if (kind_ == TransformKind::aes_gcm) return open_gcm(packet, spi, sequence);
  std::array<uint8_t, 32> expected{};
  if (!mac(expected, packet.first(packet.size() - icv_bytes), high_half(sequence))) return {};
  if (CRYPTO_memcmp(expected.data(), packet.last(icv_bytes).data(), icv_bytes) != 0) return {};
  const size_t before = esp_header_bytes + iv_bytes(kind_);
  const MutableBytes text = packet.subspan(before, packet.size() - before - icv_bytes);
  if (kind_ == TransformKind::null_hmac) return text;
  int length = 0;
  const bool opened = EVP_DecryptInit_ex(cipher_.get(), nullptr, nullptr, nullptr, packet.subspan(esp_header_bytes).data()) == 1 &&
                      EVP_DecryptUpdate(cipher_.get(), text.data(), &length, text.data(), length_of(text)) == 1;
  return opened ? text : MutableBytes{};
}

MutableBytes Cipher::open_gcm(MutableBytes packet, uint32_t spi, uint64_t sequence) {
  std::array<uint8_t, 12> nonce{};
  copy_to(nonce, 0, salt_);
  copy_to(nonce, 4, packet.subspan(esp_header_bytes, 8));
  std::array<uint8_t, 12> additional{};
  put32(additional, 0, spi);
  put64(additional, 4, sequence);
  const MutableBytes text = packet.subspan(esp_header_bytes + 8, packet.size() - esp_header_bytes - 8 - icv_bytes);
  EVP_CIPHER_CTX* context = cipher_.get();
  int length = 0;
  int rest = 0;
  const bool opened = begin_gcm(context, nonce, packet.last(icv_bytes)) &&
                      EVP_DecryptUpdate(context, nullptr, &length, additional.data(), 12) == 1 &&
                      EVP_DecryptUpdate(context, text.data(), &length, text.data(), length_of(text)) == 1 &&
                      EVP_DecryptFinal_ex(context, packet.last(icv_bytes).data(), &rest) == 1;
  return opened ? text : MutableBytes{};
}

}  // namespace i3
