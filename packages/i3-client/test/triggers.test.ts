import { bytesKey, groupId, privateId, publicId, type ControlMessage } from "@i3/common";
import { certifyMember, generateHostIdentity, generateTriggerKey, REFRESH_CHAIN_LENGTH, signStep, type TriggerSigner } from "@i3/hip";
import { describe, expect, it } from "vitest";

import { CLIENT, FakeRing, filled } from "./fake-ring.js";

const identity = generateHostIdentity();
const key = generateTriggerKey();
const HOST: TriggerSigner = { kind: "host", identity };
const PRIVATE: TriggerSigner = { kind: "private", key };
const ID = publicId(identity.hit);
const OTHER_ID = privateId(key.prefix, filled(16, 1));

function started(servers = 2, id = ID, signer = HOST): FakeRing {
  const ring = new FakeRing(servers);
  ring.client.insertTrigger(0, id, signer);
  ring.until(() => ring.live(id), 1_000);
  return ring;
}

const heardTypes = (ring: FakeRing, server: number): string[] => ring.server(server).heard.map(({ message }) => message.type).filter((type) => type !== "PING");
const counters = (ring: FakeRing, server: number): number[] =>
  ring.server(server).heard.flatMap(({ message }) => (message.type === "TRIGGER" ? [message.counter] : []));

describe("the table of triggers", () => {
  it("is bounded, says so, and one more fits when one is removed", () => {
    const { client } = new FakeRing(1);
    const id = (n: number): Uint8Array => {
      const out = OTHER_ID.slice();
      new DataView(out.buffer).setUint32(28, n);
      return out;
    };
    for (let n = 0; n < 65_536; n++) client.insertTrigger(0, id(n), PRIVATE);
    const oneMore = (): void => client.insertTrigger(0, id(65_536), PRIVATE);
    expect(oneMore).toThrow(expect.objectContaining({ name: "ClientError", code: "ERR_I3_FULL", message: "more than 65536 triggers of one client", remedy: "Remove some that are no longer used." }));
    client.insertTrigger(0, id(5), PRIVATE);
    client.removeTrigger(0, id(5));
    oneMore();
    expect(client.triggers(0)).toHaveLength(65_536);
  });
});

