/** The gateway's parts, for tests and benches: what its DNS server says, and to whom. The daemon is main.ts. */
export * from "./dns/gateway-dns.js";
export * from "./dns/reach.js";
export * from "./dns/server-address.js";
export * from "./dns/virtual-option.js";
