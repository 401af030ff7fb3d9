// One gate for each lane: the lane holds its own during a batch, the control plane all of them during a change.
#pragma once

#include <pthread.h>

#include <memory>
#include <vector>

#include "hash-index.h"

namespace i3 {

// A mutex that lends its holder the priority of who waits, and is handed over to the one that waited longest: the control plane
// gets its turn between two batches of a busy lane, and a lane does not wait for a preempted control plane.
class Gate {
 public:
  Gate() {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
    // A kernel without such futexes refuses; a plain mutex excludes as well.
    if (pthread_mutex_init(&mutex_, &attributes) != 0) pthread_mutex_init(&mutex_, nullptr);
    pthread_mutexattr_destroy(&attributes);
  }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  ~Gate() { pthread_mutex_destroy(&mutex_); }

  void lock() { pthread_mutex_lock(&mutex_); }
  void unlock() { pthread_mutex_unlock(&mutex_); }

 private:
  pthread_mutex_t mutex_;
};

class Gates {
 public:
  explicit Gates(size_t count) {
    for (size_t i = 0; i < count; i++) gates_.push_back(std::make_unique<Gate>());
  }
  Gate& operator[](size_t index) { return *gates_[index]; }
  void lock() {
    for (auto& gate : gates_) gate->lock();
  }
  void unlock() {
    for (auto& gate : gates_) gate->unlock();
  }

 private:
  std::vector<std::unique_ptr<Gate>> gates_;
};

class Closed {
 public:
  explicit Closed(Gates& gates) : gates_(gates) { gates_.lock(); }
  ~Closed() { gates_.unlock(); }
  Closed(const Closed&) = delete;
  Closed& operator=(const Closed&) = delete;

 private:
  Gates& gates_;
};

// Makes room for one more entry; call it before closing the gates.
template <typename Entries>
void grow_if_full(HashIndex& index, Entries& entries, Gates& gates) {
  entries.prepare();
  if (!index.is_full()) return;
  HashIndex larger = index.grown();
  Closed closed(gates);
  std::swap(index, larger);
}

}  // namespace i3
