#include "engine-handle.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "system-error.h"

namespace i3io {
namespace {

constexpr napi_type_tag engine_tag{0x6933656e67696e65, 0x9f0d4c1b7a52e368};

// All workers of the process, of whatever environment. Never freed: process.exit() takes statics apart while threads run.
struct Running {
  std::mutex mutex;
  std::unordered_set<i3::WorkerSet*> sets;
};

Running& running() {
  static Running& all = *new Running();
  return all;
}

void stop_all() {
  Running& all = running();
  const std::lock_guard lock(all.mutex);
  for (i3::WorkerSet* set : all.sets) set->stop();
}

void note_running(i3::WorkerSet& set) {
  static const bool noted = std::atexit(stop_all) == 0;
  (void)noted;
  Running& all = running();
  const std::lock_guard lock(all.mutex);
  all.sets.insert(&set);
}

void note_stopped(i3::WorkerSet& set) {
  Running& all = running();
  const std::lock_guard lock(all.mutex);
  all.sets.erase(&set);
}

// Keys of the hash tables: without them nobody can choose entries that collide.
std::array<uint8_t, 16> make_seed() {
  std::array<uint8_t, 16> seed{};
  while (getrandom(seed.data(), seed.size(), 0) < 0 && errno == EINTR) {
  }
  return seed;
}

void finalize(napi_env, void* data, void*) { EngineInstance::discard(static_cast<EngineInstance*>(data)); }

}  // namespace

EngineInstance::EngineInstance(napi_env env, size_t lanes)
    : environment_(&Environment::of(env)), engine_(std::make_unique<i3::Engine>(make_seed(), lanes)) {}

napi_value EngineInstance::wrap(napi_env env, EngineInstance* instance) {
  napi_value object = nullptr;
  const bool wrapped = napi_create_object(env, &object) == napi_ok && napi_type_tag_object(env, object, &engine_tag) == napi_ok &&
                       napi_wrap(env, object, instance, finalize, nullptr, nullptr) == napi_ok;
  if (wrapped) return object;
  discard(instance);
  return throw_system(env, ENOMEM, "napi_wrap");
}

void EngineInstance::discard(EngineInstance* instance) {
  instance->close();
  instance->is_finalized_ = true;
  instance->delete_if_unused();
}

void EngineInstance::delete_if_unused() {
  if (is_finalized_ && !has_async_) delete this;
}

bool EngineInstance::make_references(const EngineCallbacks& callbacks) {
  napi_env env = environment_->env;
  napi_value name = nullptr;
  return napi_create_reference(env, callbacks.on_upcalls, 1, &on_upcalls_) == napi_ok &&
         napi_create_reference(env, callbacks.on_failure, 1, &on_failure_) == napi_ok &&
         napi_create_string_utf8(env, "I3_ENGINE", NAPI_AUTO_LENGTH, &name) == napi_ok &&
         napi_async_init(env, nullptr, name, &context_) == napi_ok;
}

void EngineInstance::release_references() {
  napi_env env = environment_->env;
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  if (on_upcalls_ != nullptr) napi_delete_reference(env, on_upcalls_);
  if (on_failure_ != nullptr) napi_delete_reference(env, on_failure_);
  if (context_ != nullptr) napi_async_destroy(env, context_);
  napi_close_handle_scope(env, scope);
}

bool EngineInstance::start(const i3::PortOptions& options, const EngineCallbacks& callbacks) {
  async_.data = this;
  if (const int result = uv_async_init(environment_->loop, &async_, on_async); result < 0) {
    throw_system(environment_->env, -result, "uv_async_init");
    close();
    return false;
  }
  has_async_ = true;
  has_ports_ = true;
  environment_->engines.insert(this);
  engine_->on_upcalls([this] { tell(); });
  engine_->on_output([this] { workers_.wake(); });
  note_running(workers_);
  const bool referenced = make_references(callbacks);
  std::optional<i3::PortError> error = i3::PortError{ENOMEM, "napi_create_reference"};
  if (referenced) {
    error = workers_.open(*engine_, options, [this](i3::PortKind port, const i3::PortError& failed) {
      const std::lock_guard lock(failures_mutex_);
      failures_.push_back({port, failed});
      tell();
    });
  }
  if (!error) return true;
  throw_system(environment_->env, error->number, error->call, error->detail);
  close();
  return false;
}

void EngineInstance::tell() {
  if (has_async_) uv_async_send(&async_);
}

// References are released in on_closed and not here, because here a callback of this engine may be on the stack.
void EngineInstance::close() {
  if (!is_open()) return;
  if (has_ports_) note_stopped(workers_);
  workers_.close();
  engine_.reset();
  if (!has_async_) return;
  environment_->engines.erase(this);
  environment_->closing++;
  uv_close(reinterpret_cast<uv_handle_t*>(&async_), on_closed);
}

void EngineInstance::on_closed(uv_handle_t* handle) {
  auto& instance = *static_cast<EngineInstance*>(handle->data);
  Environment& environment = *instance.environment_;
  instance.release_references();
  instance.has_async_ = false;
  instance.delete_if_unused();
  environment.closing--;
  environment.finish_if_idle();
}

void EngineInstance::call(napi_ref callback, size_t argument_count, const napi_value* arguments) {
  napi_env env = environment_->env;
  napi_value function = nullptr;
  napi_value receiver = nullptr;
  napi_get_reference_value(env, callback, &function);
  napi_get_global(env, &receiver);
  if (function == nullptr) return;
  // napi_make_callback also runs next ticks and microtasks, as node does for its own handles.
  if (napi_make_callback(env, context_, receiver, function, argument_count, arguments, nullptr) != napi_pending_exception) return;
  napi_value exception = nullptr;
  if (napi_get_and_clear_last_exception(env, &exception) == napi_ok) napi_fatal_exception(env, exception);
}

void EngineInstance::report_failures() {
  std::vector<Failure> failures;
  {
    const std::lock_guard lock(failures_mutex_);
    failures.swap(failures_);
  }
  napi_env env = environment_->env;
  for (const Failure& failure : failures) {
    if (!is_open()) return;
    // A device that is gone is gone for every worker.
    bool& is_reported = reported_[static_cast<size_t>(failure.port)];
    if (std::exchange(is_reported, true)) continue;
    std::array<napi_value, 2> arguments{};
    napi_create_string_utf8(env, failure.port == i3::PortKind::tun ? "tun" : "udp", NAPI_AUTO_LENGTH, &arguments[0]);
    arguments[1] = make_system_error(env, failure.error.number, failure.error.call, failure.error.detail);
    if (arguments[1] != nullptr) call(on_failure_, arguments.size(), arguments.data());
  }
}

// At most once a turn, and again in the next one while any wait.
void EngineInstance::report_upcalls() {
  if (!is_open() || !engine_->upcalls_wait()) return;
  call(on_upcalls_, 0, nullptr);
  if (is_open() && engine_->upcalls_wait()) tell();
}

void EngineInstance::on_async(uv_async_t* handle) {
  auto& instance = *static_cast<EngineInstance*>(handle->data);
  if (instance.environment_->ending) return;
  napi_env env = instance.environment_->env;
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  instance.report_failures();
  instance.report_upcalls();
  napi_close_handle_scope(env, scope);
}

void close_all_engines(Environment& environment) {
  while (!environment.engines.empty()) (*environment.engines.begin())->close();
}

EngineInstance* take_any_engine(Check& check, napi_value value) {
  if (!check.valid()) return nullptr;
  bool is_engine = false;
  void* data = nullptr;
  // Fails for what is no object at all.
  const bool tagged = value != nullptr && napi_check_object_type_tag(check.env(), value, &engine_tag, &is_engine) == napi_ok && is_engine;
  if (!tagged || napi_unwrap(check.env(), value, &data) != napi_ok) {
    check.fail("handle", "expected an engine");
    return nullptr;
  }
  return static_cast<EngineInstance*>(data);
}

EngineInstance* take_engine(Check& check, napi_value value) {
  EngineInstance* instance = take_any_engine(check, value);
  if (instance == nullptr || instance->is_open()) return instance;
  throw_system(check.env(), EBADF, "engine", "(it is closed)");
  return nullptr;
}

}  // namespace i3io
