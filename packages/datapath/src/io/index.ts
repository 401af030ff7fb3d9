/** The engine on its ports: the native one, or the reference one driven over node:dgram. */
export * from "./dgram-port.js";
export * from "./engine-driver.js";
export * from "./marked-tcp.js";
export { MAX_MTU_BYTES, MIN_MTU_BYTES, openTunPort, openUdpPort, UDP_SLOT_BYTES, type TunOptions, type UdpPortOptions } from "./native-ports.js";
export * from "./open-engine.js";
export type { Port, PortDrops, TunPort, UdpPort } from "./ports.js";
