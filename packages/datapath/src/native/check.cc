#include "check.h"

#include <cmath>
#include <cstdio>
#include <cstring>

namespace i3io {

void Check::fail(const char* name, const char* what) {
  if (!valid_) return;
  valid_ = false;
  bool pending = false;
  napi_is_exception_pending(env_, &pending);
  if (pending) return;
  std::array<char, 160> message{};
  std::snprintf(message.data(), message.size(), "%s: %s", name, what);
  napi_throw_type_error(env_, "ERR_INVALID_ARG_TYPE", message.data());
}

napi_valuetype Check::type_of(napi_value value) {
  napi_valuetype type = napi_undefined;
  if (value != nullptr) napi_typeof(env_, value, &type);
  return type;
}

int64_t Check::integer(napi_value value, const char* name, int64_t minimum, int64_t maximum) {
  if (!valid_) return 0;
  double number = 0;
  const bool read = type_of(value) == napi_number && napi_get_value_double(env_, value, &number) == napi_ok;
  // Written so that NaN fails; both bounds are far below 2^53.
  const bool in_range = read && number >= static_cast<double>(minimum) && number <= static_cast<double>(maximum);
  if (!in_range || std::floor(number) != number) {
    std::array<char, 80> what{};
    std::snprintf(what.data(), what.size(), "expected an integer from %lld to %lld", static_cast<long long>(minimum),
                  static_cast<long long>(maximum));
    fail(name, what.data());
    return 0;
  }
  return static_cast<int64_t>(number);
}

double Check::number(napi_value value, const char* name) {
  if (!valid_) return 0;
  double result = 0;
  const bool read = type_of(value) == napi_number && napi_get_value_double(env_, value, &result) == napi_ok;
  if (!read || !std::isfinite(result)) fail(name, "expected a number");
  return valid_ ? result : 0;
}

uint64_t Check::big(napi_value value, const char* name) {
  if (!valid_) return 0;
  uint64_t result = 0;
  bool lossless = false;
  const bool read = type_of(value) == napi_bigint && napi_get_value_bigint_uint64(env_, value, &result, &lossless) == napi_ok;
  if (!read || !lossless) fail(name, "expected a BigInt from 0 to 2^64 - 1");
  return valid_ ? result : 0;
}

bool Check::boolean(napi_value value, const char* name) {
  if (!valid_) return false;
  bool result = false;
  if (type_of(value) != napi_boolean || napi_get_value_bool(env_, value, &result) != napi_ok) fail(name, "expected a boolean");
  return valid_ && result;
}

size_t Check::text(napi_value value, const char* name, std::span<char> out) {
  if (!valid_ || out.empty()) return 0;
  out[0] = '\0';
  size_t length = 0;
  if (type_of(value) != napi_string || napi_get_value_string_utf8(env_, value, nullptr, 0, &length) != napi_ok) {
    fail(name, "expected a string");
    return 0;
  }
  if (length >= out.size()) {
    fail(name, "the string is too long");
    return 0;
  }
  napi_get_value_string_utf8(env_, value, out.data(), out.size(), &length);
  if (std::memchr(out.data(), '\0', length) != nullptr) fail(name, "the string holds a zero byte");
  return valid_ ? length : 0;
}

std::span<uint8_t> Check::view(napi_value value, const char* name, napi_typedarray_type type, const char* what) {
  if (!valid_) return {};
  bool is_typed_array = false;
  if (value != nullptr) napi_is_typedarray(env_, value, &is_typed_array);
  napi_typedarray_type found = napi_int8_array;
  size_t elements = 0;
  void* data = nullptr;
  napi_value buffer = nullptr;
  if (!is_typed_array || napi_get_typedarray_info(env_, value, &found, &elements, &data, &buffer, nullptr) != napi_ok || found != type) {
    fail(name, what);
    return {};
  }
  // Memory shared with other threads could change between check and use.
  bool is_plain_buffer = false;
  napi_is_arraybuffer(env_, buffer, &is_plain_buffer);
  if (!is_plain_buffer) {
    fail(name, "shared memory is not accepted");
    return {};
  }
  if (data == nullptr) return {};
  const size_t element_bytes = type == napi_int32_array ? sizeof(int32_t) : 1;
  return std::span(static_cast<uint8_t*>(data), elements * element_bytes);
}

std::span<uint8_t> Check::bytes(napi_value value, const char* name) {
  return view(value, name, napi_uint8_array, "expected a Uint8Array");
}

std::span<uint8_t> Check::bytes_of(napi_value value, const char* name, size_t length, const char* what) {
  const std::span<uint8_t> found = bytes(value, name);
  if (valid_ && found.size() != length) fail(name, what);
  return valid_ ? found : std::span<uint8_t>();
}

std::span<int32_t> Check::integers(napi_value value, const char* name) {
  const std::span<uint8_t> raw = view(value, name, napi_int32_array, "expected an Int32Array");
  return std::span(reinterpret_cast<int32_t*>(raw.data()), raw.size() / sizeof(int32_t));
}

napi_value Check::function(napi_value value, const char* name) {
  if (valid_ && type_of(value) != napi_function) fail(name, "expected a function");
  return value;
}

napi_value Check::object(napi_value value, const char* name) {
  if (valid_ && type_of(value) != napi_object) fail(name, "expected an object");
  return value;
}

uint32_t Check::array(napi_value value, const char* name, uint32_t maximum) {
  if (!valid_) return 0;
  bool is_array = false;
  uint32_t length = 0;
  if (value != nullptr) napi_is_array(env_, value, &is_array);
  if (!is_array || napi_get_array_length(env_, value, &length) != napi_ok) fail(name, "expected an array");
  else if (length > maximum) fail(name, "the array is too long");
  return valid_ ? length : 0;
}

napi_value Check::element(napi_value array, const char* name, uint32_t index) {
  if (!valid_) return nullptr;
  napi_value value = nullptr;
  if (napi_get_element(env_, array, index, &value) != napi_ok) fail(name, "cannot be read");
  return valid_ ? value : nullptr;
}

napi_value Check::property(napi_value object, const char* name) {
  if (!valid_) return nullptr;
  napi_value value = nullptr;
  // A getter may throw; its exception is then the one the caller sees.
  if (napi_get_named_property(env_, object, name, &value) != napi_ok) fail(name, "cannot be read");
  return valid_ ? value : nullptr;
}

bool Check::is_nullish(napi_value value) {
  const napi_valuetype type = type_of(value);
  return type == napi_null || type == napi_undefined;
}

Address Check::address(napi_value value, const char* name) {
  Address address;
  const std::span<uint8_t> raw = bytes(value, name);
  if (valid_ && raw.size() != 4 && raw.size() != 16) fail(name, "expected 4 or 16 bytes");
  if (!valid_) return address;
  std::memcpy(address.storage.data(), raw.data(), raw.size());
  address.size = raw.size();
  return address;
}

Arguments::Arguments(napi_env env, napi_callback_info info) {
  size_t count = capacity;
  napi_get_cb_info(env, info, &count, values_.data(), nullptr, nullptr);
}

Batch Batch::to_fill(Check& check, napi_value arena, napi_value slot_bytes, napi_value lengths) {
  Batch batch;
  batch.slot_bytes_ = static_cast<size_t>(check.integer(slot_bytes, "slotBytes", 1, 65'536));
  batch.arena_ = check.bytes(arena, "arena");
  batch.lengths_ = check.integers(lengths, "lengths");
  if (!check.valid()) return {};
  batch.count_ = batch.lengths_.size();
  if (batch.count_ > max_batch) check.fail("lengths", "more than 1024 slots");
  else if (batch.arena_.size() < batch.count_ * batch.slot_bytes_) check.fail("arena", "shorter than lengths.length slots");
  return check.valid() ? batch : Batch();
}

Batch Batch::to_send(Check& check, napi_value arena, napi_value slot_bytes, napi_value lengths, napi_value count) {
  const auto wanted = static_cast<size_t>(check.integer(count, "count", 0, max_batch));
  Batch batch = to_fill(check, arena, slot_bytes, lengths);
  if (!check.valid()) return {};
  if (wanted > batch.count_) check.fail("count", "more than lengths.length");
  batch.count_ = check.valid() ? wanted : 0;
  for (size_t i = 0; i < batch.count_; i++) {
    const int32_t length = batch.lengths_[i];
    if (length < 0 || static_cast<size_t>(length) > batch.slot_bytes_) check.fail("lengths", "a length is outside its slot");
  }
  return check.valid() ? batch : Batch();
}

}  // namespace i3io
