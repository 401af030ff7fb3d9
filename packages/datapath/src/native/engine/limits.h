// Bounds of every table and queue: those of docs/datapath.md and src/datapath.ts, LIMITS. A test compares the two.
#pragma once

#include <cstddef>
#include <cstdint>

namespace i3::limits {

constexpr size_t queued_packets_per_flow = 16;
constexpr size_t queued_packets_per_route = 32;
constexpr size_t queued_bytes = 4 * 1024 * 1024;
constexpr size_t upcalls_per_batch = 256;
constexpr size_t waiting_upcalls = 16 * upcalls_per_batch;
constexpr size_t waiting_upcall_bytes = 16 * 1024 * 1024;
constexpr size_t more_known_upcalls = 4 * upcalls_per_batch;
constexpr size_t more_known_upcall_bytes = 4 * 1024 * 1024;
constexpr double upcalls_per_source_per_second = 2'000;
constexpr size_t shared_buckets = 65'536;
constexpr double copies_per_source_per_second = 200'000;
constexpr double copies_per_source_burst = 20'000;
constexpr unsigned free_hops = 4;
constexpr double r1_per_source_per_second = 10;
constexpr double r1_per_source_burst = 20;
constexpr unsigned r1_per_second = 4'000;
constexpr unsigned r1_again_per_second = 4'000;
constexpr unsigned hip_i1s_per_second = 100;
constexpr double hip_i2s_per_source_per_second = 50;
constexpr double hip_i2s_per_source_burst = 100;
constexpr unsigned hip_i2s_per_second = 2'000;
constexpr unsigned hip_others_per_second = 4'000;
constexpr uint32_t r1_again_from_ms = 300;
constexpr uint32_t r1_again_to_ms = 4'000;
constexpr size_t hip_r1_bytes = 1'232;
constexpr size_t hip_open_ids = 32;
constexpr size_t hip_puzzles = 8;
constexpr size_t known_sources = 131'072;
constexpr size_t neighbours = 32;
constexpr double upcalls_per_neighbour_per_second = 8'000;
constexpr size_t i1_parameters = 16;
constexpr size_t i2_parameters = 32;
constexpr size_t dh_groups = 16;
constexpr size_t flows = 65'536;
constexpr size_t behind = 65'536;
constexpr size_t behind_prefixes = 256;
constexpr size_t translations = 65'536;
constexpr size_t flows_with_services = 16'384;
constexpr size_t services_per_flow = 32;
constexpr size_t port_ranges_per_service = 16;
constexpr size_t inbound = 131'072;
constexpr size_t associations = 131'072;
constexpr size_t next_servers = 65'536;
constexpr size_t triggers = 1'048'576;
constexpr size_t triggers_per_ring_key = 128;
constexpr size_t refresh_skip = 64;
constexpr double lease_margin_ms = 1'000;
constexpr size_t refreshed_per_batch = 256;
constexpr size_t waiting_routes = 4'096;
constexpr size_t waiting_routes_per_source = 512;
constexpr size_t waiting_bytes_per_source = 512 * 1024;
constexpr size_t held_bytes = 4 * 1024 * 1024;
constexpr size_t held_packets = 65'536;
constexpr size_t rated_sources = 4'096;
constexpr size_t notices = 16'384;
constexpr double notice_interval_ms = 100;
// The same for where packets of an association come from, when that was the last place told of.
constexpr double same_place_interval_ms = 5'000;
constexpr unsigned icmp_errors_per_second = 1'000;
// One UDP datagram over IPv4 (RFC 768, RFC 791).
constexpr size_t datagram_bytes = 65'507;
constexpr size_t control_bytes = 1'232;
// Of CHECK alone.
constexpr size_t check_bytes = 9'000;
constexpr size_t stack_length = 15;
constexpr unsigned hop_limit = 16;
constexpr unsigned copy_budget = 255;
constexpr size_t extension_headers = 8;

// What a peer may take of a lane (docs/datapath.md, "Shares"): src/reference/fair-shares.ts.
constexpr size_t share_peers = 4'096;
constexpr double share_window_ms = 10;
constexpr double share_hold_ms = 100;
constexpr double share_most_hold_ms = 10'000;
constexpr double share_soon_ms = 1'000;
constexpr double share_alone_ms = 1'000;
constexpr uint64_t share_packet_cost = 1'024;
constexpr uint64_t share_cut = 8;
constexpr uint64_t share_growth = 8;
constexpr uint64_t share_least = 4'096;
constexpr uint64_t share_floor_part = 16;
constexpr uint64_t share_most = 1'099'511'627'776;

// Ours: one GSO send. The kernel takes 64 segments and, with its headers, 65,535 bytes.
constexpr size_t gso_segments = 64;
constexpr size_t gso_bytes = 65'000;
// Ours: what one batch may put out, datagrams and packets, and the copies of one more; the control plane waits for a batch.
constexpr uint64_t batch_output = 512;
// Ours: so many hops from id to id take about as long as one datagram out, with its part of the system call.
constexpr uint64_t hops_per_output = 8;

}  // namespace i3::limits
