/** The parts of the gateway from the overlay to plain hosts that are built: what its DNS server says (docs/gateways.md). The daemon is not. */
export * from "./dns/gateway-dns.js";
export * from "./dns/reach.js";
export * from "./dns/virtual-option.js";
export * from "./leases/server-leases.js";
