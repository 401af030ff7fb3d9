/** Which set-up a mapping has: the plain one of the paper, or HIP. Each knows only its own mappings. */
import { PAYLOAD_KIND, type Upcall } from "@i3/datapath";

import type { Mapping } from "../mappings/mapping.js";
import type { HipSetup } from "./hip-setup.js";
import type { Setup } from "./setup.js";

export class Setups {
  readonly plain: Setup;
  readonly #makeHip: () => HipSetup;
  #hip: HipSetup | null = null;

  /** @param makeHip called when encryption is wanted for the first time */
  constructor(plain: Setup, makeHip: () => HipSetup) {
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
    if (mapping.security === "none") this.plain.install(mapping);
    else this.enableHip().install(mapping);
  }

  restore(mapping: Mapping, mustCall: boolean): void {
    if (mapping.security === "none") this.plain.restore(mapping, mustCall);
    else this.enableHip().restore(mapping);
  }

  uninstall(nowMs: number, mapping: Mapping): void {
    if (mapping.security === "none") this.plain.uninstall(mapping);
    else this.#hip?.uninstall(nowMs, mapping);
  }

  /** A program's packet waits in the engine. */
  call(nowMs: number, mapping: Mapping, firstPacket: Uint8Array): void {
    if (mapping.security !== "none") this.enableHip().call(nowMs, mapping);
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

  /** Now and then, for each mapping, with how long it has carried nothing. */
  watch(nowMs: number, mapping: Mapping, isLongSilent: boolean): void {
    if (mapping.security !== "none") this.#hip?.watch(nowMs, mapping);
    else if (isLongSilent) this.plain.rest(mapping);
  }

  handleTimer(nowMs: number): void {
    this.plain.handleTimer(nowMs);
    this.#hip?.handleTimer(nowMs);
  }

  nextDeadlineMs(): number {
    return Math.min(this.plain.nextDeadlineMs(), this.#hip?.nextDeadlineMs() ?? Infinity);
  }
}
