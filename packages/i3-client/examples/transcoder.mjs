// @ts-check
/**
 * A composed service (i3 paper, "service composition"): a transcoder on the path turns speech of 16-bit samples into G.711 µ-law, half as long. Who sends can put
 * it on the path, and so can who receives; the other need not know.
 *
 *     node packages/i3-client/examples/transcoder.mjs                              # a ring, a transcoder, a receiver and a sender
 *     node packages/i3-client/examples/transcoder.mjs --servers 127.0.0.1:40001    # the same on a given ring
 */
import { connect } from "@i3/i3-client";

import { readArguments, SERVERS_OPTION } from "./arguments.mjs";
import { closeAtEnd } from "./ending.mjs";
import { answerTo } from "./questions.mjs";
import { openRing } from "./ring.mjs";

const values = readArguments("A composed service: a transcoder on the path from a sender to a receiver.", { servers: SERVERS_OPTION });
const ring = await openRing(values.servers);
const open = async () => closeAtEnd(await connect({ servers: ring.servers }));

// The transcoder: takes what comes for its id, and sends what it has made of it to the next id of the message's stack.
const transcoder = await open();
const service = await transcoder.insert();
service.on("message", (message) => {
  if (message.stack.length > 0) transcoder.forward(message, toMuLaw(message.payload));
});

const receiver = await open();
const sender = await open();
const speech = sineWave(160); // 20 ms at 8,000 samples a second

// 1. The sender's stack: first to the transcoder, from there to the receiver.
const plain = await receiver.insert();
console.log(`sent by the sender's stack: ${await sendAlong([service.id, plain.id], plain)}`);

// 2. The receiver's stack: everything for this id passes the transcoder first, which has to consent. The sender knows nothing of it.
const id = receiver.id();
const tomorrow = new Date(Date.now() + 86_400_000);
const behind = await receiver.insert(id, { via: [transcoder.consent(service.id, id, tomorrow)] });
console.log(`sent to one id, by the receiver's stack: ${await sendAlong([behind.id], behind)}`);

await Promise.all([transcoder, receiver, sender].map((i3) => i3.close()));
ring.close();

/** @param {Uint8Array[]} ids @param {import("@i3/i3-client").Trigger} inbox */
function sendAlong(ids, inbox) {
  return answerTo(sender, () => sender.send(ids, speech), inbox, ({ payload }) => `${speech.length} bytes went out, ${payload.length} arrived`);
}

/** 16-bit samples, little-endian, to ITU-T G.711 µ-law, one byte each. @param {Uint8Array} pcm */
function toMuLaw(pcm) {
  const samples = new DataView(pcm.buffer, pcm.byteOffset, pcm.length);
  return Uint8Array.from({ length: pcm.length >> 1 }, (_, i) => {
    const sample = samples.getInt16(2 * i, true);
    const size = Math.min(Math.abs(sample), 32_635) + 132;
    const exponent = 24 - Math.clz32(size); // of the highest bit, from 0 (bit 7) to 7 (bit 14)
    return ~((sample < 0 ? 0x80 : 0) | (exponent << 4) | ((size >> (exponent + 3)) & 0x0f)) & 0xff;
  });
}

/** 440 Hz. @param {number} samples */
function sineWave(samples) {
  const out = new Uint8Array(2 * samples);
  const view = new DataView(out.buffer);
  for (let i = 0; i < samples; i += 1) view.setInt16(2 * i, Math.round(20_000 * Math.sin((2 * Math.PI * 440 * i) / 8_000)), true);
  return out;
}
