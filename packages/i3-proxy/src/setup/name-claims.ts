/** Names that this host claims in the ring, for those who trust on first use (docs/wire.md §4.1). */
import { bytesKey, claimId, domainHash, nameIdOfKey, nameKey, REFUSAL, type Log } from "@i3/common";
import type { Datapath } from "@i3/datapath";
import { triggerKeyFromSeed, triggerKeySeed, type TriggerKey } from "@i3/hip";
import type { I3Client } from "@i3/i3-client";

export interface NameClaimsEnvironment {
  readonly names: readonly string[];
  /** Keys of claims come from it, so that those of the last run are ours too. */
  readonly sharedKey: TriggerKey;
  readonly datapath: Pick<Datapath, "setInbound">;
  readonly client: Pick<I3Client, "insertTrigger">;
  readonly log: Log;
}

interface Claim {
  readonly name: string;
  readonly nameKey: Uint8Array;
  readonly key: TriggerKey;
  readonly id: Uint8Array;
}

export class NameClaims {
  /** Where callers of the names come in. */
  readonly ids: readonly Uint8Array[];
  readonly #env: NameClaimsEnvironment;
  readonly #claims = new Map<string, Claim>();
  /** Last refusal of a claim: it is tried again all the time, and told once. */
  readonly #refused = new Map<Claim, number>();

  constructor(environment: NameClaimsEnvironment) {
    this.#env = environment;
    const { names, sharedKey } = environment;
    const claims = names.map((name): Claim => {
      const ofName = nameKey(name);
      const key = triggerKeyFromSeed(domainHash("claim seed", triggerKeySeed(sharedKey), ofName));
      return { name, nameKey: ofName, key, id: claimId(ofName, key.publicKey) };
    });
    this.ids = claims.map((claim) => nameIdOfKey(claim.nameKey));
    for (const claim of claims) this.#claims.set(bytesKey(claim.id), claim);
  }

  start(nowMs: number): void {
    const { datapath, client } = this.#env;
    for (const id of this.ids) datapath.setInbound(id, { action: "upcall" });
    for (const { id, nameKey: ofName, key } of this.#claims.values()) client.insertTrigger(nowMs, id, { kind: "name", nameKey: ofName, key });
  }

  /** Whether a trigger is one of these. */
  has(id: Uint8Array): boolean {
    return this.#claims.has(bytesKey(id));
  }

  /** False when the trigger is none of these. */
  handleRefused(id: Uint8Array, code: number): boolean {
    const claim = this.#claims.get(bytesKey(id));
    if (claim === undefined) return false;
    if (this.#refused.get(claim) !== code) this.#env.log("warn", "name-refused", { name: claim.name, code, remedy: remedyFor(code) });
    this.#refused.set(claim, code);
    return true;
  }
}

const remedyFor = (code: number): string => (code === REFUSAL.quota
  ? "Others claim this name, as many as the ring allows, or another machine at this address does. It is tried again."
  : "The ring's servers do not let names be claimed: <limits claims-per-name> of their configuration.");
