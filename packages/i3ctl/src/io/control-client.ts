/** Asks a daemon at its control socket (docs/control.md). */
import { request } from "node:http";

import { I3Error } from "@i3/common/command-line";

export const DEFAULT_SOCKET = "/run/i3-proxy/control.sock";

// Ours:
const PATIENCE_MS = 5_000;
/** 65,536 peers have less. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

const REMEDIES: Readonly<Record<string, string>> = {
  ENOENT: "No daemon runs whose configuration has a <control> with this socket. --socket FILE names another one.",
  ECONNREFUSED: "The daemon that made it has ended. Start it again.",
  EACCES: "It may be asked by root and by the group of that file.",
};

/** What it says at `path`, as JSON. Rejects with I3Error ERR_I3_CONTROL. */
export async function askControl(socket: string, path: string): Promise<unknown> {
  const answer = await new Promise<string>((resolve, reject) => {
    const fail = (cause: unknown): void => {
      const remedy = REMEDIES[(cause as { readonly code?: string }).code ?? ""];
      reject(new I3Error("ERR_I3_CONTROL", `no answer at ${socket}`, { cause, ...(remedy === undefined ? {} : { remedy }) }));
    };
    const asked = request({ socketPath: socket, path, agent: false, signal: AbortSignal.timeout(PATIENCE_MS) }, (response) => {
      const parts: Buffer[] = [];
      let bytes = 0;
      response.on("data", (part: Buffer) => {
        bytes += part.length;
        parts.push(part);
        if (bytes > MAX_ANSWER_BYTES) asked.destroy(new Error("an answer without end"));
      });
      response.on("end", () => (response.statusCode === 200 ? resolve(Buffer.concat(parts).toString("utf8")) : fail(new Error(`it says ${response.statusCode ?? 0} to ${path}; is it older than i3ctl?`))));
      response.on("error", fail);
    });
    asked.on("error", fail);
    asked.end();
  });
  try {
    return JSON.parse(answer) as unknown;
  } catch (cause) {
    throw new I3Error("ERR_I3_CONTROL", `the answer at ${socket} is no JSON`, { cause });
  }
}
