// Checked reading of JavaScript arguments. The first value that is wrong throws TypeError; from then on every method returns
// zero or an empty view without touching JavaScript, and valid() is false. A binding reads all arguments, asks valid() once,
// and only then acts.
//
// Views into typed arrays hold only until JavaScript runs again: read options objects (getters!) before taking views.
#pragma once

#include <node_api.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace i3io {

// An IPv4 or IPv6 address, copied.
struct Address {
  std::array<uint8_t, 16> storage{};
  size_t size = 0;  // 4, 16, or 0 for none

  std::span<const uint8_t> bytes() const { return std::span(storage).first(size); }
  uint8_t bits() const { return static_cast<uint8_t>(size * 8); }
};

class Check {
 public:
  explicit Check(napi_env env) : env_(env) {}

  napi_env env() const { return env_; }
  bool valid() const { return valid_; }
  // Throws TypeError "<name>: <what>" unless one is thrown already.
  void fail(const char* name, const char* what);

  int64_t integer(napi_value value, const char* name, int64_t minimum, int64_t maximum);
  // Neither NaN nor an infinity.
  double number(napi_value value, const char* name);
  // A BigInt from 0 to 2^64 - 1.
  uint64_t big(napi_value value, const char* name);
  bool boolean(napi_value value, const char* name);
  // Copies the string and a final zero byte into `out`; strings that do not fit or hold a zero byte are wrong. Returns its length.
  size_t text(napi_value value, const char* name, std::span<char> out);
  std::span<uint8_t> bytes(napi_value value, const char* name);
  // Exactly `length` of them, or `what` is thrown.
  std::span<uint8_t> bytes_of(napi_value value, const char* name, size_t length, const char* what);
  std::span<int32_t> integers(napi_value value, const char* name);
  napi_value function(napi_value value, const char* name);
  napi_value object(napi_value value, const char* name);
  // The length of an array. Its elements may be getters, see above.
  uint32_t array(napi_value value, const char* name, uint32_t maximum);
  napi_value element(napi_value array, const char* name, uint32_t index);
  // A property of an object that object() has checked.
  napi_value property(napi_value object, const char* name);
  bool is_nullish(napi_value value);
  // Uint8Array of 4 or 16 bytes.
  Address address(napi_value value, const char* name);

 private:
  napi_valuetype type_of(napi_value value);
  std::span<uint8_t> view(napi_value value, const char* name, napi_typedarray_type type, const char* what);

  napi_env env_;
  bool valid_ = true;
};

class Arguments {
 public:
  static constexpr size_t capacity = 14;

  Arguments(napi_env env, napi_callback_info info);
  // Missing arguments are undefined, as in JavaScript.
  napi_value operator[](size_t index) const { return values_[index]; }

 private:
  std::array<napi_value, capacity> values_{};
};

// A batch of packets in one arena, docs/datapath.md: packet i at arena[i * slot_bytes], its length in lengths[i].
class Batch {
 public:
  Batch() = default;
  size_t size() const { return count_; }
  size_t slot_bytes() const { return slot_bytes_; }
  std::span<uint8_t> slot(size_t index) const { return arena_.subspan(index * slot_bytes_, slot_bytes_); }
  std::span<uint8_t> packet(size_t index) const { return slot(index).first(static_cast<size_t>(lengths_[index])); }
  // `length` may exceed the slot: that says the packet was cut.
  void set_length(size_t index, size_t length) const { lengths_[index] = static_cast<int32_t>(length); }

  // Room for lengths.size() packets.
  static Batch to_fill(Check& check, napi_value arena, napi_value slot_bytes, napi_value lengths);
  // `count` packets, whose lengths all fit their slots.
  static Batch to_send(Check& check, napi_value arena, napi_value slot_bytes, napi_value lengths, napi_value count);

 private:
  std::span<uint8_t> arena_;
  std::span<int32_t> lengths_;
  size_t slot_bytes_ = 0;
  size_t count_ = 0;
};

// Batches longer than this are refused; it also bounds the time of one call.
constexpr size_t max_batch = 1024;

}  // namespace i3io
