/** Which set-up a mapping has: the plain one of the paper, or HIP. Each knows only its own mappings. */
import { PAYLOAD_KIND, type Strength, type Upcall } from "@i3/datapath";

import { isPlain, type Mapping } from "../mappings/mapping.js";
import type { MappingTable } from "../mappings/mapping-table.js";
import { isSamePolicy, strongestOf, type PeerPolicy } from "../policy/policy.js";
import type { HipSetup } from "./hip-setup.js";
import type { Setup } from "./setup.js";

/** Ours: a CLOSE costs a signature, and others wait behind it. */
const TOLD_AT_ONCE = 64;

export class Setups {
  readonly plain: Setup;
  readonly #mappings: MappingTable;
  readonly #makeHip: () => HipSetup;
  #hip: HipSetup | null = null;

  /** @param makeHip called when encryption is wanted for the first time */
  constructor(mappings: MappingTable, plain: Setup, makeHip: () => HipSetup) {
    this.#mappings = mappings;
    this.plain = plain;
    this.#makeHip = makeHip;
  }

  /** Null: nothing of this host is encrypted. */
  get hip(): HipSetup | null {
    return this.#hip;
  }

  enableHip(): HipSetup {
    return (this.#hip ??= this.#makeHip());
  }

  install(mapping: Mapping): void {
    if (isPlain(mapping)) this.plain.install(mapping);
    else this.enableHip().install(mapping);
  }

  restore(mapping: Mapping, mustCall: boolean): void {
    if (isPlain(mapping)) this.plain.restore(mapping, mustCall);
    else this.enableHip().restore(mapping);
  }

  uninstall(nowMs: number, mapping: Mapping): void {
    if (isPlain(mapping)) {
      this.plain.uninstall(mapping);
      this.#hip?.letGo(mapping);
    } else this.#hip?.uninstall(nowMs, mapping);
  }

  /** Other rules for a mapping, or another name: acts on it as it lives. False when there is no room for its services. */
  setPolicy(nowMs: number, mapping: Mapping, policy: PeerPolicy): boolean {
    if (isSamePolicy(mapping.policy, policy)) return true;
    const isOtherKind = (strongestOf(policy) === "none") !== (mapping.security === "none");
    if (isOtherKind) {
      this.uninstall(nowMs, mapping);
      mapping.peer = null;
      mapping.state = "idle";
    }
    if (!this.#mappings.setPolicy(mapping, policy)) return false;
    if (isOtherKind || isPlain(mapping)) this.install(mapping);
    else this.enableHip().handlePolicy(nowMs, mapping);
    return true;
  }

  /** A program's packet waits in the engine, on the way of a strength. */
  call(nowMs: number, mapping: Mapping, firstPacket: Uint8Array, strength: Strength): void {
    if (!isPlain(mapping)) this.enableHip().call(nowMs, mapping, strength);
    else if (mapping.state === "idle") this.plain.call(nowMs, mapping, firstPacket);
  }

  handleUpcall(nowMs: number, upcall: Extract<Upcall, { kind: "payload" | "hip" }>): void {
    if (upcall.kind === "payload" && upcall.payloadKind !== PAYLOAD_KIND.hip) this.plain.handlePayload(nowMs, upcall);
    else this.#hip?.handleUpcall(nowMs, upcall);
  }

  handleNotPresent(nowMs: number, id: Uint8Array): void {
    this.plain.handleNotPresent(nowMs, id);
    this.#hip?.handleNotPresent(nowMs, id);
  }

  handlePathChanged(id: Uint8Array): void {
    this.plain.handlePathChanged(id);
    this.#hip?.handlePathChanged(id);
  }

  /** The ring has fallen silent, or is back. */
  handleRing(): void {
    for (const mapping of this.#mappings.all()) if (mapping.state === "open") this.install(mapping);
  }

  /** Now and then, for each mapping, with how long it has carried nothing. */
  watch(nowMs: number, mapping: Mapping, isLongSilent: boolean): void {
    if (!isPlain(mapping)) this.#hip?.watch(nowMs, mapping);
    else if (isLongSilent) this.plain.rest(mapping);
  }

  /** The access list has changed. */
  recheckAccess(nowMs: number): void {
    this.plain.recheckAccess(nowMs);
    this.#hip?.recheckAccess(nowMs);
  }

  /** This host goes: peers are told, some at a time. False: not all know yet. What is plain has no word for it. */
  leave(nowMs: number): boolean {
    return this.#hip === null || this.#hip.leave(nowMs, TOLD_AT_ONCE) === 0;
  }

  handleTimer(nowMs: number): void {
    this.plain.handleTimer(nowMs);
    this.#hip?.handleTimer(nowMs);
  }

  nextDeadlineMs(): number {
    return Math.min(this.plain.nextDeadlineMs(), this.#hip?.nextDeadlineMs() ?? Infinity);
  }
}
