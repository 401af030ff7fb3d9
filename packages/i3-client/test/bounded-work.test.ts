/**
 * What a server can make a client do, whatever it answers and however often: so many signatures and datagrams a second, and a trigger that is not acknowledged is
 * told as lost (docs/wire.md §4.1, §5). Beside it, that honest servers on bad paths are served as fast as ever.
 */
import { privateId, ringKey, type ControlMessage } from "@i3/common";
import { generateTriggerKey, type TriggerSigner } from "@i3/hip";
import { describe, expect, it } from "vitest";

import { FakeRing, filled, type FakeServer } from "./fake-ring.js";

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
      server.answer(message);
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
