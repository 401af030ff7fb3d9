// An engine as JavaScript has it.
//
//     closeEngine ─────────┐
//     environment ends ────┼→ close: threads joined, ports closed, tables freed → uv_close → on_closed: references released
//     handle is collected ─┘
//     process.exit() ──────→ threads joined, so that none runs while the process is taken apart
#pragma once

#include <node_api.h>
#include <uv.h>

#include <array>
#include <memory>
#include <mutex>
#include <vector>

#include "check.h"
#include "engine/engine.h"
#include "engine/ports/worker-set.h"
#include "environment.h"

namespace i3io {

struct EngineCallbacks {
  napi_value on_upcalls = nullptr;
  napi_value on_failure = nullptr;
};

class EngineInstance {
 public:
  // `lanes`: at least 1.
  EngineInstance(napi_env env, size_t lanes);
  EngineInstance(const EngineInstance&) = delete;
  EngineInstance& operator=(const EngineInstance&) = delete;

  // The object for JavaScript, which owns `instance` from then on; nullptr, with an exception pending, when there is none.
  static napi_value wrap(napi_env env, EngineInstance* instance);

  // Closes and frees it; for one that no object owns.
  static void discard(EngineInstance* instance);

  // False: an exception was thrown, and nothing is open. Once.
  bool start(const i3::PortOptions& options, const EngineCallbacks& callbacks);
  // Twice is no error.
  void close();

  bool is_open() const { return engine_ != nullptr; }
  // With ports: nobody else may drive its lanes.
  bool has_ports() const { return has_ports_; }
  i3::Engine& engine() { return *engine_; }
  const i3::WorkerSet& workers() const { return workers_; }
  // Upcalls wait that JavaScript has not been told of. Any thread.
  void tell();

 private:
  struct Failure {
    i3::PortKind port;
    i3::PortError error;
  };

  ~EngineInstance() = default;
  static void on_async(uv_async_t* handle);
  static void on_closed(uv_handle_t* handle);
  bool make_references(const EngineCallbacks& callbacks);
  void release_references();
  void report_failures();
  void report_upcalls();
  void call(napi_ref callback, size_t argument_count, const napi_value* arguments);
  void delete_if_unused();

  Environment* environment_;
  std::unique_ptr<i3::Engine> engine_;
  i3::WorkerSet workers_;
  bool has_ports_ = false;
  // Alive from start() until on_closed.
  bool has_async_ = false;
  bool is_finalized_ = false;
  uv_async_t async_{};
  napi_ref on_upcalls_ = nullptr;
  napi_ref on_failure_ = nullptr;
  napi_async_context context_ = nullptr;
  std::mutex failures_mutex_;
  std::vector<Failure> failures_;
  // By PortKind.
  std::array<bool, 2> reported_{};
};

void close_all_engines(Environment& environment);

// Throws and returns nullptr when `value` is no engine (TypeError) or a closed one (EBADF). Ask last, when nothing of JavaScript runs any more.
EngineInstance* take_engine(Check& check, napi_value value);
// The same, whether closed or not.
EngineInstance* take_any_engine(Check& check, napi_value value);

}  // namespace i3io
