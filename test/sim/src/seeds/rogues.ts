/**
 * Those who have addresses of their own, answer challenges, and ask for what is not theirs: what docs/wire.md §4.1 and §4.2 refuse though the cookie is good.
 * None of it is ever to be taken: WireChecks knows what owners sign and send, and these are not they.
 */
import { bytesKey, decodeControl, encodeControl, privateId, TRIGGER_ACTION, type TriggerMessage } from "@i3/common";
import { certifyMember, signStep, signTrigger, triggerKeyFromSeed, type TriggerKey, type TriggerSigner, type UnsignedTrigger } from "@i3/hip";

import type { ClientMachine, Wanted } from "./client-machine.js";
import { Draw } from "./draw.js";
import { endpointText, locatorOf, type Endpoint } from "./endpoints.js";
import { drawGroupId, FAR_S, groupKey } from "./groups.js";
import { sign } from "./known-signatures.js";
import { inRingOrder, responsible } from "./ring-checks.js";
import { strangeCredential } from "./server-machine.js";
import type { World } from "./world.js";

/** 2001-09-09, s since 1970: no clock that is wrong by an hour is there. */
const LONG_AGO_S = 1_000_000_000;
/** More than any trigger has been refreshed in two minutes, and fewer than a server lets be lost in a row. */
const MOST_STEPS = 24;
const COUNTER = 1_900_000_000_000;

type Fault = "foreign address" | "token of its own" | "token for another" | "foreign id" | "certificate that its group has not signed" | "certificate of another group" | "certificate that has ended";
const FAULTS: readonly Fault[] = ["foreign address", "token of its own", "token for another", "foreign id", "certificate that its group has not signed", "certificate of another group", "certificate that has ended"];
const CREDENTIALS = ["foreign", "unsigned", "ended"] as const;

const KEY: TriggerKey = triggerKeyFromSeed(new Draw("rogue key").bytes(32));
const certificates = new Map<string, Uint8Array>();

/** By `key` for the rogue. */
function certificateBy(key: TriggerKey, notAfterS: number): Uint8Array {
  const name = `${bytesKey(key.publicKey)} ${notAfterS}`;
  let certificate = certificates.get(name);
  if (certificate === undefined) certificates.set(name, (certificate = certifyMember(key, KEY.publicKey, notAfterS)));
  return certificate;
}

interface Claim {
  readonly id: Uint8Array;
  readonly signer: TriggerSigner;
  readonly target: UnsignedTrigger["target"];
}

export class Rogues {
  readonly #world: World;
  readonly #draw: Draw;
  readonly #newAddress: () => Endpoint;

  /** @param newAddress of somebody who was not there before */
  constructor(seed: string, world: World, newAddress: () => Endpoint) {
    this.#world = world;
    this.#draw = new Draw(`${seed}/rogues`);
    this.#newAddress = newAddress;
  }

  /** What one of them does; null: nothing that could be done now. */
  act(wanted: readonly { readonly client: ClientMachine; readonly trigger: Wanted }[]): string | null {
    const what = this.#draw.below(10);
    if (what < 2) return this.#enter();
    if (what < 4) return this.#refresh(wanted);
    return this.#claim(wanted.map(({ trigger }) => trigger));
  }

  /** Shows a server a credential that is worth nothing. */
  #enter(): string {
    const kind = this.#draw.pick(CREDENTIALS);
    const nonce = this.#draw.bytes(8);
    this.#world.wire.noMember(nonce);
    this.#world.inject(this.#newAddress(), this.#draw.pick([...this.#world.servers.keys()]), encodeControl({ type: "HELLO", credential: strangeCredential(kind) }, nonce));
    return `shows a credential that is ${kind}`;
  }

  /** From the owner's address, with a token that is none. */
  #refresh(wanted: readonly { readonly client: ClientMachine; readonly trigger: Wanted }[]): string | null {
    if (wanted.length === 0) return null;
    const { client, trigger } = this.#draw.pick(wanted);
    const server = client.serverOf(trigger.id);
    if (server === null) return null;
    const member = trigger.certificate === null ? null : trigger.key.publicKey;
    this.#world.inject(client.endpoint, server, encodeControl({ type: "REFRESH", id: trigger.id, index: this.#draw.between(1, MOST_STEPS), token: this.#draw.bytes(16), member }, this.#draw.bytes(8)));
    return `refreshes a trigger of ${client.name}`;
  }

  /** Gets a cookie, and asks with it for a trigger. */
  #claim(wanted: readonly Wanted[]): string | null {
    const fault = this.#draw.pick(FAULTS);
    const claim = this.#claimWith(fault, wanted);
    if (claim === null) return null;
    const key = claim.id.slice(0, 16);
    const server = responsible(inRingOrder(this.#world.talking()), bytesKey(key));
    if (server === undefined) return null;
    const from = this.#newAddress();
    this.#world.strangers.set(from, (bytes) => {
      const { message } = decodeControl(bytes);
      if (message.type !== "CHALLENGE") return;
      this.#world.strangers.delete(from);
      const target = claim.target ?? locatorOf(from);
      const trigger = { action: TRIGGER_ACTION.insert, id: claim.id, target, flags: 0, counter: COUNTER, commitment: this.#draw.bytes(16), cookie: message.cookie };
      this.#world.inject(from, server.endpoint, encodeControl(signed(claim.signer, trigger, message.nodeKey), this.#draw.bytes(8)));
    });
    this.#world.inject(from, server.endpoint, encodeControl({ type: "CHALLENGE_REQUEST", ringKey: key, flags: 0 }, this.#draw.bytes(8)));
    return `at ${endpointText(from)} asks for a trigger with a ${fault}`;
  }

  #claimWith(fault: Fault, wanted: readonly Wanted[]): (Omit<Claim, "target"> & { readonly target: Claim["target"] | null }) | null {
    const own = { id: privateId(KEY.prefix, this.#draw.bytes(16)), signer: { kind: "private", key: KEY } as const };
    const to = wanted.length === 0 ? null : this.#draw.pick(wanted);
    const at = drawGroupId(this.#draw);
    const member = (certificate: Uint8Array): TriggerSigner => ({ kind: "member", certificate, key: KEY });
    switch (fault) {
      case "foreign address": return { ...own, target: locatorOf(this.#newAddress()) };
      // The key is its own, so it does not own the id.
      case "token of its own": return to === null ? null : { ...own, target: { steps: [signStep(own.signer, own.id, to.id, FAR_S)] } };
      // The owner's key stands in it, and the owner has signed another.
      case "token for another": return to === null ? null : { ...own, target: { steps: [signStep(to.agrees, to.id, to.id, FAR_S)] } };
      case "foreign id": return to === null || to.certificate !== null ? null : { id: to.id, signer: own.signer, target: null };
      case "certificate that its group has not signed": {
        const certificate = certificateBy(groupKey(at.group), FAR_S).slice();
        certificate.set(this.#draw.bytes(64), certificate.length - 64);
        return { id: at.id, signer: member(certificate), target: null };
      }
      case "certificate of another group": return { id: at.id, signer: member(certificateBy(KEY, FAR_S)), target: null };
      case "certificate that has ended": return { id: at.id, signer: member(certificateBy(groupKey(at.group), LONG_AGO_S)), target: null };
    }
  }
}

/** A member's is signed in earnest: a known signature would stand for the certificate too. */
const signed = (signer: TriggerSigner, trigger: UnsignedTrigger, nodeKey: Uint8Array): TriggerMessage =>
  signer.kind === "member" ? signTrigger(signer, trigger, nodeKey) : sign(signer, trigger, nodeKey);
