// @ts-check
/** How an example ends before it is through: by a signal, or by a fault. Either way it first takes its triggers out of the ring, where they would stay for up to 30 s. */
import { basename } from "node:path";

import { I3Error } from "@i3/i3-client";

const example = basename(process.argv[1] ?? "");
/** @type {import("@i3/i3-client").I3Connection[]} */
const connections = [];
let isEnding = false;

/** Is closed when the example ends before it is through. @param {import("@i3/i3-client").I3Connection} connection */
export function closeAtEnd(connection) {
  connections.push(connection);
  return connection;
}

/** A second signal waits for nothing. @param {number} status */
async function end(status) {
  const open = isEnding ? [] : connections;
  isEnding = true;
  await Promise.all(open.map((connection) => connection.close())); // at most 1 s
  process.exit(status);
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => void end(0));

// What the user or the world did is said with its remedy, and nothing else; a fault of the example keeps its stack.
process.on("uncaughtException", (error) => {
  if (isEnding) return; // who still used a connection
  console.error(`${example}: ${error instanceof I3Error ? `${error.message}. ${error.remedy ?? ""}` : error.stack}`);
  void end(1);
});
