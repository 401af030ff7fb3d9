// The addon's table of functions; what each does is said in src/native-io.ts, interface NativeIo, and in src/native-addon.ts.
#include <node_api.h>

#include <array>

#include "conntrack.h"
#include "engine-skin.h"
#include "environment.h"
#include "netlink-dump.h"
#include "netlink-monitor.h"
#include "netlink-set.h"
#include "nflog.h"
#include "p256.h"
#include "tcp.h"
#include "tun.h"
#include "udp.h"
#include "watch.h"

namespace {

struct Entry {
  const char* name;
  napi_callback call;
};

constexpr std::array<Entry, 86> entries{{
    {"openTun", i3io::open_tun},
    {"readBatch", i3io::read_batch},
    {"writeBatch", i3io::write_batch},
    {"openUdp", i3io::open_udp},
    {"openReportingUdp", i3io::open_reporting_udp},
    {"receiveBatch", i3io::receive_batch},
    {"sendBatch", i3io::send_batch},
    {"openMarkedTcp", i3io::open_marked_tcp},
    {"watchReadable", i3io::watch_readable},
    {"closeFd", i3io::close_fd},
    {"interfaceIndex", i3io::interface_index},
    {"setLink", i3io::set_link},
    {"setTrains", i3io::set_trains},
    {"addAddress", i3io::add_address},
    {"setRoute", i3io::set_route},
    {"removeRoute", i3io::remove_route},
    {"setRule", i3io::set_rule},
    {"removeRule", i3io::remove_rule},
    {"listRoutes", i3io::list_routes},
    {"listAddresses", i3io::list_addresses},
    {"watchNetlink", i3io::watch_netlink},
    {"openNflog", i3io::open_nflog},
    {"readNflog", i3io::read_nflog},
    {"openConntrackDump", i3io::open_conntrack_dump},
    {"readConntrackDump", i3io::read_conntrack_dump},
    {"deleteConntrack", i3io::delete_conntrack},
    {"openEngine", i3io::open_engine},
    {"createSteppedEngine", i3io::create_stepped_engine},
    {"stepEngine", i3io::step_engine},
    {"closeEngine", i3io::close_engine},
    {"engineSetFlow", i3io::engine_set_flow},
    {"engineRemoveFlow", i3io::engine_remove_flow},
    {"engineSetServices", i3io::engine_set_services},
    {"engineSetBehind", i3io::engine_set_behind},
    {"engineRemoveBehind", i3io::engine_remove_behind},
    {"engineSetForwarding", i3io::engine_set_forwarding},
    {"engineSetTranslation", i3io::engine_set_translation},
    {"engineRemoveTranslation", i3io::engine_remove_translation},
    {"engineBehindLastUse", i3io::engine_behind_last_use},
    {"engineRemoveServices", i3io::engine_remove_services},
    {"engineSendFailed", i3io::engine_send_failed},
    {"engineSetInboundUpcall", i3io::engine_set_inbound_upcall},
    {"engineSetInboundTun", i3io::engine_set_inbound_tun},
    {"engineRemoveInbound", i3io::engine_remove_inbound},
    {"engineSetOutboundAssociation", i3io::engine_set_outbound_association},
    {"engineRemoveOutboundAssociation", i3io::engine_remove_outbound_association},
    {"engineSetInboundAssociation", i3io::engine_set_inbound_association},
    {"engineRemoveInboundAssociation", i3io::engine_remove_inbound_association},
    {"engineNextSequence", i3io::engine_next_sequence},
    {"engineSetHipResponder", i3io::engine_set_hip_responder},
    {"engineRemoveHipResponder", i3io::engine_remove_hip_responder},
    {"engineSetKnownSource", i3io::engine_set_known_source},
    {"engineSetNeighbours", i3io::engine_set_neighbours},
    {"engineSetTriggers", i3io::engine_set_triggers},
    {"engineSetLease", i3io::engine_set_lease},
    {"engineRemoveLease", i3io::engine_remove_lease},
    {"engineSetRefreshAnswers", i3io::engine_set_refresh_answers},
    {"engineRemoveRefreshAnswers", i3io::engine_remove_refresh_answers},
    {"engineSetChallengeAnswers", i3io::engine_set_challenge_answers},
    {"engineRemoveChallengeAnswers", i3io::engine_remove_challenge_answers},
    {"engineTakeRefreshed", i3io::engine_take_refreshed},
    {"engineSetResponsibility", i3io::engine_set_responsibility},
    {"engineSetNextServer", i3io::engine_set_next_server},
    {"engineSetPassOn", i3io::engine_set_pass_on},
    {"engineSetDefaultServer", i3io::engine_set_default_server},
    {"engineSetUplink", i3io::engine_set_uplink},
    {"engineDiscardRoute", i3io::engine_discard_route},
    {"engineRelease", i3io::engine_release},
    {"engineDiscard", i3io::engine_discard},
    {"engineSetDetour", i3io::engine_set_detour},
    {"engineTakeDetoured", i3io::engine_take_detoured},
    {"engineSendAll", i3io::engine_send_all},
    {"engineSend", i3io::engine_send},
    {"engineInject", i3io::engine_inject},
    {"engineSubmit", i3io::engine_submit},
    {"engineDeliver", i3io::engine_deliver},
    {"engineFlowReport", i3io::engine_flow_report},
    {"engineTakeUpcalls", i3io::engine_take_upcalls},
    {"engineUpcallsWait", i3io::engine_upcalls_wait},
    {"engineCounters", i3io::engine_counters},
    {"engineOffloads", i3io::engine_offloads},
    {"p256IsPoint", i3io::p256_is_point},
    {"p256Verify", i3io::p256_verify},
    {"p256OpenKey", i3io::p256_open_key},
    {"p256Secret", i3io::p256_secret},
    {"p256Sign", i3io::p256_sign},
}};

}  // namespace

NAPI_MODULE_INIT() {
  if (i3io::create_environment(env) == nullptr) {
    napi_throw_error(env, nullptr, "i3_native_io: the environment could not be set up");
    return nullptr;
  }
  for (const Entry& entry : entries) {
    napi_value function = nullptr;
    if (napi_create_function(env, entry.name, NAPI_AUTO_LENGTH, entry.call, nullptr, &function) != napi_ok) return nullptr;
    i3io::set_property(env, exports, entry.name, function);
  }
  return exports;
}
