/** Hosts behind one NAT have one address: what one of them, or many, that flood with signatures cost another (docs/wire.md §4.1, 3). Real signatures, virtual time. */
import { encodeControl, makeLocator, publicId, RECORD_KIND, recordKey, type ControlMessage, type Locator } from "@i3/common";
import { generateHostIdentity, signRecord, type TriggerSigner } from "@i3/hip";
import { describe, expect, it } from "vitest";

import { MAX_RATED_LOCATORS } from "../../src/triggers/constants.js";
import { SourceRate } from "../../src/triggers/source-rate.js";
import { CLIENT, idOf, KEY, NONCE, OTHER_KEY, ServerBench, THIEF, WALL_MS } from "../server-bench.js";

const atPort = (port: number): Locator => makeLocator(CLIENT.address, port);
const VICTIM = atPort(40_000);
/** Between what the victim sends: less than its share beside the most that flood here. */
const PAUSE_MS = 100;
const HIT = Uint8Array.from([0x20, 0x01, 0, 0x20, ...new Uint8Array(12).fill(7)]);

interface Outcome {
  readonly sent: number;
  /** Forged ones that the server took. */
  readonly accepted: number;
  readonly checked: number;
  readonly dropped: number;
  readonly tries: number;
  readonly lost: number;
}

/** `forged`: sent in turn, `perMs` each millisecond. `honest`: the victim's, each 100 ms, once. */
function flood(bench: ServerBench, forMs: number, perMs: number, forged: readonly { readonly bytes: Uint8Array; readonly from: Locator }[], honest: (n: number) => ControlMessage | null): Outcome {
  let [sent, tries, lost] = [0, 0, 0];
  const count = (name: "signature" | "rate" | "inserted" | "records-put"): number => bench.core.counters.get(name);
  for (let ms = 0; ms < forMs; ms += 1, bench.advance(1)) {
    for (let n = 0; n < perMs; n += 1) {
      const { bytes, from } = forged[sent % forged.length] as (typeof forged)[number];
      bench.sendBytes(bytes, from);
      sent += 1;
    }
    if (ms % PAUSE_MS !== PAUSE_MS - 1) continue;
    tries += 1;
    const answer = honest(tries);
    if (answer?.type !== "TRIGGER_OK" && answer?.type !== "RECORD_OK") lost += 1;
  }
  return { sent, accepted: count("inserted") + count("records-put") - (tries - lost), checked: count("signature"), dropped: count("rate"), tries, lost };
}

const tell = (what: string, { sent, accepted, checked, dropped, tries, lost }: Outcome): void =>
  void process.stdout.write(`    ${what}: of ${sent} forged ${accepted} got in, ${checked} were checked and ${dropped} not; the victim lost ${lost} of ${tries}\n`);

const open = (): ServerBench => new ServerBench({ limits: { triggers: 10_000, perSource: 1_000 }, records: { records: 1_000, perSource: 1_000 } });

/** With a cookie that is good, and the signature of another key. */
function forgedTrigger(bench: ServerBench, from: Locator): Uint8Array {
  const theirs = bench.trigger({ signer: { kind: "private", key: OTHER_KEY }, id: idOf(OTHER_KEY), from });
  return encodeControl({ ...theirs, signature: theirs.signature.map((byte) => byte ^ 1) }, NONCE);
}

describe("a flood of TRIGGERs with wrong signatures from other ports of the victim's address", () => {
  it.each([1, 10, 50])("of %d ports costs it no insert, and takes no more checks than the address has", (ports) => {
    const bench = open();
    const forged = Array.from({ length: ports }, (_, i) => atPort(1_024 + i)).map((from) => ({ from, bytes: forgedTrigger(bench, from) }));
    const outcome = flood(bench, 2_000, 4, forged, (n) => bench.ask(bench.trigger({ id: idOf(KEY, n), from: VICTIM }), VICTIM));
    tell(`${ports} ports`, outcome);
    expect({ accepted: outcome.accepted, lost: outcome.lost, tries: outcome.tries }).toEqual({ accepted: 0, lost: 0, tries: 20 });
    expect(outcome.checked + outcome.dropped).toBe(outcome.sent);
    // Who floods takes what nobody else wants: the budget is there to be used, and it is all that there is.
    expect(outcome.checked + outcome.tries).toBeLessThanOrEqual(3_000);
    expect(outcome.checked).toBeGreaterThan(1_500);
  });

  it("costs it none of its inserts with P-384 either, which count for ten", () => {
    const bench = open();
    const identity = generateHostIdentity("ecdsa-p384");
    const signer: TriggerSigner = { kind: "host", identity };
    const forged = [1_024, 1_025, 1_026].map(atPort).map((from) => ({ from, bytes: forgedTrigger(bench, from) }));
    const outcome = flood(bench, 2_000, 4, forged, (n) => bench.ask(bench.trigger({ signer, id: new Uint8Array(publicId(identity.hit)), from: VICTIM, counter: n }), VICTIM));
    tell("3 ports, P-384", outcome);
    expect({ accepted: outcome.accepted, lost: outcome.lost, tries: outcome.tries }).toEqual({ accepted: 0, lost: 0, tries: 20 });
  });

  it("of many IPv6 addresses of its /64 costs it none", () => {
    const bench = open();
    const within = (last: number): Locator => makeLocator(Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, last), 5_000);
    const forged = Array.from({ length: 50 }, (_, i) => within(1 + i)).map((from) => ({ from, bytes: forgedTrigger(bench, from) }));
    const outcome = flood(bench, 2_000, 4, forged, (n) => bench.ask(bench.trigger({ id: idOf(KEY, n), from: within(200) }), within(200)));
    tell("50 addresses of a /64", outcome);
    expect({ accepted: outcome.accepted, lost: outcome.lost, tries: outcome.tries }).toEqual({ accepted: 0, lost: 0, tries: 20 });
  });
});

