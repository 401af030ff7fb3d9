/**
 * Random packets of every kind between IPv4 and IPv6, through both engines (docs/datapath.md, "Translation"): what leaves is the same, well-formed, and has right checksums where the packet
 * had. The seed is printed; I3_CONFORMANCE_SEED takes one.
 */
import { randomInt } from "node:crypto";
import fc from "fast-check";
import { expect, it } from "vitest";
import { encodeEndpoint } from "../../src/reference/endpoints.js";
import { dataPacket } from "../reference/harness.js";
import { be16, be32, bytes, concat, fullChecksum } from "../reference/packets.js";
import { tunArrival, tunRecipes } from "./arrival-recipes.js";
import { lengthOf, placeOf, versionOf } from "./cut.js";
import { EnginePair } from "./engine-pair.js";
import { buildPacket, packetRecipes, type PacketRecipe } from "./packet-recipes.js";
import { addressOf, BEHIND, idOf, LOCATORS, TRANSLATED, type Family } from "./pools.js";

const SEED = Number(process.env["I3_CONFORMANCE_SEED"] ?? randomInt(2 ** 31));
const RUNS = 150;
const DATA_HEADER_BYTES = 48;
const otherOf = (family: Family): Family => (family === 4 ? 6 : 4);

/** A gateway whose client is the first address of each family, with an MTU of its own in each. */
function openGateway(mtus: Readonly<Record<Family, number>>): EnginePair {
  const pair = new EnginePair();
  const same = (family: Family, index: number): { from: Uint8Array; to: Uint8Array } => ({ from: addressOf(family, index), to: addressOf(family, index) });
  const target = { flow: addressOf(4, 0), source4: same(4, 0), destination4: same(4, 1), source6: same(6, 0), destination6: same(6, 1) };
  pair.change("server", (engine) => engine.setDefaultServer(LOCATORS[0]!));
  pair.change("inbound", (engine) => engine.setInbound(idOf(1), { action: "tun", ...target }));
  for (const family of [4, 6] as const) {
    pair.change("flow", (engine) => engine.setFlow(addressOf(family, 0), { action: "tunnel", header: dataPacket({ ids: [idOf(family)] }), source: addressOf(family, 1), mtu: mtus[family] }));
    pair.change("forwarding", (engine) => engine.setForwarding(addressOf(family, 0), true, addressOf(otherOf(family), 0)));
    pair.change("translation", (engine) => engine.setTranslation(addressOf(family, 0), addressOf(family, BEHIND), addressOf(otherOf(family), TRANSLATED)));
  }
  return pair;
}

/** Nothing is wrong with it, so nothing may be with what is made of it. */
const isRight = ({ checksum, damage }: PacketRecipe): boolean => checksum === "right" && damage.edits.length === 0 && damage.keep === null && damage.append === 0;

/** Whole, and with right checksums where they can be told: by the plain sum over everything. */
function check(packet: Uint8Array): void {
  const text = Buffer.from(packet).toString("hex");
  expect(lengthOf(packet), text).toBe(packet.length);
  const is4 = versionOf(packet) === 4;
  if (is4) expect(fullChecksum(packet.subarray(0, 20)), text).toBe(0);
  const place = placeOf(packet);
  const isPiece = is4 ? (packet[6] ?? 0) & 0x20 : packet[6] === 44;
  if (place === undefined || isPiece || ![1, 6, 17, 58].includes(place.protocol)) return;
  const message = packet.subarray(place.at);
  const isUnsummed = is4 && place.protocol === 17 && message[6] === 0 && message[7] === 0;
  const covered = place.protocol === 17 ? message.subarray(0, ((message[4] ?? 0) << 8) | (message[5] ?? 0)) : message;
  const pseudo = place.protocol === 1 ? bytes() : is4 ? concat(packet.subarray(12, 20), be16(place.protocol), be16(covered.length)) : concat(packet.subarray(8, 40), be32(covered.length), be32(place.protocol));
  if (!isUnsummed) expect(fullChecksum(pseudo, covered), text).toBe(0);
}

const mtus = fc.record({ 4: fc.constantFrom(576, 1_280, 1_360, 65_534), 6: fc.constantFrom(1_280, 1_400, 65_534) });
const gentle = (recipe: PacketRecipe): PacketRecipe => ({ ...recipe, ttl: recipe.ttl === 0 ? 64 : recipe.ttl, quotesBack: true, quotesBehind: false });
const counts = { written: 0, sent: 0, judged: 0 };

it("packets of a client", { timeout: 120_000 }, () => {
  process.stdout.write(`translation: I3_CONFORMANCE_SEED=${SEED}\n`);
  fc.assert(
    fc.property(mtus, fc.array(packetRecipes, { minLength: 1, maxLength: 8 }), (limits, recipes) => {
      const gateway = openGateway(limits);
      try {
        for (const recipe of recipes.map((one) => gentle({ ...one, source: 0, destination: BEHIND }))) {
          const inner = buildPacket(recipe).subarray(0, 65_000);
          gateway.step(1, [], [{ bytes: dataPacket({ ids: [idOf(1)] }, inner), segmentBytes: 0, endpoint: encodeEndpoint(LOCATORS[0]!), trafficClass: 0 }], true);
          counts.written += gateway.written.length;
          for (const packet of isRight(recipe) && inner.length < 65_000 ? gateway.written : []) {
            counts.judged += 1;
            expect(versionOf(packet)).toBe(otherOf(recipe.family));
            check(packet);
          }
        }
      } finally {
        gateway.close();
      }
    }),
    { numRuns: RUNS, seed: SEED },
  );
  expect(counts.written).toBeGreaterThan(RUNS);
  expect(counts.judged).toBeGreaterThan(RUNS / 2);
});

it("packets for a client, with checksums to compute and trains", { timeout: 120_000 }, () => {
  let judged = 0;
  fc.assert(
    fc.property(mtus, fc.array(tunRecipes, { minLength: 1, maxLength: 8 }), (limits, recipes) => {
      const gateway = openGateway(limits);
      try {
        for (const recipe of recipes.map((one) => ({ ...one, packet: gentle({ ...one.packet, source: TRANSLATED, destination: 0 }) }))) {
          const datagrams = gateway.step(1, [tunArrival(recipe)], [], true);
          counts.sent += datagrams.length;
          // What is of another kind may say that a wrong checksum is to be computed.
          const isPlain = isRight(recipe.packet) && recipe.packet.payloadBytes < 60_000 && recipe.gsoBytes === null && (recipe.checksum === "complete" || recipe.checksum === "verified");
          for (const datagram of isPlain ? datagrams : []) {
            judged += 1;
            check(datagram.subarray(DATA_HEADER_BYTES));
          }
        }
      } finally {
        gateway.close();
      }
    }),
    { numRuns: RUNS, seed: SEED },
  );
  expect(counts.sent).toBeGreaterThan(RUNS);
  expect(judged).toBeGreaterThan(RUNS / 4);
});
