// Parts of a received datagram as Uint8Arrays, which share one copy of it.
#pragma once

#include <node_api.h>

#include <cstdint>
#include <cstring>
#include <span>

namespace i3io {

class DatagramViews {
 public:
  DatagramViews(napi_env env, std::span<const uint8_t> datagram) : env_(env), datagram_(datagram) {
    void* data = nullptr;
    if (napi_create_arraybuffer(env, datagram.size(), &data, &buffer_) != napi_ok) buffer_ = nullptr;
    else if (!datagram.empty()) std::memcpy(data, datagram.data(), datagram.size());
  }

  // `part` lies in the datagram, or is empty.
  napi_value view(std::span<const uint8_t> part) const {
    napi_value array = nullptr;
    const size_t offset = part.empty() ? 0 : static_cast<size_t>(part.data() - datagram_.data());
    if (buffer_ != nullptr) napi_create_typedarray(env_, napi_uint8_array, part.size(), buffer_, offset, &array);
    return array;
  }

 private:
  napi_env env_;
  std::span<const uint8_t> datagram_;
  napi_value buffer_ = nullptr;
};

}  // namespace i3io
