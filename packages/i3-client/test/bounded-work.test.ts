/**
 * What a server can make a client do, whatever it answers and however often: so many signatures and datagrams a second, and a trigger that is not acknowledged is
 * told as lost (docs/wire.md §5, "Bounds of a client"). Beside it, that honest servers on bad paths are served as fast as ever.
 */
import { decodeControl, makeLocator, privateId, RECORD_KIND, recordKey, ringKey, type ControlMessage, type Locator } from "@i3/common";
import { classifyDatagram, decodeDataHeader } from "@i3/datapath";
import { generateTriggerKey, signRecord, signShortcut, type TriggerSigner } from "@i3/hip";
import { describe, expect, it } from "vitest";

import { Shortcuts } from "../src/shortcuts.js";
import { CLIENT, countingBytes, FakeRing, filled, WALL_START_MS, type FakeServer } from "./fake-ring.js";

const key = generateTriggerKey();
const ID = privateId(key.prefix, filled(16, 1));
const SIGNER: TriggerSigner = { kind: "private", key };

/** Inserted at the last of three servers, a round trip of 2 ms away. */
function inserted(): { readonly ring: FakeRing; readonly bad: FakeServer } {
  const ring = new FakeRing(3);
  ring.client.insertTrigger(0, ID, SIGNER);
  ring.until(() => ring.live(ID), 1_000);
  const bad = ring.server(3);
  bad.delayMs = 1;
  return { ring, bad };
}

/** Nobody is there. */
const stranger = (n: number): Locator => makeLocator(Uint8Array.of(203, 0, (n >> 8) & 255, n & 255), 5610 + (n >> 16));
const signed = (ring: FakeRing): number => ring.servers.reduce((sum, server) => sum + server.count("TRIGGER"), 0);

const told = (ring: FakeRing): string[] => ring.kinds().filter((kind) => kind !== "first-hop");

