/** Arguments of the `Datapath` interface as the addon takes them (native-addon.ts). They are checked already. */
import type { EspTransform, HipPuzzles, Services } from "./datapath.js";
import type { RewritePlan } from "./reference/address-rewrite.js";
import type { FlowAction } from "./reference/flow-table.js";
import type { Bucket, TriggerTarget } from "./reference/trigger-table.js";

/** For what an entry has not. */
export const NOTHING = new Uint8Array(0);
/** Of a flow without an MTU. */
const NO_MTU = 65_535;
/** Instead of the strength of one. */
export const ALL_WAYS = 3;
/** Instead of the strength of what no service takes. */
const REFUSED = 3;
const TARGET = { locator: 0, stack: 1 } as const;
const ID_BYTES = 32;

/** Arguments of `engineSetFlow` behind the address. */
export type PackedFlow = readonly [action: number, header: Uint8Array, locator: Uint8Array | null, source: Uint8Array, association: number, mtu: number];

export function packFlow(flow: FlowAction): PackedFlow {
  switch (flow.action) {
    case "setup":
      return [0, NOTHING, null, NOTHING, 0, NO_MTU];
    case "tunnel":
      return [1, flow.header, null, flow.source, 0, flow.mtu ?? NO_MTU];
    case "esp": {
      const { route, source, association, mtu } = flow;
      const isStraight = "endpoint" in route;
      return [2, isStraight ? NOTHING : route.header, isStraight ? route.endpoint : null, source, association, mtu ?? NO_MTU];
    }
    case "refuse":
      return [3, NOTHING, null, NOTHING, 0, NO_MTU];
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

/** For each trigger: id 32, then 0 and an endpoint of 18, or 1, the number of ids and these. */
export const packTriggers = (buckets: readonly Bucket[]): Uint8Array =>
  Buffer.concat(buckets.flatMap(({ id, targets }) => targets.flatMap((target) => [id, ...packTarget(target)])));

const packTarget = (target: TriggerTarget): readonly Uint8Array[] =>
  target.kind === "locator" ? [Uint8Array.of(TARGET.locator), target.endpoint] : [Uint8Array.of(TARGET.stack, target.ids.length / ID_BYTES), target.ids];

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
