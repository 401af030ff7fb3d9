// The packet engine for JavaScript; what each function does is said in src/native-addon.ts, interface NativeEngineAddon.
#pragma once

#include <node_api.h>

namespace i3io {

napi_value open_engine(napi_env env, napi_callback_info info);
napi_value create_stepped_engine(napi_env env, napi_callback_info info);
napi_value step_engine(napi_env env, napi_callback_info info);
napi_value close_engine(napi_env env, napi_callback_info info);
napi_value engine_set_flow(napi_env env, napi_callback_info info);
napi_value engine_remove_flow(napi_env env, napi_callback_info info);
napi_value engine_set_services(napi_env env, napi_callback_info info);
napi_value engine_set_behind(napi_env env, napi_callback_info info);
napi_value engine_remove_behind(napi_env env, napi_callback_info info);
napi_value engine_set_forwarding(napi_env env, napi_callback_info info);
napi_value engine_set_translation(napi_env env, napi_callback_info info);
napi_value engine_remove_translation(napi_env env, napi_callback_info info);
napi_value engine_behind_last_use(napi_env env, napi_callback_info info);
napi_value engine_remove_services(napi_env env, napi_callback_info info);
napi_value engine_set_inbound_upcall(napi_env env, napi_callback_info info);
napi_value engine_set_inbound_tun(napi_env env, napi_callback_info info);
napi_value engine_remove_inbound(napi_env env, napi_callback_info info);
napi_value engine_set_outbound_association(napi_env env, napi_callback_info info);
napi_value engine_remove_outbound_association(napi_env env, napi_callback_info info);
napi_value engine_set_inbound_association(napi_env env, napi_callback_info info);
napi_value engine_remove_inbound_association(napi_env env, napi_callback_info info);
napi_value engine_next_sequence(napi_env env, napi_callback_info info);
napi_value engine_set_hip_responder(napi_env env, napi_callback_info info);
napi_value engine_remove_hip_responder(napi_env env, napi_callback_info info);
napi_value engine_set_known_source(napi_env env, napi_callback_info info);
napi_value engine_set_neighbours(napi_env env, napi_callback_info info);
napi_value engine_set_triggers(napi_env env, napi_callback_info info);
napi_value engine_set_lease(napi_env env, napi_callback_info info);
napi_value engine_remove_lease(napi_env env, napi_callback_info info);
napi_value engine_set_refresh_answers(napi_env env, napi_callback_info info);
napi_value engine_remove_refresh_answers(napi_env env, napi_callback_info info);
napi_value engine_set_challenge_answers(napi_env env, napi_callback_info info);
napi_value engine_remove_challenge_answers(napi_env env, napi_callback_info info);
napi_value engine_take_refreshed(napi_env env, napi_callback_info info);
napi_value engine_set_responsibility(napi_env env, napi_callback_info info);
napi_value engine_set_next_server(napi_env env, napi_callback_info info);
napi_value engine_set_pass_on(napi_env env, napi_callback_info info);
napi_value engine_set_default_server(napi_env env, napi_callback_info info);
napi_value engine_set_uplink(napi_env env, napi_callback_info info);
napi_value engine_discard_route(napi_env env, napi_callback_info info);
napi_value engine_release(napi_env env, napi_callback_info info);
napi_value engine_discard(napi_env env, napi_callback_info info);
napi_value engine_send_all(napi_env env, napi_callback_info info);
napi_value engine_set_detour(napi_env env, napi_callback_info info);
napi_value engine_take_detoured(napi_env env, napi_callback_info info);
napi_value engine_send_failed(napi_env env, napi_callback_info info);
napi_value engine_send(napi_env env, napi_callback_info info);
napi_value engine_inject(napi_env env, napi_callback_info info);
napi_value engine_submit(napi_env env, napi_callback_info info);
napi_value engine_deliver(napi_env env, napi_callback_info info);
napi_value engine_flow_report(napi_env env, napi_callback_info info);
napi_value engine_take_upcalls(napi_env env, napi_callback_info info);
napi_value engine_upcalls_wait(napi_env env, napi_callback_info info);
napi_value engine_counters(napi_env env, napi_callback_info info);
napi_value engine_offloads(napi_env env, napi_callback_info info);

}  // namespace i3io
