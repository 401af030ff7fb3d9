/** What a person in the shell of a topology may have done to its boxes (shell.ts): the words, and the socket by which they come. */
import { once } from "node:events";
import { createServer, createConnection, type Server, type Socket } from "node:net";

import { NetnsError } from "./errors.js";
import { Nat } from "./nat/nat.js";
import { EGRESS } from "./nat/rules.js";
import type { Topology } from "./topology.js";

export const SHELL_COMMANDS = `  box NAT reboot               it forgets all; with "rebootShift":true ports are others then
  box NAT readdress ADDRESS    the same, and another address outside
  box NAT egress ${EGRESS.join("|")}`;

/** Rejects with ERR_I3_NETNS_PLAN for what there is not. */
export async function runCommand(topology: Pick<Topology, "nodes">, [name = "", what = "", argument = "", ...more]: readonly string[]): Promise<void> {
  const nats = topology.nodes.filter((node) => node instanceof Nat);
  const nat = nats.find((node) => node.name === name);
  if (nat === undefined) throw new NetnsError("ERR_I3_NETNS_PLAN", `no NAT "${name}"; there are: ${nats.map((node) => node.name).join(", ") || "none"}`);
  const egress = EGRESS.find((word) => word === argument);
  const isAlone = more.length === 0 && argument === "";
  if (what === "reboot" && isAlone) return nat.reboot();
  if (what === "readdress" && more.length === 0 && argument !== "") return nat.readdress(argument);
  if (what === "egress" && more.length === 0 && egress !== undefined) return nat.setEgress(egress);
  throw new NetnsError("ERR_I3_NETNS_PLAN", `expected one of:\n${SHELL_COMMANDS}`);
}

/** Takes commands, JSON arrays of words, one for a connection; answers with what went wrong, or nothing. */
export function serveCommands(topology: Pick<Topology, "nodes">, path: string): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => socket.destroy());
    void textOf(socket)
      .then((words) => runCommand(topology, JSON.parse(words) as string[]))
      .then(() => "", (error: unknown) => (error instanceof Error ? error.message : String(error)))
      .then((answer) => socket.end(answer));
  });
  return new Promise((resolve, reject) => {
    server.on("error", reject);
    server.listen(path, () => resolve(server));
  });
}

/** What went wrong; empty: it is done. */
export function askForCommand(path: string, words: readonly string[]): Promise<string> {
  const socket = createConnection(path);
  socket.end(JSON.stringify(words));
  return textOf(socket);
}

/** All that comes; unlike node:stream/consumers it leaves the other direction open. */
async function textOf(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => void chunks.push(chunk));
  await once(socket, "end");
  return Buffer.concat(chunks).toString();
}