it("a flood of forged records from another port of the victim's address costs it no record", () => {
  const bench = open();
  const recordOf = (label: string): { readonly key: Uint8Array; readonly bytes: Uint8Array } => {
    const record = signRecord(KEY, { kind: RECORD_KIND.name, label, sequence: 1, notAfterS: WALL_MS / 1_000 + 86_400, value: HIT });
    return { key: recordKey(record), bytes: record.bytes };
  };
  const put = (record: Uint8Array, from: Locator): ControlMessage | null => {
    const challenge = bench.answer("CHALLENGE", { type: "RECORD_PUT", flags: 0, cookie: new Uint8Array(24), record }, from);
    return bench.ask({ type: "RECORD_PUT", flags: 0, cookie: challenge.cookie, record }, from);
  };
  const bad = recordOf("bad").bytes.map((byte, i, { length }) => (i === length - 1 ? byte ^ 1 : byte));
  const forger = atPort(1_024);
  const { cookie } = bench.answer("CHALLENGE", { type: "RECORD_PUT", flags: 0, cookie: new Uint8Array(24), record: bad }, forger);
  const outcome = flood(bench, 2_000, 2, [{ from: forger, bytes: encodeControl({ type: "RECORD_PUT", flags: 0, cookie, record: bad }, NONCE) }], (n) => put(recordOf(`box${n}`).bytes, VICTIM));
  tell("records", outcome);
  expect({ accepted: outcome.accepted, lost: outcome.lost, tries: outcome.tries }).toEqual({ accepted: 0, lost: 0, tries: 20 });
});

describe("the budget of a source", () => {
  /** Tokens that were there at one moment. */
  const takenAtOnce = (rate: SourceRate, nowMs: number, from: Locator): number => {
    let taken = 0;
    while (rate.allowLocator(nowMs, from)) taken += 1;
    return taken;
  };

  it("is halved by each locator that takes all it can at once", () => {
    const rate = new SourceRate(1_000);
    expect([1, 2, 3, 4].map((port) => takenAtOnce(rate, 0, atPort(port)))).toEqual([500, 250, 125, 63]);
    expect(takenAtOnce(rate, 0, THIEF)).toBe(500);
  });

  it("is wholly a locator's own that is alone, when it goes on", () => {
    const rate = new SourceRate(1_000);
    let taken = 0;
    for (let ms = 0; ms < 10_000; ms += 1) taken += takenAtOnce(rate, ms, VICTIM);
    expect(taken).toBeGreaterThan(9_900);
    expect(takenAtOnce(rate, 10_000, atPort(1))).toBeGreaterThan(450);
  });

  it("remembers so many locators; one that is forgotten has no more tokens than its source", () => {
    const rate = new SourceRate(10);
    expect([takenAtOnce(rate, 0, VICTIM), takenAtOnce(rate, 0, VICTIM)]).toEqual([5, 0]);
    for (let n = 0; n < MAX_RATED_LOCATORS; n += 1) rate.allowLocator(0, makeLocator(Uint8Array.of(10, n >> 16, n >> 8, n), 5_000));
    // Its source is forgotten by as many others, too.
    expect(takenAtOnce(rate, 0, VICTIM)).toBe(5);
    for (let port = 1; port < 100; port += 1) takenAtOnce(rate, 0, atPort(port));
    expect(takenAtOnce(rate, 0, VICTIM)).toBe(0);
  });
});
