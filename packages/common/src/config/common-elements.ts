/** Elements that more than one format has. */
import { element, required, withDefault } from "./schema.js";
import { FILE, HOST, IP_ADDRESS, LISTEN_ADDRESS, PORT, word } from "./value-types.js";
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

export const IDENTITY = element({ "key-file": required(FILE) });

export const LOG = element({
  level: withDefault(word(["info", "debug", "warn", "error"]), "info"),
  format: withDefault(word(["json", "text"]), "json"),
});
