// A fixed array that asks for huge pages when it is large: with a million entries most look-ups would otherwise miss the TLB too.
#pragma once

#include <sys/mman.h>

#include <cstdlib>
#include <memory>
#include <new>
#include <utility>

#include "bytes.h"

namespace i3 {

template <typename T>
class HugeArray {
 public:
  HugeArray() = default;
  explicit HugeArray(size_t count) : count_(count) {
    const size_t bytes = count * sizeof(T);
    const bool is_large = bytes >= huge_page_bytes;
    const size_t alignment = is_large ? huge_page_bytes : 64;
    void* memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    // As operator new without exceptions.
    if (memory == nullptr) std::abort();
    if (is_large) (void)madvise(memory, bytes, MADV_HUGEPAGE);
    items_ = static_cast<T*>(memory);
    std::uninitialized_default_construct_n(items_, count);
  }
  HugeArray(HugeArray&& other) noexcept : items_(std::exchange(other.items_, nullptr)), count_(std::exchange(other.count_, 0)) {}
  HugeArray& operator=(HugeArray&& other) noexcept {
    std::swap(items_, other.items_);
    std::swap(count_, other.count_);
    return *this;
  }
  ~HugeArray() {
    std::destroy_n(items_, count_);
    std::free(items_);
  }

  size_t size() const { return count_; }
  T& operator[](size_t index) const {
    require(index < count_);
    return items_[index];
  }
  T* begin() const { return items_; }
  T* end() const { return items_ + count_; }

 private:
  static constexpr size_t huge_page_bytes = 2 * 1024 * 1024;
  T* items_ = nullptr;
  size_t count_ = 0;
};

}  // namespace i3
