/** The engine on its ports: the native one, or the reference one driven over node:dgram. */
export * from "./conntrack.js";
export * from "./dgram-port.js";
export * from "./engine-driver.js";
export * from "./marked-tcp.js";
export * from "./nflog.js";
export * from "./open-engine.js";
export type { TunOptions, UdpPortOptions } from "./port-errors.js";
export type { PortDrops, UdpPort } from "./ports.js";
