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
import { closeAtEnd } from "./ending.mjs";
import { answerTo, readAnswer, readQuestion } from "./questions.mjs";
import { openRing } from "./ring.mjs";

const PLACES = ["eu/berlin", "eu/paris", "us/boston"];
const values = readArguments("Server selection by anycast: a client is served by the nearest of three.", { servers: SERVERS_OPTION });
const ring = await openRing(values.servers);
const group = newGroup();

/** Answers every question with where it is. @param {string} place */
async function serve(place) {
  const i3 = closeAtEnd(await connect({ servers: ring.servers }));
  const work = await i3.join(group, { preference: place });
  work.on("message", ({ payload }) => {
    // i3 names no sender: a question says where its answer goes.
    const question = readQuestion(payload);
    if (question !== undefined) i3.send(question.replyTo, JSON.stringify({ number: question.number, place }));
  });
  return i3;
}

const machines = new Map(await Promise.all(PLACES.map(async (place) => /** @type {const} */ ([place, await serve(place)]))));

const client = closeAtEnd(await connect({ servers: ring.servers }));
const inbox = await client.insert();

let number = 0;
/** Takes the first answer to this question. @param {string} preference @returns {Promise<string>} */
function ask(preference) {
  number += 1;
  const question = JSON.stringify({ replyTo: toHex(inbox.id), number });
  return answerTo(client, () => client.anycast(group, question, { preference }), inbox, ({ payload }) => {
    const answer = readAnswer(payload);
    return answer?.number === number && PLACES.includes(answer.place) ? answer.place : undefined;
  });
}

for (const preference of ["eu/paris", "us/boston", "us/chicago"]) console.log(`a client in ${preference} is served by ${await ask(preference)}`);
await machines.get("eu/paris")?.close();
console.log(`eu/paris is gone: a client there is served by ${await ask("eu/paris")}`);

await Promise.all([client, ...machines.values()].map((i3) => i3.close()));
ring.close();