describe("a trigger", () => {
  it.each([[ID, HOST], [OTHER_ID, PRIVATE]] as const)("is located, challenged, inserted, and refreshed every 5 s", (id, signer) => {
    const ring = new FakeRing(2);
    ring.client.insertTrigger(0, id, signer);
    ring.run(200);
    expect(heardTypes(ring, 1)).toEqual(["LOCATE"]);
    expect(heardTypes(ring, 2)).toEqual(["CHALLENGE_REQUEST", "TRIGGER"]);
    expect(ring.events.filter(({ kind }) => kind !== "first-hop")).toEqual([{ kind: "trigger-live", id, server: ring.server(2).locator, atMs: 80 }]);
    expect(ring.server(2).has(id)).toBe(true);
    ring.run(60_000);
    const refreshes = ring.server(2).heard.filter(({ message }) => message.type === "REFRESH");
    expect(refreshes.length).toBe(11);
    for (const [i, { atMs }] of refreshes.entries()) if (i > 0) expect(atMs - (refreshes[i - 1]?.atMs ?? 0)).toBeCloseTo(5_020, 0);
    expect(refreshes.map(({ message }) => (message.type === "REFRESH" ? message.index : 0))).toEqual(Array.from({ length: 11 }, (_, i) => i + 1));
    expect(counters(ring, 2).length).toBe(1);
    expect(ring.kinds()).toEqual(["first-hop", "trigger-live"]);
    expect(ring.client.counters).toEqual({ malformed: 0, unexpected: 0 });
  });

  it("begins when the first server answers, not some time after", () => {
    const ring = new FakeRing(2);
    for (const server of ring.servers) server.down = true;
    ring.client.insertTrigger(0, ID, HOST);
    ring.run(30_000);
    for (const server of ring.servers) server.down = false;
    ring.until(() => ring.client.firstHop() !== null, 6_000);
    ring.until(() => ring.live(ID), 150);
  });

  it("holds two ids at once, and the same id only once", () => {
    const ring = started();
    ring.client.insertTrigger(ring.nowMs, ID, HOST);
    ring.client.insertTrigger(ring.nowMs, OTHER_ID, PRIVATE);
    ring.until(() => ring.live(OTHER_ID), 500);
    expect(ring.client.triggers(ring.nowMs).length).toBe(2);
  });

  it("keeps its own copy of the id", () => {
    const ring = new FakeRing(2);
    const id = ID.slice();
    ring.client.insertTrigger(0, id, HOST);
    id.fill(0);
    ring.until(() => ring.live(ID), 1_000);
  });

  it("is live within 10 s whichever datagram is lost, and stays so", () => {
    for (let lost = 0; lost <= 30; lost++) {
      const ring = new FakeRing(2);
      ring.loses = (n) => n === lost;
      ring.client.insertTrigger(0, ID, HOST);
      ring.until(() => ring.live(ID) && ring.server(2).has(ID), 10_000);
      for (let i = 0; i < 300; i++) {
        ring.run(100);
        expect(ring.server(2).has(ID), `${lost} at ${ring.nowMs}`).toBe(true);
      }
    }
  });

  it("is live within 10 s whichever datagram is lost after the death of its server, also two or three in a row", () => {
    for (const run of [1, 2, 3]) {
      for (let lost = 0; lost <= 30; lost += run) {
        const ring = started(3);
        ring.server(3).down = true;
        ring.owner = ring.server(2);
        const from = ring.sent + lost;
        ring.loses = (n) => n >= from && n < from + run;
        ring.until(() => ring.server(2).has(ID), 10_000);
      }
    }
  });

  it("survives the loss of every fourth datagram", () => {
    const ring = new FakeRing(2);
    ring.loses = (n) => (n * 7) % 4 === 0;
    ring.client.insertTrigger(0, ID, HOST);
    ring.until(() => ring.live(ID), 10_000);
    for (let i = 0; i < 600; i++) {
      ring.run(100);
      expect(ring.server(2).has(ID)).toBe(true);
    }
  });

  it.each([300, 500, 700])("is inserted over a path of %i ms one way", (delayMs) => {
    const ring = new FakeRing(2);
    for (const server of ring.servers) server.delayMs = delayMs;
    ring.client.insertTrigger(0, ID, HOST);
    ring.until(() => ring.live(ID), 8 * delayMs + 2_000);
    ring.run(60_000);
    expect(ring.live(ID)).toBe(true);
    expect(ring.kinds().filter((kind) => kind === "trigger-lost")).toEqual([]);
  });

  it("moves when its server dies, at most 3.2 s later", () => {
    const ring = started(3);
    ring.run(7_000);
    ring.server(3).down = true;
    ring.owner = ring.server(2);
    ring.until(() => ring.server(2).has(ID), 3_200);
    expect(ring.kinds()).toEqual(["first-hop", "trigger-live", "trigger-lost"]);
    ring.until(() => ring.live(ID), 200);
    expect(ring.events.at(-1)).toMatchObject({ kind: "trigger-live", server: ring.server(2).locator });
  });

  it("moves when its server is no longer responsible, at most 5.2 s later, without being lost", () => {
    const ring = started(3);
    ring.owner = ring.server(2);
    ring.until(() => ring.server(2).has(ID), 5_200);
    ring.run(100);
    expect(ring.kinds()).toEqual(["first-hop", "trigger-live"]);
  });

  it("is signed again when its server has forgotten it", () => {
    const ring = started();
    ring.server(2).stored.clear();
    ring.until(() => ring.server(2).has(ID), 5_200);
    expect(counters(ring, 2).length).toBe(2);
  });

  it("is signed again at once when the address may have changed", () => {
    const ring = started();
    ring.client.renewTriggers(ring.nowMs);
    ring.run(100);
    expect(counters(ring, 2).length).toBe(2);
    expect(ring.live(ID)).toBe(true);
  });

  it("is signed again five times a second at most when the address changes all the time, at once after the first and within 0.2 s after the last change", () => {
    const ring = started(1);
    const asked = (): number => ring.server(1).count("CHALLENGE_REQUEST");
    ring.run(1_000);
    const before = asked();
    ring.client.renewTriggers(ring.nowMs);
    ring.run(10);
    expect(asked() - before).toBe(1);
    for (let changes = 0; changes < 1_000; changes++) {
      ring.client.renewTriggers(ring.nowMs);
      ring.run(60);
    }
    const lastMs = ring.nowMs - 60;
    ring.run(1_000);
    expect(asked() - before).toBeGreaterThan(290);
    expect(asked() - before).toBeLessThanOrEqual(3 + 60 * 5 + 1);
    const last = ring.server(1).heard.findLast(({ message }) => message.type === "CHALLENGE_REQUEST")?.atMs ?? 0;
    expect(last).toBeGreaterThanOrEqual(lastMs);
    expect(last).toBeLessThanOrEqual(lastMs + 200 + 10);
    expect([ring.live(ID), ring.kinds().includes("trigger-lost")]).toEqual([true, false]);
  });

  it("is signed again when the address has changed while the server was taking it", () => {
    const ring = started(1);
    ring.run(1_000);
    const count = ring.server(1).count("TRIGGER");
    ring.client.renewTriggers(ring.nowMs);
    // Asked, challenged, and TRIGGER is on its way.
    ring.run(25);
    ring.client.renewTriggers(ring.nowMs);
    ring.run(200);
    expect(ring.server(1).count("TRIGGER") - count).toBe(2);
    expect(ring.live(ID)).toBe(true);
  });

  it("is signed again when its refresh chain is used up", () => {
    const ring = started();
    ring.run(REFRESH_CHAIN_LENGTH * 5_020 + 30_000);
    const indexes = ring.server(2).heard.flatMap(({ message }) => (message.type === "REFRESH" ? [message.index] : []));
    expect(Math.max(...indexes)).toBe(REFRESH_CHAIN_LENGTH);
    expect(indexes.at(-1)).toBeLessThan(10);
    expect(counters(ring, 2).length).toBe(2);
    expect(ring.kinds()).toEqual(["first-hop", "trigger-live"]);
  }, 60_000);

  it("is refreshed no more than twice a second, however short a life the server gives it", () => {
    for (const lifeMs of [0, 1, 100]) {
      const ring = new FakeRing(2);
      ring.server(2).lifeMs = lifeMs;
      ring.client.insertTrigger(0, ID, HOST);
      ring.run(60_000);
      expect(ring.server(2).heard.length).toBeLessThan(60 * 6);
    }
  });

  it("is thought dead a minute after the last acknowledgement, however long a life the server gives it", () => {
    const ring = new FakeRing(2);
    ring.server(2).lifeMs = Number.MAX_SAFE_INTEGER;
    ring.client.insertTrigger(0, ID, HOST);
    ring.run(1_000);
    ring.server(1).script = (message) => (message.type === "LOCATE" ? null : undefined);
    ring.server(2).script = (message) => (message.type === "PING" ? undefined : null);
    ring.run(70_000);
    expect(ring.live(ID)).toBe(false);
    expect(ring.kinds()).toContain("trigger-lost");
  });

  it("leaves a server that challenges but never acknowledges", () => {
    const ring = new FakeRing(3);
    ring.server(3).script = (message) => (message.type === "TRIGGER" ? null : undefined);
    ring.client.insertTrigger(0, ID, HOST);
    ring.run(3_000);
    ring.owner = ring.server(2);
    ring.until(() => ring.live(ID), 4_000);
  });
});

