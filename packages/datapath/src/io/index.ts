/** The engine's I/O: a driver over the native addon or over node:dgram. */
export * from "./dgram-port.js";
export * from "./engine-driver.js";
export * from "./marked-tcp.js";
export { MAX_MTU_BYTES, MIN_MTU_BYTES, openTunPort, openUdpPort, UDP_SLOT_BYTES, type TunOptions, type UdpPortOptions } from "./native-ports.js";
export type { Port, PortDrops, TunPort, UdpPort } from "./ports.js";
