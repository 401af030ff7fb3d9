#include "tracked-memory.h"

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>

#include <openssl/crypto.h>

#include "checking-sink.h"

namespace i3::test {
namespace {

// In front of every allocation.
struct alignas(64) Block {
  Block* next;
  Block* previous;
  size_t size;
  uint8_t* bytes() { return reinterpret_cast<uint8_t*>(this + 1); }
};

std::mutex mutex;
Block blocks{&blocks, &blocks, 0};
size_t live = 0;
size_t made = 0;
Bytes watched;
size_t found = 0;

bool holds(Block* block, Bytes wanted) { return memmem(block->bytes(), block->size, wanted.data(), wanted.size()) != nullptr; }

void* allocate(size_t size) {
  void* memory = nullptr;
  if (posix_memalign(&memory, alignof(Block), sizeof(Block) + size) != 0) std::abort();
  const std::lock_guard lock(mutex);
  auto* block = new (memory) Block{blocks.next, &blocks, size};
  block->next->previous = block;
  blocks.next = block;
  live++;
  made++;
  return block->bytes();
}

void release(void* memory) {
  if (memory == nullptr) return;
  auto* block = static_cast<Block*>(memory) - 1;
  {
    const std::lock_guard lock(mutex);
    if (!watched.empty() && holds(block, watched)) found++;
    block->next->previous = block->previous;
    block->previous->next = block->next;
    live--;
  }
  std::free(block);
}

void* openssl_allocate(size_t size, const char*, int) { return size == 0 ? nullptr : allocate(size); }
void openssl_release(void* memory, const char*, int) { release(memory); }
void* openssl_reallocate(void* memory, size_t size, const char*, int) {
  if (memory == nullptr) return size == 0 ? nullptr : allocate(size);
  void* made = size == 0 ? nullptr : allocate(size);
  const size_t before = (static_cast<Block*>(memory) - 1)->size;
  if (made != nullptr) std::memcpy(made, memory, before < size ? before : size);
  release(memory);
  return made;
}

}  // namespace

void track_openssl() { CHECK(CRYPTO_set_mem_functions(openssl_allocate, openssl_reallocate, openssl_release) == 1); }

size_t live_allocations() {
  const std::lock_guard lock(mutex);
  return live;
}

size_t allocations_made() {
  const std::lock_guard lock(mutex);
  return made;
}

size_t count_in_memory(Bytes wanted) {
  const std::lock_guard lock(mutex);
  size_t count = 0;
  for (Block* block = blocks.next; block != &blocks; block = block->next) count += holds(block, wanted) ? 1 : 0;
  return count;
}

void watch_freed(Bytes wanted) {
  const std::lock_guard lock(mutex);
  watched = wanted;
  found = 0;
}

size_t found_in_freed() {
  const std::lock_guard lock(mutex);
  return found;
}

}  // namespace i3::test

void* operator new(size_t size) { return i3::test::allocate(size); }
void* operator new[](size_t size) { return i3::test::allocate(size); }
// std::stable_sort takes its memory so.
void* operator new(size_t size, const std::nothrow_t&) noexcept { return i3::test::allocate(size); }
void* operator new[](size_t size, const std::nothrow_t&) noexcept { return i3::test::allocate(size); }
void* operator new(size_t size, std::align_val_t) { return i3::test::allocate(size); }
void* operator new[](size_t size, std::align_val_t) { return i3::test::allocate(size); }
void operator delete(void* memory) noexcept { i3::test::release(memory); }
void operator delete[](void* memory) noexcept { i3::test::release(memory); }
void operator delete(void* memory, size_t) noexcept { i3::test::release(memory); }
void operator delete[](void* memory, size_t) noexcept { i3::test::release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { i3::test::release(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { i3::test::release(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { i3::test::release(memory); }
void operator delete[](void* memory, size_t, std::align_val_t) noexcept { i3::test::release(memory); }
