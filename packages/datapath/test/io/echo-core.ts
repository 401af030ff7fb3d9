/** The smallest cores: what a driver needs, and nothing else of an engine. */
import {
  type Counters,
  type Batch,
  type DatagramBatch,
  type DropReason,
  type PacketBatch,
  type Refreshed,
  type StepCore,
  type StepInput,
  type Upcall,
} from "@i3/datapath";

const REASONS: readonly DropReason[] = [
  "malformed", "version", "hip", "puzzle", "unknown-spi", "replay", "integrity", "sequence", "ecn", "unknown-id", "hop-limit", "copy-budget", "queue-full", "no-trigger", "no-route",
  "inner-address", "inner-malformed", "not-allocated", "rate", "amplification", "refused", "policy", "credit", "detour", "too-big", "translation", "unfair-in", "unfair-out", "io-error",
];

/** A core that does nothing; subclasses say what a step does. */
export abstract class TestCore implements StepCore {
  readonly implementation = "reference";
  steps = 0;
  tunIn = 0;
  udpIn = 0;

  step(nowMs: number, input: StepInput, tunOut: PacketBatch, udpOut: DatagramBatch): readonly Upcall[] {
    this.steps += 1;
    this.tunIn += input.tun?.count ?? 0;
    this.udpIn += input.udp?.count ?? 0;
    return this.work(nowMs, input, tunOut, udpOut);
  }

  abstract work(nowMs: number, input: StepInput, tunOut: PacketBatch, udpOut: DatagramBatch): readonly Upcall[];

  pending(): boolean {
    return false;
  }
  counters(): Counters {
    const drops = Object.fromEntries(REASONS.map((reason) => [reason, 0])) as Record<DropReason, number>;
    return { drops, tunIn: this.tunIn, tunOut: 0, udpIn: this.udpIn, udpOut: 0, upcalls: 0, hipAnswered: 0, refreshed: 0, challenged: 0 };
  }
  sendFailed(): void {}
  setFlow(): void {}
  setServices(): void {}
  setBehind(): void {}
  setForwarding(): void {}
  setTranslation(): void {}
  setInbound(): void {}
  setOutboundAssociation(): void {}
  setInboundAssociation(): void {}
  nextSequence(): bigint | undefined {
    return undefined;
  }
  setHipResponder(): void {}
  setTriggers(): void {}
  setLease(): void {}
  setRefreshAnswers(): void {}
  setChallengeAnswers(): void {}
  takeRefreshed(): readonly Refreshed[] {
    return [];
  }
  setKnownSource(): void {}
  setNeighbours(): void {}
  setResponsibility(): void {}
  setNextServer(): void {}
  setPassOn(): void {}
  setDefaultServer(): void {}
  setUplink(): void {}
  discardRoute(): void {}
  release(): void {}
  discard(): void {}
  send(): void {}
  setDetour(): void {}
  takeDetoured(): void {}
  inject(): void {}
  submit(): void {}
  deliver(): void {}
  flowCounters(): undefined {}
  lastUse(): number | undefined {
    return undefined;
  }
}

/** Copies packet `from` of one batch behind the last of another; false when that is full. */
export function appendPacket(input: Batch, from: number, output: Batch): boolean {
  if (output.count === output.lengths.length) return false;
  const length = input.lengths[from] ?? 0;
  const start = from * input.slotBytes;
  output.arena.set(input.arena.subarray(start, start + length), output.count * output.slotBytes);
  output.lengths[output.count] = length;
  output.count += 1;
  return true;
}

/** UDP goes back to its sender. */
export class EchoCore extends TestCore {
  override work(_nowMs: number, input: StepInput, _tunOut: PacketBatch, udpOut: DatagramBatch): readonly Upcall[] {
    for (let i = 0; i < (input.udp?.count ?? 0) && input.udp !== null; i++) {
      const to = udpOut.count * 18;
      if (appendPacket(input.udp, i, udpOut)) udpOut.addresses.set(input.udp.addresses.subarray(i * 18, i * 18 + 18), to);
    }
    return [];
  }
}
