// @ts-check
/**
 * Server selection by anycast: servers of one kind join a group, each with a preference, here the place where it is. A client asks the group, and the
 * server whose preference has the longest beginning in common with the client's gets it. When that one leaves, the next nearest does.
 *
 *     node packages/i3-client/examples/nearest-server.mjs                              # a ring, three servers and a client
 *     node packages/i3-client/examples/nearest-server.mjs --servers 127.0.0.1:40001    # the same on a given ring
 */
import { connect, newGroup, toHex } from "@i3/i3-client";

import { readArguments, SERVERS_OPTION } from "./arguments.mjs";
import { openRing } from "./ring.mjs";

/** @typedef {import("@i3/i3-client").Group} Group */

const PLACES = ["eu/berlin", "eu/paris", "us/boston"];
const values = readArguments("Server selection by anycast: a client is served by the nearest of three.", { servers: SERVERS_OPTION });
const ring = await openRing(values.servers);
const group = newGroup();

/** Answers every question with where it is. @param {string} place */
async function serve(place) {
  const i3 = await connect({ servers: ring.servers });
  const work = await i3.join(group, { preference: place });
  work.on("message", ({ payload }) => {
    // i3 names no sender: a question says where its answer goes.
    const { replyTo, number } = JSON.parse(Buffer.from(payload).toString());
    i3.send(replyTo, JSON.stringify({ number, place }));
  });
  return i3;
}

const machines = new Map(await Promise.all(PLACES.map(async (place) => /** @type {const} */ ([place, await serve(place)]))));

const client = await connect({ servers: ring.servers });
const inbox = await client.insert();

let number = 0;
/** Packets may get lost, so it asks again every second, and takes the first answer to this question. @param {string} preference */
async function ask(preference) {
  number += 1;
  const question = () => client.anycast(group, JSON.stringify({ replyTo: toHex(inbox.id), number }), { preference });
  question();
  const again = setInterval(question, 1_000);
  for await (const { payload } of inbox) {
    const answer = JSON.parse(Buffer.from(payload).toString());
    if (answer.number !== number) continue;
    clearInterval(again);
    return answer.place;
  }
}

for (const preference of ["eu/paris", "us/boston", "us/chicago"]) console.log(`a client in ${preference} is served by ${await ask(preference)}`);
await machines.get("eu/paris")?.close();
console.log(`eu/paris is gone: a client there is served by ${await ask("eu/paris")}`);

await Promise.all([client, ...machines.values()].map((i3) => i3.close()));
ring.close();