describe("a client whose server", () => {
  it("answers each TRIGGER with a CHALLENGE signs four times a second at most, and tells when the trigger's life is over", () => {
    const { ring, bad } = inserted();
    bad.script = (message) => (message.type === "TRIGGER" || message.type === "REFRESH" ? bad.challenge(ringKey(message.id)) : undefined);
    ring.run(31_000);
    expect(told(ring)).toEqual(["trigger-live", "trigger-replaced", "trigger-lost"]);
    expect(signed(ring)).toBeGreaterThan(5);
    expect(signed(ring)).toBeLessThan(31 * 4);
    bad.script = () => undefined;
    ring.until(() => ring.live(ID), 1_500);
  });

  it.each([0, 1, 100])("acknowledges with a life of %i ms signs and says REFRESH twice a second at most", (lifeMs) => {
    const { ring, bad } = inserted();
    const before = ring.sent;
    bad.script = (message) => (message.type === "TRIGGER" || message.type === "REFRESH" ? { type: "TRIGGER_OK", action: 1, id: ID, lifeMs, replica: null } : undefined);
    ring.run(60_000);
    expect(signed(ring)).toBeLessThanOrEqual(60 * 2);
    expect(ring.sent - before).toBeLessThan(60 * 20);
    expect(told(ring).length).toBeLessThan(60 * 5);
    expect(told(ring)).toContain("trigger-lost");
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 255])("refuses everything with code %i is not asked more than twice a second, and the trigger is told as lost", (code) => {
    const { ring, bad } = inserted();
    const before = signed(ring);
    bad.script = (message) => (message.type === "TRIGGER" || message.type === "REFRESH" ? { type: "REFUSED", code, subject: ID } : undefined);
    ring.run(41_000);
    expect(told(ring)).toContain("trigger-lost");
    expect(signed(ring) - before).toBeLessThan(41);
  });

  it.each([1, 2, 4, 8])("acknowledges and refuses with code %i in turn makes it sign four times a second at most", (code) => {
    const { ring, bad } = inserted();
    let n = 0;
    bad.script = (message) => {
      if (message.type !== "TRIGGER" && message.type !== "REFRESH") return undefined;
      return (n += 1) % 2 === 0 ? { type: "REFUSED", code, subject: ID } : { type: "TRIGGER_OK", action: 1, id: ID, lifeMs: 1, replica: null };
    };
    ring.run(60_000);
    expect(signed(ring)).toBeLessThanOrEqual(60 * 4);
  });

  it("has another node key in each CHALLENGE, and never acknowledges, makes it sign four times a second at most", () => {
    const { ring, bad } = inserted();
    let n = 0;
    const challenge = (key: Uint8Array): ControlMessage => ({ type: "CHALLENGE", ringKey: key, cookie: filled(24, n), observed: CLIENT, timeMs: n, nodeKey: filled(16, (n += 1)) });
    bad.script = (message) => (message.type === "CHALLENGE_REQUEST" ? challenge(message.ringKey) : message.type === "TRIGGER" || message.type === "REFRESH" ? challenge(ringKey(message.id)) : undefined);
    ring.run(31_000);
    expect(signed(ring)).toBeLessThan(31 * 4);
    expect(told(ring)).toContain("trigger-lost");
  });

  it("names another replica each time is asked there as often as it acknowledges", () => {
    const { ring, bad } = inserted();
    const before = ring.sent;
    let n = 0;
    bad.script = (message) => (message.type === "TRIGGER" || message.type === "REFRESH" ? { type: "TRIGGER_OK", action: 1, id: ID, lifeMs: 1, replica: stranger((n += 1)) } : undefined);
    ring.run(60_000);
    expect(n).toBeLessThanOrEqual(60 * 2);
    expect(ring.sent - before).toBeLessThan(60 * 25);
  });

  it("names a made-up server each time makes it send 70 datagrams a second at most, to all of them together", () => {
    const { ring } = inserted();
    let n = 0;
    for (const server of ring.servers) server.script = (message) => (message.type === "LOCATE" ? { type: "LOCATED", ringKey: message.ringKey, node: { key: filled(16, 9), locator: stranger((n += 1)) } } : message.type === "REFRESH" ? { type: "REFUSED", code: 1, subject: ID } : undefined);
    ring.run(600_000);
    const before = ring.sent;
    ring.run(60_000);
    expect(n).toBeGreaterThan(200);
    expect(ring.sent - before).toBeLessThan(60 * 70);
    expect(told(ring)).toContain("trigger-lost");
  });

  it("answers PING a thousand times takes one answer", () => {
    const { ring } = inserted();
    let last: Uint8Array | null = null;
    ring.overhears = (message, nonce) => void (message.type === "PING" && (last = nonce));
    ring.run(2_000);
    const [sent, unexpected] = [ring.sent, ring.client.counters.unexpected];
    for (let i = 0; i < 1_000; i += 1) for (const { locator } of ring.servers) ring.inject(locator, { type: "PONG", timeMs: i * 1e12, observed: CLIENT, nodeKey: filled(16, 1) }, last ?? filled(8, 0));
    expect(ring.client.counters.unexpected - unexpected).toBeGreaterThanOrEqual(2_999);
    expect(ring.sent).toBe(sent);
  });

  it("contradicts itself about a place a thousand times is heard three times for each question", () => {
    const { ring } = inserted();
    let nonce: Uint8Array | null = null;
    for (const server of [ring.server(1), ring.server(2)]) server.script = (message) => (message.type === "LOCATE" ? null : undefined);
    ring.overhears = (message, asked) => void (message.type === "LOCATE" && (nonce = asked));
    ring.until(() => nonce !== null, 40_000);
    const before = ring.sent;
    for (let i = 0; i < 1_000; i += 1) {
      for (const { locator } of [ring.server(1), ring.server(2)]) ring.inject(locator, { type: "LOCATED", ringKey: ringKey(ID), node: { key: filled(16, i), locator: stranger(i % 2) } }, nonce ?? filled(8, 0));
      ring.run(1);
    }
    expect(ring.sent - before).toBeLessThan(60);
    for (const server of ring.servers) server.script = () => undefined;
    ring.until(() => ring.live(ID) && ring.server(3).has(ID), 40_000);
  });
});

const PATH = Uint8Array.from([...filled(16, 0xa0), ...filled(16, 1)]);

/** Its packets go by the first hop, the first of three servers, a round trip of 2 ms away. */
function pathOpen(): { readonly ring: FakeRing; readonly nonce: () => Uint8Array; readonly told: (kind: string) => number } {
  const ring = new FakeRing(3);
  ring.server(1).delayMs = 1;
  ring.run(1_000);
  ring.client.openPath(PATH);
  return { ring, nonce: () => ring.client.pathHeader(PATH, 1).slice(8, 16), told: (kind) => ring.kinds().filter((each) => each === kind).length };
}