describe("refusals", () => {
  function refusing(code: number, times: number, of: ControlMessage["type"] = "TRIGGER"): FakeRing {
    const ring = new FakeRing(2);
    let left = times;
    ring.server(2).script = (message) => (message.type === of && left-- > 0 ? { type: "REFUSED", code, subject: ID } : undefined);
    ring.client.insertTrigger(0, ID, HOST);
    return ring;
  }

  it.each([1, 2, 4, 8])("with code %i are mended at once when they come once", (code) => {
    const ring = refusing(code, 1);
    ring.until(() => ring.live(ID), 1_000);
    expect(ring.kinds()).toEqual(["first-hop", "trigger-live"]);
  });

  it.each([3, 5, 6, 7, 9, 255])("with code %i are told, and tried again after 10 s", (code) => {
    const ring = refusing(code, 1);
    ring.run(9_900);
    expect(ring.live(ID)).toBe(false);
    expect(ring.events.at(-1)).toMatchObject({ kind: "trigger-refused", id: ID, code });
    ring.until(() => ring.live(ID), 300);
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8, 200])("with code %i for ever cost little, and end when the server changes its mind", (code) => {
    const ring = refusing(code, Infinity);
    ring.run(60_000);
    expect(counters(ring, 2).length).toBeLessThan(60);
    ring.server(2).script = () => undefined;
    ring.until(() => ring.live(ID), 10_300);
  });

  it("of a CHALLENGE_REQUEST as not responsible for ever cost little", () => {
    const ring = refusing(1, Infinity, "CHALLENGE_REQUEST");
    ring.run(60_000);
    expect(ring.server(2).count("CHALLENGE_REQUEST")).toBeLessThan(60);
  });

  it("of a quota are not hurried by a change of the first hop", () => {
    const ring = refusing(6, Infinity);
    ring.run(1_000);
    ring.server(1).down = true;
    ring.run(4_000);
    expect(ring.kinds()).toEqual(["first-hop", "trigger-refused", "first-hop"]);
    expect(counters(ring, 2).length).toBe(1);
  });
});

