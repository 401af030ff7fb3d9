/** Elements that more than one format has. */
import { element, required, withDefault } from "./schema.js";
import { FILE, HOST, IP_ADDRESS, LISTEN_ADDRESS, PORT, someOf, wholeNumber, word } from "./value-types.js";
import type { ConfigHost, IpHost } from "./value-types.js";

/** UDP port of servers and hosts (docs/wire.md). */
export const I3_PORT = 5610;
export const MAX_CONFIG_BYTES = 1_048_576;

/** Where a server is: a host and a UDP port. */
export interface Endpoint {
  readonly host: ConfigHost;
  readonly port: number;
}

/** An address literal and a port. */
export interface IpEndpoint {
  readonly host: IpHost;
  readonly port: number;
}

export interface LogConfig {
  readonly level: "info" | "debug" | "warn" | "error";
  readonly format: "json" | "text";
}

/** What the packet engine's ports may do without asking the kernel for each packet, as the log names it. */
export const OFFLOAD_NAMES = ["tunChecksum", "tunTcp4", "tunTcp6", "tunUdp", "udpSegment", "udpReceive", "trafficClass"] as const;
export type OffloadName = (typeof OFFLOAD_NAMES)[number];

/** The native packet engine's. */
export interface EngineConfig {
  /** Threads, 1–16. */
  readonly workers: number;
  /** Offloads that stay off, to find out whether one of them is at fault. */
  readonly without: readonly OffloadName[];
}

const MAX_WORKERS = 16;
const DEFAULT_LISTEN: IpHost = Object.freeze({ kind: "ipv6", text: "::", bytes: new Uint8Array(16) });

export const ENDPOINT = element(
  { address: required(HOST), port: withDefault(PORT, I3_PORT) },
  {},
  ({ address, port }): Endpoint => ({ host: address, port }),
);

/** @param defaultPort what a missing port means */
export const ipEndpoint = (defaultPort: number) =>
  element(
    { address: required(IP_ADDRESS), port: withDefault(PORT, defaultPort) },
    {},
    ({ address, port }): IpEndpoint => ({ host: address, port }),
  );

export const LISTEN = element(
  { address: withDefault(LISTEN_ADDRESS, DEFAULT_LISTEN), port: withDefault(PORT, I3_PORT) },
  {},
  ({ address, port }): IpEndpoint => ({ host: address, port }),
);

/** Algorithms of host keys (docs/wire.md §2). */
export const HOST_KEY_ALGORITHM_NAMES = ["ecdsa-p256", "ecdsa-p384", "rsa"] as const;

export interface IdentityConfig {
  readonly keyFile: string;
  /** Of the key in the file, or of the one that is made when there is none. */
  readonly algorithm: (typeof HOST_KEY_ALGORITHM_NAMES)[number];
}

export const IDENTITY = element({ "key-file": required(FILE), algorithm: withDefault(word(HOST_KEY_ALGORITHM_NAMES), "ecdsa-p256") });

export const LOG = element({
  level: withDefault(word(["info", "debug", "warn", "error"]), "info"),
  format: withDefault(word(["json", "text"]), "json"),
});

const NO_OFFLOADS: readonly OffloadName[] = Object.freeze([]);

export const ENGINE_ATTRIBUTES = {
  workers: withDefault(wholeNumber(1, MAX_WORKERS), 1),
  without: withDefault(someOf(OFFLOAD_NAMES), NO_OFFLOADS),
};
