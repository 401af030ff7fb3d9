/** What floods from made-up sources leave of the control of those who are there: the reference's limits alone, in virtual time. */
import { expect, it } from "vitest";
import { CounterSet } from "../../src/reference/counters.js";
import { KnownSources } from "../../src/reference/known-sources.js";
import { Upcalls } from "../../src/reference/upcalls.js";

const END_MS = 8_000;
const FROM_MS = 3_000;
/** Made-up addresses that come again and again, so that all buckets of sources are in use; the others come once. */
const KEPT = 4_096;
const CLIENTS = 100;
/** Of all clients together: each refreshes a trigger every 5 s, and has 25. */
const REFRESHES_PER_SECOND = 500;

/** An IPv4 address in 2^24. */
function endpoint(net: number, host: number): Buffer {
  const bytes = Buffer.alloc(18);
  bytes.writeUInt16BE(0xffff, 10);
  bytes.writeUInt32BE(((net << 24) | (host & 0xffffff)) >>> 0, 12);
  return bytes;
}

it.each([10_000, 50_000, 200_000])("%i datagrams a second from made-up sources let the refreshes of clients reach the engine's answers", (perSecond) => {
  const upcalls = new Upcalls(new CounterSet(), new KnownSources());
  const isAnswered = (net: number, host: number, nowMs: number): boolean => {
    let answered = false;
    upcalls.allowSource("control", nowMs, endpoint(net, host), 0, () => (answered = true));
    return answered;
  };
  const every = perSecond / REFRESHES_PER_SECOND;
  let [through, sent] = [0, 0];
  for (let i = 0; i < (perSecond * END_MS) / 1_000; i += 1) {
    const nowMs = (i * 1_000) / perSecond;
    if (i % 2 === 0) isAnswered(10, (i / 2) % KEPT, nowMs);
    else isAnswered(11, i, nowMs);
    if (nowMs < FROM_MS || i % every !== 0) continue;
    sent += 1;
    if (isAnswered(192, sent % CLIENTS, nowMs)) through += 1;
  }
  process.stdout.write(`    beside ${perSecond} a second ${through} of ${sent} refreshes of ${CLIENTS} clients got through\n`);
  expect(sent).toBe((REFRESHES_PER_SECOND * (END_MS - FROM_MS)) / 1_000);
  expect(through).toBe(sent);
});
