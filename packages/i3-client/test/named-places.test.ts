/** Where a client goes when servers name places that cannot be a server's (docs/wire.md §5, "Bounds of a client"). */
import { decodeRecord, locatorText, makeLocator, parseIpText, privateId, RECORD_KIND, recordKey, ringKey, type ControlMessage, type Locator } from "@i3/common";
import { generateTriggerKey, signRecord, type TriggerSigner } from "@i3/hip";
import { expect, it } from "vitest";

import { isPlausible } from "../src/named-places.js";
import { FakeRing, filled, WALL_START_MS } from "./fake-ring.js";

const at = (text: string): Locator => makeLocator(parseIpText(text) ?? new Uint8Array(), 5_610);

it.each<readonly [from: string, may: readonly string[], mayNot: readonly string[]]>([
  ["192.0.2.1", ["192.0.2.2", "10.0.0.1", "192.168.0.1", "2001:db8::1", "fd00::1"], ["127.0.0.1", "169.254.0.1", "0.0.0.0", "0.1.2.3", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "ff02::1"]],
  ["fd00::1", ["fd00::2", "2001:db8::1", "192.0.2.1"], ["::1", "fe80::1", "ff02::1", "127.0.0.1"]],
  ["169.254.0.1", ["169.254.0.2", "192.0.2.1"], ["127.0.0.1", "224.0.0.1"]],
  ["127.0.0.1", ["127.0.0.1", "127.0.0.2", "::1", "169.254.0.1", "192.168.0.1", "192.0.2.1"], ["0.0.0.0", "224.0.0.1", "::", "ff02::1"]],
])("a server at %s may name", (from, may, mayNot) => {
  const isTaken = (text: string): boolean => isPlausible(at(text), at(from));
  expect([may.filter((text) => !isTaken(text)), mayNot.filter(isTaken)]).toEqual([[], []]);
});

const key = generateTriggerKey();
const ID = privateId(key.prefix, filled(16, 1));
const SIGNER: TriggerSigner = { kind: "private", key };
const RECORD = signRecord(key, { kind: RECORD_KIND.name, label: "box", sequence: 1, notAfterS: WALL_START_MS / 1_000 + 86_400, value: Uint8Array.from([0x20, 0x01, 0, 0x20, ...filled(12, 1)]) });
const node = (locator: Locator) => ({ key: filled(16, 9), locator });

interface Naming {
  readonly begins: (ring: FakeRing) => void;
  /** Of each server; undefined: what is true. */
  readonly says: (message: ControlMessage, bad: Locator) => ControlMessage | undefined;
  /** Of the first hop, each second. */
  readonly adds?: (ring: FakeRing, bad: Locator) => void;
}

const WAYS: Readonly<Record<string, Naming>> = {
  LOCATED: {
    begins: (ring) => ring.client.insertTrigger(ring.nowMs, ID, SIGNER),
    says: (message, bad) => (message.type === "LOCATE" ? { type: "LOCATED", ringKey: message.ringKey, node: node(bad) } : undefined),
  },
  CACHE: {
    begins: (ring) => void ring.client.openPath(ID),
    says: (message, bad) => (message.type === "LOCATE" ? { type: "LOCATED", ringKey: message.ringKey, node: node(bad) } : undefined),
    adds: (ring, bad) => ring.inject(ring.server(1).locator, { type: "CACHE", ringKey: ringKey(ID), node: node(bad), lifeMs: 30_000 }, ring.client.pathHeader(ID, 1).slice(8, 16)),
  },
  TRIGGER_OK: {
    begins: (ring) => ring.client.insertTrigger(ring.nowMs, ID, SIGNER),
    says: (message, bad) => (message.type === "TRIGGER" || message.type === "REFRESH" ? { type: "TRIGGER_OK", action: 1, id: ID, lifeMs: 30_000, replica: bad } : undefined),
  },
  RECORD_OK: {
    begins: (ring) => void ring.client.keepRecord(ring.nowMs, RECORD.bytes),
    says: (message, bad) => (message.type === "RECORD_PUT" ? { type: "RECORD_OK", ringKey: recordKey(decodeRecord(message.record)), sequence: 1, lifeMs: 3_600_000, successor: bad } : undefined),
  },
  RECORD_IS: {
    begins: (ring) => ring.client.findRecord(ring.nowMs, recordKey(RECORD)),
    says: (message, bad) => (message.type === "RECORD_GET" ? { type: "RECORD_IS", ringKey: message.ringKey, record: null, successor: bad } : undefined),
  },
};

it.each(Object.entries(WAYS).flatMap(([type, way]) => ["127.0.0.1", "169.254.7.7", "224.0.0.251", "255.255.255.255"].map((bad) => [type, bad, way] as const)))("%s that names %s leads nowhere", (_type, text, { begins, says, adds }) => {
  const ring = new FakeRing(3);
  const bad = at(text);
  let asked = 0;
  for (const server of ring.servers) server.script = (message) => {
    const said = says(message, bad);
    asked += said === undefined ? 0 : 1;
    return said;
  };
  const went = new Set<string>();
  ring.leaves = (to) => went.add(locatorText(to));
  ring.run(1_000);
  begins(ring);
  for (let i = 0; i < 12; i += 1, ring.run(1_000)) adds?.(ring, bad);
  expect(adds === undefined ? asked : 1).toBeGreaterThan(0);
  expect([...went].sort()).toEqual(ring.servers.map(({ locator }) => locatorText(locator)));
});

it("a trigger is live beside a replica's place that cannot be", () => {
  const ring = new FakeRing(2);
  ring.server(2).replicaAt = at("127.0.0.1");
  ring.client.insertTrigger(0, ID, SIGNER);
  ring.until(() => ring.live(ID), 1_000);
  ring.run(60_000);
  expect(ring.kinds()).toEqual(["first-hop", "trigger-live"]);
});
