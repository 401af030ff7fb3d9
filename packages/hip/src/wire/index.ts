/** HIPv2 on the wire: packets, parameters, checksum (docs/wire.md §9). */
export * from "./numbers.js";
export * from "./tlv.js";
export * from "./packet.js";
export * from "./checksum.js";
