/**
 * What must hold of data packets on their way through triggers (docs/wire.md §3): hop limit and copy budget end every loop and bomb. A packet is known by the
 * number at the beginning of its payload, which nobody else's has.
 */
import { COPY_BUDGET, DATA_OFFSET, HOP_LIMIT, parseDataHeader } from "@i3/datapath";

import { CheckFailed } from "./trace.js";

const DATA = 0x11;
const NUMBER_BYTES = 8;
/** The network makes so many second copies of one packet: in a loop each would have more. */
const MAX_DOUBLES = 4;

interface Packet {
  /** Put in by somebody who is no server. */
  entered: number;
  doubled: number;
  /** Hop limit → copy budgets of all that servers sent with it. */
  readonly budgets: Map<number, number>;
}

export class PacketChecks {
  readonly #packets = new Map<string, Packet>();

  /** Who is no server sends it. */
  entered(bytes: Uint8Array): void {
    const packet = this.#of(bytes);
    if (packet !== null) packet.entered += 1;
  }

  /** A server sends it: at each hop limit there is what one packet may have, shared among its copies. */
  passed(bytes: Uint8Array): void {
    const packet = this.#of(bytes);
    if (packet === null) return;
    const hopLimit = bytes[DATA_OFFSET.hopLimit] ?? 0;
    const budget = (packet.budgets.get(hopLimit) ?? 0) + (bytes[DATA_OFFSET.copyBudget] ?? 0);
    packet.budgets.set(hopLimit, budget);
    if (hopLimit < HOP_LIMIT && budget <= (packet.entered + packet.doubled) * COPY_BUDGET) return;
    throw new CheckFailed("copies", `of a packet that was sent ${packet.entered} times and doubled ${packet.doubled} times, copies with hop limit ${hopLimit} may be copied ${budget} times`);
  }

  mayDouble(bytes: Uint8Array): boolean {
    const packet = this.#of(bytes);
    return packet === null || packet.doubled < MAX_DOUBLES;
  }

  doubled(bytes: Uint8Array): void {
    const packet = this.#of(bytes);
    if (packet !== null) packet.doubled += 1;
  }

  #of(bytes: Uint8Array): Packet | null {
    if (bytes[0] !== DATA) return null;
    const header = parseDataHeader(bytes, 0, bytes.length);
    if (header < 0 || header + NUMBER_BYTES > bytes.length) return null;
    const number = Buffer.from(bytes.buffer, bytes.byteOffset + header, NUMBER_BYTES).toString("latin1");
    let packet = this.#packets.get(number);
    if (packet === undefined) this.#packets.set(number, (packet = { entered: 0, doubled: 0, budgets: new Map() }));
    return packet;
  }
}