describe("counters", () => {
  it("strictly increase, also when the wall clock goes back", () => {
    const ring = started();
    for (const step of [-3_600_000, 0, 10, -10, 5_000_000, -6_000_000, 0]) {
      ring.wallAheadMs += step;
      ring.client.renewTriggers(ring.nowMs);
      ring.client.insertTrigger(ring.nowMs, OTHER_ID, PRIVATE);
      ring.run(150);
      ring.client.removeTrigger(ring.nowMs, OTHER_ID);
      ring.run(150);
    }
    const all = counters(ring, 2);
    expect(all.length).toBeGreaterThan(15);
    for (let i = 1; i < all.length; i++) expect(all[i]).toBeGreaterThan(all[i - 1] ?? Infinity);
    expect(ring.live(ID)).toBe(true);
  });

  it("overtake what the server remembers, when the clock went back between two runs", () => {
    for (const backMs of [1_000, 3_600_000, 30 * 86_400_000]) {
      const ring = new FakeRing(2);
      ring.server(2).stored.set(bytesKey(ID), { counter: 1_800_000_000_000 + backMs, token: filled(16, 0), index: 0, target: CLIENT, endMs: 0 });
      ring.client.insertTrigger(0, ID, HOST);
      ring.until(() => ring.live(ID), 40_000);
    }
  });
});

describe("removal", () => {
  it("takes a trigger out of the ring at once", () => {
    const ring = started();
    ring.client.removeTrigger(ring.nowMs, ID);
    ring.run(50);
    expect(ring.server(2).has(ID)).toBe(false);
    expect(ring.client.triggers(ring.nowMs)).toEqual([]);
    ring.run(60_000);
    expect(counters(ring, 2).length).toBe(2);
    expect(ring.kinds()).toEqual(["first-hop", "trigger-live"]);
    expect(ring.client.counters.unexpected).toBe(0);
  });

  it("is over after some seconds when no server answers", () => {
    const ring = started();
    for (const server of ring.servers) server.down = true;
    ring.client.removeTrigger(ring.nowMs, ID);
    ring.run(4_100);
    expect(ring.client.triggers(ring.nowMs)).toEqual([]);
    expect(ring.kinds().filter((kind) => kind.startsWith("trigger"))).toEqual(["trigger-live"]);
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])("is over after some seconds when it is refused with code %i", (code) => {
    const ring = started();
    ring.server(2).script = (message) => (message.type === "TRIGGER" || message.type === "CHALLENGE_REQUEST" ? { type: "REFUSED", code, subject: ID } : undefined);
    ring.client.removeTrigger(ring.nowMs, ID);
    ring.run(4_100);
    expect(ring.client.triggers(ring.nowMs)).toEqual([]);
    expect(ring.kinds()).toEqual(["first-hop", "trigger-live"]);
  });

  it("never becomes an insertion when the server dies or is no longer responsible meanwhile", () => {
    for (const moved of [true, false]) {
      for (let lost = 0; lost < 8; lost++) {
        const ring = started(3);
        if (moved) ring.owner = ring.server(2);
        else ring.server(3).down = true;
        ring.run(lost * 350);
        const from = ring.sent + lost;
        ring.loses = (n) => n === from;
        ring.client.removeTrigger(ring.nowMs, ID);
        for (let i = 0; i < 100; i++) {
          ring.run(100);
          expect(ring.live(ID)).toBe(false);
        }
        expect(ring.client.triggers(ring.nowMs)).toEqual([]);
        expect(ring.server(2).has(ID)).toBe(false);
      }
    }
  });

  it("happens whichever datagram is lost", () => {
    for (let lost = 0; lost <= 12; lost++) {
      const ring = started();
      const from = ring.sent + lost;
      ring.loses = (n) => n === from;
      ring.client.removeTrigger(ring.nowMs, ID);
      ring.run(2_500);
      expect(ring.server(2).has(ID), `lost ${lost}`).toBe(false);
      expect(ring.client.triggers(ring.nowMs)).toEqual([]);
    }
  });

  it("follows a trigger that is being located anew", () => {
    const ring = started(3);
    ring.owner = ring.server(2);
    ring.server(1).script = (message) => (message.type === "LOCATE" ? null : undefined);
    ring.run(5_100);
    ring.owner = null;
    ring.server(1).script = () => undefined;
    ring.client.removeTrigger(ring.nowMs, ID);
    ring.run(1_000);
    expect(ring.server(3).has(ID)).toBe(false);
  });

  it("ends when the trigger is wanted again", () => {
    const ring = started();
    ring.client.removeTrigger(ring.nowMs, ID);
    ring.run(15);
    ring.client.insertTrigger(ring.nowMs, ID, HOST);
    ring.until(() => ring.live(ID), 1_000);
    ring.run(30_000);
    expect(ring.server(2).has(ID)).toBe(true);
  });

  it("of a trigger that never was, or of one that was never sent, is nothing", () => {
    const ring = new FakeRing(1);
    ring.client.insertTrigger(0, ID, HOST);
    ring.client.removeTrigger(0, ID);
    ring.client.removeTrigger(0, OTHER_ID);
    expect(ring.client.triggers(0)).toEqual([]);
    ring.run(5_000);
    expect(heardTypes(ring, 1)).toEqual([]);
  });
});

