/**
 * Any set-up message, signed, unsigned, mutated or replayed, and any private id in it, against a proxy that talks to a friend: nothing
 * throws, the friend's mapping stays the friend's, and nobody else's packet carries the friend's address. Runs I3_FUZZ_SECONDS
 * (default 2) from I3_FUZZ_SEED.
 */
import { randomInt } from "node:crypto";

import { concatBytes, publicId } from "@i3/common";
import { encodeDataHeader, PAYLOAD_KIND } from "@i3/datapath";
import { generateHostIdentity } from "@i3/hip";
import { expect, it } from "vitest";

import { mutated, Random } from "@i3/common/testing";
import { mappingFromJson, mappingToJson } from "../../packages/i3-proxy/src/mappings/mapping.js";
import { selectorOfPacket, selectorText } from "../../packages/i3-proxy/src/policy/packet-selector.js";
import { encodeConfirm, encodeInit } from "../../packages/i3-proxy/src/setup/messages.js";
import { addHost, bookOf, World } from "../sim/world.js";

const SECONDS = Number(process.env["I3_FUZZ_SECONDS"] ?? "2");
const SEED = Number(process.env["I3_FUZZ_SEED"] ?? randomInt(2 ** 32)) >>> 0;

/** 20 bytes of IPv4 header and the letter F (friend) or E (enemy). */
function packet(source: Uint8Array, destination: Uint8Array, letter: "F" | "E"): Uint8Array {
  const out = new Uint8Array(21);
  out.set([0x45, 0, 0, 21, 0, 0, 0x40, 0, 64, 253, 0, 0, ...source, ...destination, letter.charCodeAt(0)]);
  let sum = 0;
  for (let i = 0; i < 20; i += 2) sum += ((out[i] ?? 0) << 8) | (out[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  out.set([(~sum >> 8) & 0xff, ~sum & 0xff], 10);
  return out;
}

/** Not a plain packet: whoever knows a private id may send those, in clear as they are (README). A mutated message may be empty, and then it would be one. */
const KINDS = [PAYLOAD_KIND.setUp, PAYLOAD_KIND.setUp, PAYLOAD_KIND.setUp, PAYLOAD_KIND.nothing, PAYLOAD_KIND.hip, PAYLOAD_KIND.esp, PAYLOAD_KIND.native];

it("no set-up message takes a friend's place", { timeout: (SECONDS + 60) * 1_000 }, () => {
  process.stdout.write(`setup.fuzz: seed ${SEED}\n`);
  const random = new Random(SEED);
  const world = new World({ seed: String(SEED) });
  const ring = world.ring(2);
  world.run(9_000);
  const [friendIdentity, homeIdentity] = [generateHostIdentity(), generateHostIdentity()];
  const book = bookOf({ "friend.i3": friendIdentity, "home.i3": homeIdentity });
  const friend = addHost(world, "198.51.100.1", { servers: ring, identity: friendIdentity, book });
  const home = addHost(world, "198.51.100.2", { servers: ring, identity: homeIdentity, book });
  world.run(10_000, () => friend.proxy.isReady(world.nowMs) && home.proxy.isReady(world.nowMs));

  const friendSends = (): boolean => {
    const found = friend.proxy.names.resolve("home.i3");
    if (typeof found === "string" || found.v4 === null) return false;
    friend.proxy.installFresh();
    home.node.received.length = 0;
    world.inject(friend.node, { tun: packet(friend.proxy.own4, found.v4, "F") });
    world.run(2_000, () => home.node.received.length > 0);
    return home.node.received.some((p) => p[20] === "F".charCodeAt(0) && p.subarray(12, 16).every((byte, i) => byte === friend.proxy.own4[i]));
  };
  expect(friendSends()).toBe(true);
  const mapping = home.proxy.mappings.byPeer(publicId(friendIdentity.hit));
  const enemies = [null, generateHostIdentity(), generateHostIdentity()];
  const ids = (): readonly Uint8Array[] => [
    publicId(friendIdentity.hit), publicId(homeIdentity.hit), mapping?.ownPrivateId ?? random.bytes(32), mapping?.peer?.privateId ?? random.bytes(32), random.bytes(32),
    ...enemies.flatMap((enemy) => (enemy === null ? [] : [publicId(enemy.hit)])),
  ];
  const sent: Uint8Array[] = [];
  let cases = 0;
  const endMs = performance.now() + SECONDS * 1_000;
  while (performance.now() < endMs || cases < 50) {
    const addresses = { own4: random.pick([friend.proxy.own4, random.bytes(4)]), peer4: random.pick([home.proxy.own4, random.bytes(4)]), own6: random.pick([friendIdentity.hit, random.bytes(16)]), peer6: random.bytes(16) };
    const counter = random.pick([0, 1, world.wallMs(), 2 ** 52, Number.MAX_SAFE_INTEGER]);
    const fresh = random.below(4) === 0
      ? encodeConfirm({ callerId: random.pick(ids()), callerPrivateId: random.pick(ids()), calleePrivateId: random.pick(ids()), counter, ...addresses }, enemies[1] as NonNullable<(typeof enemies)[1]>)
      : encodeInit({ calleeId: random.pick([publicId(homeIdentity.hit), ...ids()]), callerPrivateId: random.pick(ids()), counter, ...addresses }, random.pick(enemies));
    const message = sent.length > 0 && random.below(4) === 0 ? random.pick(sent) : random.below(3) === 0 ? mutated(random, fresh, [0xc4, 0xcf, 0x90, 0xff]) : fresh;
    if (sent.length < 100) sent.push(message);
    const to = random.pick([publicId(homeIdentity.hit), publicId(homeIdentity.hit), ...ids()]);
    const header = encodeDataHeader({ flags: 0, hopLimit: 16, copyBudget: 64, payloadKind: random.pick(KINDS), nonce: random.bytes(8), ids: [to] });
    home.node.received.length = 0;
    world.inject(home.node, { udp: { from: (ring[0] as (typeof ring)[0]).locator, bytes: concatBytes(header, message, packet(addresses.own4, addresses.peer4, "E")) } });
    for (const p of home.node.received) expect([...p.subarray(12, 16)], "an enemy's packet under the friend's address").not.toEqual([...friend.proxy.own4]);
    cases += 1;
    if (cases % 200 === 0) world.run(150);
    if (cases % 1_000 === 0) {
      expect(friendSends(), `the friend is heard after ${cases} messages`).toBe(true);
      for (const m of home.proxy.mappings.all()) expect(mappingFromJson(JSON.parse(JSON.stringify(mappingToJson(m)))).key).toBe(m.key);
    }
  }
  expect(home.proxy.internalErrors).toBe(0);
  expect(friendSends()).toBe(true);
  process.stdout.write(`setup.fuzz: ${cases} messages, ${home.proxy.mappings.size} mappings\n`);
});

it("the service of any packet is a protocol, and ports or none", { timeout: (SECONDS + 60) * 1_000 }, () => {
  const random = new Random(SEED);
  const endMs = performance.now() + 500;
  while (performance.now() < endMs) {
    const bytes = mutated(random, packet(random.bytes(4), random.bytes(4), "F"), [0x40, 0x60, 6, 17, 58]);
    const selector = selectorOfPacket(bytes);
    if (selector !== null) expect(selectorText(selector).protocol).toMatch(/^[a-z]+$|^\d{1,3}$/);
  }
});