describe("a client that is told by its first hop, each millisecond,", () => {
  it("CACHE of another made-up server sends 10 datagrams a second more at most, and goes where a witness says", () => {
    const { ring, nonce } = pathOpen();
    for (const server of ring.servers) server.script = (message) => (message.type === "LOCATE" ? null : undefined);
    const before = ring.sent;
    for (let i = 0; i < 10_000; i += 1) {
      ring.inject(ring.server(1).locator, { type: "CACHE", ringKey: ringKey(PATH), node: { key: filled(16, 9), locator: stranger(i) }, lifeMs: 30_000 }, nonce());
      ring.run(1);
    }
    expect(ring.sent - before).toBeLessThan(10 * 20);
    for (const server of ring.servers) server.script = () => undefined;
    ring.inject(ring.server(1).locator, { type: "CACHE", ringKey: ringKey(PATH), node: { key: filled(16, 9), locator: ring.server(3).locator }, lifeMs: 30_000 }, nonce());
    ring.run(1_100);
    ring.inject(ring.server(1).locator, { type: "CACHE", ringKey: ringKey(PATH), node: { key: filled(16, 9), locator: ring.server(3).locator }, lifeMs: 30_000 }, nonce());
    ring.run(100);
    expect(ring.client.serverOfPath(PATH)).toEqual(ring.server(3).locator);
  });

  it("NOT_PRESENT tells its program so ten times a second at most", () => {
    const { ring, nonce, told: count } = pathOpen();
    for (let i = 0; i < 10_000; i += 1) {
      ring.inject(ring.server(1).locator, { type: "NOT_PRESENT", id: PATH }, nonce());
      ring.run(1);
    }
    expect(count("not-present")).toBeGreaterThan(90);
    expect(count("not-present")).toBeLessThanOrEqual(100);
    expect(ring.client.counters.unexpected).toBeGreaterThanOrEqual(9_900);
  });

  it("CACHE and NOT_PRESENT in turn changes the path twice a second at most", () => {
    const { ring, nonce, told: count } = pathOpen();
    for (let i = 0; i < 5_000; i += 1) {
      ring.inject(ring.server(1).locator, { type: "CACHE", ringKey: ringKey(PATH), node: { key: filled(16, 1), locator: ring.server((i % 3) + 1).locator }, lifeMs: 30_000 }, nonce());
      ring.run(1);
      ring.inject(ring.server(1).locator, { type: "NOT_PRESENT", id: PATH }, nonce());
      ring.run(1);
    }
    expect(count("path-changed")).toBeGreaterThanOrEqual(10);
    expect(count("path-changed")).toBeLessThanOrEqual(10 * 2 + 2);
  });
});

describe("a client whose record is", () => {
  const record = signRecord(key, { kind: RECORD_KIND.name, label: "box", sequence: 1, notAfterS: WALL_START_MS / 1_000 + 86_400, value: Uint8Array.from([0x20, 0x01, 0, 0x20, ...filled(12, 1)]) });

  it.each(["challenged for ever", "refused with code 1"])("%s puts it 70 times in the first minute at most, and then every few seconds", (how) => {
    const ring = new FakeRing(2);
    const bad = ring.server(2);
    bad.delayMs = 1;
    bad.script = (message) => (message.type !== "RECORD_PUT" ? undefined : how === "refused with code 1" ? { type: "REFUSED", code: 1, subject: recordKey(record) } : bad.challenge(recordKey(record)));
    ring.run(100);
    ring.client.keepRecord(ring.nowMs, record.bytes);
    ring.run(60_000);
    const first = bad.count("RECORD_PUT");
    expect(first).toBeGreaterThan(5);
    expect(first).toBeLessThanOrEqual(70);
    ring.run(60_000);
    expect(bad.count("RECORD_PUT") - first).toBeLessThanOrEqual(30);
  });
});

