/**
 * A base exchange over i3 between two hosts that nobody else sees, a step at a time: a program that has just started takes 40 ms for its first exchange, and 2 ms when
 * its code was run and compiled before.
 */
import { publicId } from "@i3/common";

import type { DhSource } from "../crypto/diffie-hellman.js";
import { ESP_SUITE } from "../crypto/esp-suites.js";
import type { HostIdentity } from "../identity/host-identity.js";
import { I3_PREFERENCE_FLAG } from "../wire/parameters/i3.js";
import type { HipOffer } from "./events.js";
import { HipHost } from "./hip-host.js";
import { MIN_SPI } from "./limits.js";
import type { HipPath } from "./paths.js";

const ID_BYTES = 32;
/** I1, R1, I2 and R2. */
const MAX_PACKETS = 4;

export interface RehearsalEnvironment {
  /** Throw-away keys; those of ECDSA take less than a millisecond. */
  readonly newIdentity: () => HostIdentity;
  readonly random: (bytes: number) => Uint8Array;
  readonly dhSource: DhSource;
}

/** Each step takes a few milliseconds when it is the first of its kind. Returns whether both hosts had an association at the end. */
export function* rehearsal(env: RehearsalEnvironment): Generator<undefined, boolean> {
  const underWay: { readonly to: "caller" | "called"; readonly path: HipPath; readonly packet: Uint8Array }[] = [];
  let established = 0;
  const makeHost = (peer: "caller" | "called"): { readonly host: HipHost; readonly identity: HostIdentity } => {
    const identity = env.newIdentity();
    const offer = offerOf(env, identity);
    const host = new HipHost({
      identity, ownPublicId: publicId(identity.hit), random: env.random, dhSource: env.dhSource, r1Generation: 1n, newSpi: () => MIN_SPI, admits: () => true, espSuitesFor: () => [ESP_SUITE.aesGcm16],
      offerFor: () => offer, send: (path, packet) => void underWay.push({ to: peer, path, packet }), onEvent: ({ kind }) => void (established += kind === "established" ? 1 : 0), log: () => undefined,
    }, 0);
    return { host, identity };
  };
  const caller = makeHost("called");
  yield;
  const called = makeHost("caller");
  yield;
  caller.host.connect(0, { hit: called.identity.hit, path: { kind: "i3", id: publicId(called.identity.hit) }, returnId: env.random(ID_BYTES) });
  for (let packets = 0; packets < MAX_PACKETS; packets++) {
    const next = underWay.shift();
    if (next === undefined) break;
    yield;
    (next.to === "called" ? called : caller).host.handle(0, next.packet, next.path);
  }
  return established === 2;
}

/** As a proxy's. */
function offerOf({ random }: RehearsalEnvironment, { hit }: HostIdentity): HipOffer {
  const { checksumState, beetIpv4 } = I3_PREFERENCE_FLAG;
  const [address4, address6] = [new Uint8Array(4), new Uint8Array(16)];
  return { privateId: random(ID_BYTES), preferences: { flags: checksumState | beetIpv4, own4: address4, own6: hit, peer4: address4, peer6: address6 } };
}