describe("forged answers", () => {
  const answers = (ring: FakeRing): readonly ControlMessage[] => [
    { type: "LOCATED", ringKey: ID.slice(0, 16), node: { key: filled(16, 9), locator: ring.server(1).locator } },
    ring.server(2).challenge(ID.slice(0, 16)),
    { type: "TRIGGER_OK", action: 1, id: ID, lifeMs: 30_000, replica: null },
    { type: "REFUSED", code: 5, subject: ID },
  ];

  it("with a wrong nonce change nothing and are counted", () => {
    const ring = started();
    ring.run(4_990);
    for (const message of answers(ring)) ring.inject(ring.server(2).locator, message, filled(8, 0));
    expect(ring.client.counters.unexpected).toBe(4);
    ring.run(30_000);
    expect(ring.kinds()).toEqual(["first-hop", "trigger-live"]);
    expect(counters(ring, 2).length).toBe(1);
  });

  it("with the right nonce from another source change nothing and are counted", () => {
    const ring = new FakeRing(2);
    const original = ring.client.handleControl.bind(ring.client);
    let forged = 0;
    ring.client.handleControl = (nowMs, from, bytes) => {
      if (bytes[1] !== 2) {
        forged += 1;
        const before = ring.client.counters.unexpected;
        original(nowMs, { address: from.address, port: from.port + 1 }, bytes);
        expect(ring.client.counters.unexpected).toBe(before + 1);
      }
      original(nowMs, from, bytes);
    };
    ring.client.insertTrigger(0, ID, HOST);
    ring.until(() => ring.live(ID), 1_000);
    ring.run(11_000);
    expect(forged).toBeGreaterThanOrEqual(5);
  });

  it("that repeat a true one change nothing and are counted", () => {
    const ring = new FakeRing(2);
    const original = ring.client.handleControl.bind(ring.client);
    const seen: { from: Parameters<typeof original>[1]; bytes: Uint8Array }[] = [];
    ring.client.handleControl = (nowMs, from, bytes) => {
      if (bytes[1] !== 2) seen.push({ from, bytes });
      original(nowMs, from, bytes);
    };
    ring.client.insertTrigger(0, ID, HOST);
    ring.run(6_000);
    const { length } = seen;
    for (const { from, bytes } of [...seen]) original(ring.nowMs, from, bytes);
    expect(ring.client.counters.unexpected).toBe(length);
    ring.run(1_000);
    expect(counters(ring, 2).length).toBe(1);
  });

  it("of another form than was asked for change nothing", () => {
    const ring = new FakeRing(2);
    ring.server(2).script = (message) => (message.type === "CHALLENGE_REQUEST" ? ring.server(2).challenge(filled(16, 0)) : undefined);
    ring.client.insertTrigger(0, ID, HOST);
    ring.run(5_000);
    expect(counters(ring, 2)).toEqual([]);
    ring.server(2).script = (message) => (message.type === "TRIGGER" ? { type: "TRIGGER_OK", action: 2, id: ID, lifeMs: 30_000, replica: null } : undefined);
    ring.run(5_000);
    expect(ring.live(ID)).toBe(false);
    ring.server(2).script = (message) => (message.type === "TRIGGER" ? { type: "TRIGGER_OK", action: 1, id: OTHER_ID, lifeMs: 30_000, replica: null } : undefined);
    ring.run(5_000);
    expect(ring.live(ID)).toBe(false);
  });
});