describe("a sender that checks a shortcut", () => {
  /** Having been told the address. */
  function checking(): { readonly shortcuts: Shortcuts; readonly target: Locator; readonly nonce: Uint8Array } {
    const [server, target] = [makeLocator(Uint8Array.of(192, 0, 2, 1), 5610), stranger(1)];
    const sent: Uint8Array[] = [];
    const shortcuts = new Shortcuts(
      { randomBytes: countingBytes(), wallMs: () => WALL_START_MS, datapath: { send: (datagrams) => void sent.push(...datagrams.map(({ bytes }) => bytes.slice())), setKnownSource: () => undefined, setNextServer: () => undefined, setDefaultServer: () => undefined, setUplink: () => undefined } },
      { emit: () => undefined, firstHop: () => server, serverOf: () => null, named: () => undefined, onFailed: () => undefined },
    );
    shortcuts.allow(ID, true);
    shortcuts.handleTimer(0);
    const question = sent.find((bytes) => classifyDatagram(bytes[0] ?? 0, bytes.length) === "data") as Uint8Array;
    shortcuts.handle(0, server, decodeDataHeader(question).header.nonce, { type: "SHORTCUT", id: ID, target });
    return { shortcuts, target, nonce: decodeControl(sent.at(-1) as Uint8Array).nonce };
  }

  it.each([[3, true], [4, false]] as const)("looks at a right PROOF behind %i wrong ones: %s", (wrong, isTaken) => {
    const { shortcuts, target, nonce } = checking();
    const proof = (of: Locator) => signShortcut(SIGNER, { id: ID, nonce, target: of, token: filled(16, 5) });
    for (let i = 0; i < wrong; i += 1) shortcuts.handle(1, target, nonce, proof(stranger(2)));
    expect(shortcuts.handle(2, target, nonce, proof(target))).toBe(isTaken);
    expect(shortcuts.targetOf(ID)).toEqual(isTaken ? target : null);
  });
});

describe("a trigger is inserted as fast as ever", () => {
  const twice = (ring: FakeRing): void => {
    const handle = ring.client.handleControl.bind(ring.client);
    ring.client.handleControl = (nowMs, from, bytes) => {
      handle(nowMs, from, bytes);
      handle(nowMs, from, bytes.slice());
    };
  };

  it("where each datagram arrives twice: with one signature, and after as many round trips", () => {
    const ring = new FakeRing(2);
    twice(ring);
    ring.client.insertTrigger(0, ID, SIGNER);
    ring.until(() => ring.live(ID), 80);
    ring.run(60_000);
    expect(signed(ring)).toBe(1);
    expect(ring.kinds()).toEqual(["first-hop", "trigger-live"]);
  });

  it.each(["TRIGGER", "TRIGGER_OK"] as const)("when the first %s is lost: 0.5 s and two round trips later", (lost) => {
    const ring = new FakeRing(2);
    let left = 1;
    const server = ring.server(2);
    server.script = (message) => {
      if (message.type !== "TRIGGER" || left === 0) return undefined;
      left -= 1;
      if (lost === "TRIGGER") return null;
      server.script = () => undefined;
      server.answer(message, server.locator);
      return null;
    };
    ring.client.insertTrigger(0, ID, SIGNER);
    ring.until(() => ring.live(ID), 600);
    expect(signed(ring)).toBe(lost === "TRIGGER" ? 2 : 3);
  });

  it("when the address changes while two CHALLENGEs are under way", () => {
    const ring = new FakeRing(2);
    ring.client.insertTrigger(0, ID, SIGNER);
    ring.until(() => ring.live(ID), 80);
    const server = ring.server(2);
    server.delayMs = 260;
    ring.client.renewTriggers(ring.nowMs);
    ring.run(510);
    expect(server.count("CHALLENGE_REQUEST")).toBe(2);
    ring.client.renewTriggers(ring.nowMs);
    ring.run(600);
    expect(signed(ring)).toBe(2);
    expect(server.stored.size).toBe(1);
    expect(ring.live(ID)).toBe(true);
  });

  it("when the server's secrets change between CHALLENGE and TRIGGER: two round trips later", () => {
    const ring = new FakeRing(2);
    let left = 1;
    ring.server(2).script = (message): ControlMessage | undefined => (message.type === "TRIGGER" && left-- > 0 ? { type: "REFUSED", code: 2, subject: ID } : undefined);
    ring.client.insertTrigger(0, ID, SIGNER);
    ring.until(() => ring.live(ID), 120);
    expect(signed(ring)).toBe(2);
  });
});
