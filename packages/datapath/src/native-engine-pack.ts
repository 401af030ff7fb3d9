/** Arguments of the `Datapath` interface as the addon takes them (native-addon.ts). They are checked already. */
import type { Datagram, EspTransform, HipPuzzles, Services, TriggerEntry } from "./datapath.js";
import { encodeDatagramRoute, putEndpoint, ROUTE_BYTES } from "./reference/endpoints.js";
import type { RewritePlan } from "./reference/address-rewrite.js";
import type { FlowAction } from "./reference/flow-table.js";
import { putBytes } from "./reference/octets.js";
import { ADDRESS_SLOT_BYTES } from "./reference/step.js";
import { requireTrigger } from "./reference/trigger-table.js";

/** For what an entry has not. */
export const NOTHING = new Uint8Array(0);
/** Of a flow without an MTU. */
const NO_MTU = 65_535;
/** Bytes and account of a flow that may send as much as it wants. */
const NO_CREDIT = [0, 0] as const;
/** Instead of the strength of one. */
export const ALL_WAYS = 3;
/** Instead of the strength of what no service takes. */
const REFUSED = 3;
/** Before the ids of a target; 0 before an endpoint. */
const STACK = 1;
const ID_BYTES = 32;

/** Arguments of `engineSetFlow` behind the address. */
export type PackedFlow = readonly [action: number, header: Uint8Array, locator: Uint8Array | null, source: Uint8Array, association: number, mtu: number, creditBytes: number, creditAccount: number];

export function packFlow(flow: FlowAction): PackedFlow {
  switch (flow.action) {
    case "setup":
      return [0, NOTHING, null, NOTHING, 0, NO_MTU, ...NO_CREDIT];
    case "tunnel":
      return [1, flow.header, null, flow.source, 0, flow.mtu ?? NO_MTU, ...NO_CREDIT];
    case "esp": {
      const { straight, relay, source, association, mtu } = flow;
      return [2, relay?.header ?? NOTHING, straight?.endpoint ?? null, source, association, mtu ?? NO_MTU, ...(straight?.credit ? ([straight.credit.bytes, straight.credit.account] as const) : NO_CREDIT)];
    }
    case "refuse":
      return [3, NOTHING, null, NOTHING, 0, NO_MTU, ...NO_CREDIT];
  }
}

/** For each service: protocol, strength, the number of port ranges, and of each first and last port, 2 bytes each; and the strength of the rest. */
export const packServices = ({ services, rest }: Services): readonly [packed: Uint8Array, rest: number] => [
  Uint8Array.from(services.flatMap(({ protocol, ports, strength }) => [protocol, strength, ports.length, ...ports.flatMap(({ first, last }) => [first >> 8, first & 255, last >> 8, last & 255])])),
  rest ?? REFUSED,
];

/** Source from, to, destination from, to; or nothing. */
export const packRewrites = (plan: RewritePlan | null): Uint8Array =>
  plan === null ? NOTHING : Buffer.concat([plan.source.from, plan.source.to, plan.destination.from, plan.destination.to]);

export interface PackedTransform {
  readonly kind: number;
  readonly key: Uint8Array;
  readonly salt: Uint8Array;
  readonly integrityKey: Uint8Array;
}

export function packTransform(transform: EspTransform): PackedTransform {
  switch (transform.kind) {
    case "aes-gcm-16":
      return { kind: 0, key: transform.key, salt: transform.salt, integrityKey: NOTHING };
    case "null-hmac-sha-256":
      return { kind: 1, key: NOTHING, salt: NOTHING, integrityKey: transform.integrityKey };
    case "aes-cbc-hmac-sha-256":
      return { kind: 2, key: transform.key, salt: NOTHING, integrityKey: transform.integrityKey };
  }
}

/** What the addon copies at once is written here, and the next call writes over it: no call allocates, but for what is large. */
const ROOM = Buffer.alloc(64 * 1024);
const roomOf = (bytes: number): Buffer => (bytes <= ROOM.length ? ROOM.subarray(0, bytes) : Buffer.allocUnsafe(bytes));

/** For each trigger: id 32, then 0 and an endpoint of 18, or 1, the number of ids and these. Of a ring key all, at each insert: so it is written in one pass. Throws as {@link requireTrigger}. */
export function packTriggers(ringKey: Uint8Array, triggers: readonly TriggerEntry[]): Uint8Array {
  const packed = roomOf(triggers.reduce((sum, { target }) => sum + ID_BYTES + 1 + (target.kind === "locator" ? ADDRESS_SLOT_BYTES : 1 + target.ids.length * ID_BYTES), 0)).fill(0);
  let at = 0;
  for (const trigger of triggers) {
    requireTrigger(ringKey, trigger);
    putBytes(packed, at, trigger.id);
    at += ID_BYTES + 1;
    const { target } = trigger;
    if (target.kind === "locator") {
      putEndpoint(packed, at, target.locator);
      at += ADDRESS_SLOT_BYTES;
      continue;
    }
    packed[at - 1] = STACK;
    packed[at] = target.ids.length;
    at += 1;
    for (const id of target.ids) {
      packed.set(id, at);
      at += ID_BYTES;
    }
  }
  return packed;
}

const LENGTH_BYTES = 4;
/** Of each datagram its route 39, length 4, bytes. Throws RangeError for a locator that no socket could send to. */
export function packDatagrams(datagrams: readonly Datagram[]): Uint8Array {
  const packed = roomOf(datagrams.reduce((sum, { bytes }) => sum + ROUTE_BYTES + LENGTH_BYTES + bytes.length, 0));
  let at = 0;
  for (const datagram of datagrams) {
    const { bytes } = datagram;
    packed.set(encodeDatagramRoute(datagram), at);
    at = packed.writeUInt32BE(bytes.length, at + ROUTE_BYTES);
    packed.set(bytes, at);
    at += bytes.length;
  }
  return packed;
}

const PUZZLES_BYTES = 35;
/** Of each epoch its number 2, K 1, secret 32. For the caller to wipe. */
export function packPuzzles(puzzles: readonly HipPuzzles[]): Uint8Array {
  const packed = new Uint8Array(puzzles.length * PUZZLES_BYTES);
  puzzles.forEach(({ epoch, secret, difficulty }, i) => {
    packed.set([epoch >> 8, epoch & 0xff, difficulty], i * PUZZLES_BYTES);
    packed.set(secret, i * PUZZLES_BYTES + 3);
  });
  return packed;
}