describe("a group's trigger", () => {
  const group = generateTriggerKey();
  const id = groupId(group.publicKey, filled(16, 3));
  const sent = (ring: FakeRing, type: "TRIGGER" | "REFRESH") => ring.server(2).heard.flatMap(({ message }) => (message.type === type ? [message] : []));

  it("is signed with the member's key, refreshed as the member's, renewed with a later certificate and left", () => {
    const ring = new FakeRing(2);
    const certificates = [1_900_000_000, 1_900_000_001].map((endS) => certifyMember(group, key.publicKey, endS)) as [Uint8Array, Uint8Array];
    ring.client.joinGroup(0, id, certificates[0], key);
    ring.until(() => ring.live(id), 1_000);
    ring.run(6_000);
    expect(sent(ring, "REFRESH").map((message) => "member" in message && message.member)).toEqual([key.publicKey]);
    ring.client.joinGroup(ring.nowMs, id, certificates[1], key);
    ring.run(200);
    expect(sent(ring, "TRIGGER").map((message) => "publicKey" in message && message.publicKey)).toEqual(certificates);
    expect(ring.live(id)).toBe(true);
    ring.client.leaveGroup(ring.nowMs, id);
    ring.run(200);
    expect(ring.server(2).has(id)).toBe(false);
  });

  it("is not begun without a certificate of that group for that key", () => {
    const ring = new FakeRing(1);
    const certificate = certifyMember(group, key.publicKey, 1_900_000_000);
    expect(() => ring.client.joinGroup(0, OTHER_ID, certificate, key)).toThrow(RangeError);
    expect(() => ring.client.joinGroup(0, id, certificate, generateTriggerKey())).toThrow(RangeError);
    expect(() => ring.client.joinGroup(0, id, certificate.subarray(1), key)).toThrow(RangeError);
    expect(ring.client.triggers(0)).toEqual([]);
  });
});

describe("a trigger along a stack", () => {
  const next = generateTriggerKey();
  const NEXT = privateId(next.prefix, filled(16, 9));
  const step = (endS = 1_900_000_000, source = OTHER_ID) => signStep({ kind: "private", key: next }, source, NEXT, endS);
  const targets = (ring: FakeRing) => ring.server(2).heard.flatMap(({ message }) => (message.type === "TRIGGER" ? [message.target] : []));

  it("is inserted with its tokens, signed again with later ones, and removed without", () => {
    const ring = new FakeRing(2);
    ring.client.insertStack(0, OTHER_ID, PRIVATE, [step()]);
    ring.until(() => ring.live(OTHER_ID), 1_000);
    ring.client.insertStack(ring.nowMs, OTHER_ID, PRIVATE, [step(1_900_000_001), step()]);
    ring.run(200);
    ring.client.removeTrigger(ring.nowMs, OTHER_ID);
    ring.run(200);
    expect(targets(ring)).toEqual([{ steps: [step()] }, { steps: [step(1_900_000_001), step()] }, CLIENT]);
    expect(ring.server(2).has(OTHER_ID)).toBe(false);
  });

  it("goes back to being one to ourselves when it is inserted so", () => {
    const ring = new FakeRing(2);
    ring.client.insertStack(0, OTHER_ID, PRIVATE, [step()]);
    ring.until(() => ring.live(OTHER_ID), 1_000);
    ring.client.insertTrigger(ring.nowMs, OTHER_ID, PRIVATE);
    ring.run(200);
    expect(targets(ring).at(-1)).toEqual(CLIENT);
  });

  it("is not begun with steps that a server would refuse, or that do not fit", () => {
    const ring = new FakeRing(1);
    const rsa = signStep({ kind: "host", identity: generateHostIdentity("rsa") }, OTHER_ID, NEXT, 1);
    for (const steps of [[], [step(), step(), step(), step(), step()], [step(1, ID)], [{ ...step(), notAfterS: 1 }], [{ ...step(), id: ID }], [step(), rsa]]) {
      expect(() => ring.client.insertStack(0, OTHER_ID, PRIVATE, steps)).toThrow(RangeError);
    }
    const own = generateHostIdentity("rsa");
    const long = signStep({ kind: "host", identity: own }, OTHER_ID, publicId(own.hit), 1);
    expect(() => ring.client.insertStack(0, OTHER_ID, PRIVATE, [long, long])).toThrow("longer than a control datagram");
    expect(ring.client.triggers(0)).toEqual([]);
  });
});
