/** Servers behind gateways on disk: `gateway-servers` in the state directory, mode 0600. What it holds: gateways/server-text.ts. */
import { join } from "node:path";

import type { Log } from "@i3/common";

import type { ServerAddress } from "../gateways/server-addresses.js";
import { serversFromText, serversToText, type KnownServer } from "../gateways/server-text.js";
import { LaterFile } from "./later-file.js";
import { readStateFile } from "./state-file.js";

export const serverFileOf = (stateDirectory: string): string => join(stateDirectory, "gateway-servers");

/** A missing file is none. Throws I3Error ERR_I3_STATE. */
export function readServers(file: string): readonly KnownServer[] {
  const text = readStateFile(file, "the servers behind gateways");
  return text === null ? [] : serversFromText(text, file);
}

export class ServerFile extends LaterFile {
  /** @param servers what is to be written, when it is */
  constructor(file: string, log: Log, servers: () => Iterable<ServerAddress>) {
    super({
      file, log, text: () => serversToText(servers()),
      failure: { event: "gateway-servers-failed", remedy: "Is the disk full? Until it can be written, connections to servers behind gateways do not outlive a restart; it is tried again with each change." },
    });
  }
}
