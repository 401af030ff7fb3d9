// @ts-check
/**
 * Chat by multicast: everybody joins one group, and every line goes to the group's id. Any server may die: its triggers go to the others by themselves.
 *
 *     node packages/i3-client/examples/chat.mjs --name anna        # starts a ring and a group, and says how others join
 *     node packages/i3-client/examples/chat.mjs --name bert --servers 127.0.0.1:40001,127.0.0.1:40002 --group SECRET
 *
 * Who knows the group's secret is in the chat; the lines themselves are not encrypted.
 */
import { randomUUID } from "node:crypto";
import { createInterface } from "node:readline";

import { connect, Group, newGroup, toHex } from "@i3/i3-client";

import { readArguments, SERVERS_OPTION } from "./arguments.mjs";
import { closeAtEnd } from "./ending.mjs";
import { whyNotSent } from "./questions.mjs";
import { openRing } from "./ring.mjs";

const values = readArguments("Chat by multicast: what one types, all others read.", { name: "yours, as others read it; somebody unless given", servers: SERVERS_OPTION, group: "the secret of the group to join, 64 hex digits; without it a new group" });
const { name = "somebody" } = values;
const group = values.group === undefined ? newGroup() : Group.fromSecret(values.group);
const ring = await openRing(values.servers);

const i3 = closeAtEnd(await connect({ servers: ring.servers }));
/** @param {string | null} server */
const tellServer = (server) => console.log(server === null ? "* no server answers" : `* by the server ${server}`);
i3.on("server", tellServer);
tellServer(i3.server());
i3.on("moved", () => console.log("* this machine has another address"));
const room = await i3.join(group);
room.on("lost", () => console.log("* our server is gone; moving to another"));
room.on("live", () => console.log("* back"));

/** Of this run: names need not differ. */
const run = randomUUID();
/** The number of the last line of each run: packets may get lost while a server is replaced. @type {Map<string, number>} */
const last = new Map();
room.on("message", ({ payload }) => {
  const line = readLine(payload);
  if (line === undefined || line.run === run) return; // our own come back to us too
  const missed = line.number - (last.get(line.run) ?? line.number - 1) - 1;
  if (last.size >= 1_000) last.clear(); // runs cost their sender nothing
  last.set(line.run, line.number);
  console.log(`${line.from}: ${line.text}${missed > 0 ? `   (${missed} before this got lost)` : ""}`);
});

/** What a terminal would obey is not for others to say. @param {string} text */
const printable = (text) => text.replace(/\p{Cc}/gu, "?");

/** Anybody in the group may send anything. @param {Uint8Array} payload @returns {{ run: string, from: string, number: number, text: string } | undefined} */
function readLine(payload) {
  try {
    const { run, from, number, text } = JSON.parse(Buffer.from(payload).toString());
    return typeof run === "string" && typeof from === "string" && typeof text === "string" && Number.isSafeInteger(number) ? { run, from: printable(from), number, text: printable(text) } : undefined;
  } catch {
    return undefined;
  }
}

console.log(`you are ${name}; type a line. Others join with:
    node ${process.argv[1]} --name NAME --servers ${ring.servers.join(",")} --group ${toHex(group.secret())}`);
let number = 0;
for await (const text of createInterface({ input: process.stdin })) {
  number += 1;
  try {
    if (!i3.send(group.id, JSON.stringify({ run, from: name, number, text }))) console.log(`* not sent: ${whyNotSent(i3)}`);
  } catch (error) {
    console.log(`* not sent: ${error instanceof Error ? error.message : error}`); // too long for one packet
  }
}
await i3.close();
ring.close();
