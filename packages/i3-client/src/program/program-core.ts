/**
 * A native program's end of the overlay as a core: datagrams in, messages and events out (docs/wire.md §3, §4). It needs no packet engine, since
 * every packet of a program goes to JavaScript anyway (docs/adr/0007): of the engine's work it has what a program needs, and it tells the
 * rest of a stack, which the engine does not. No I/O, clock or randomness of its own.
 *
 * After every call: `client.takeEvents()`, then arm the timer for `nextDeadlineMs()`.
 */
import { WireError, type Locator } from "@i3/common";
import { classifyDatagram, decodeDataHeader, HOP_LIMIT, COPY_BUDGET, PAYLOAD_KIND, type Datagram } from "@i3/datapath";

import { I3Client } from "../i3-client.js";
import { WHOLE_LIMITS, type PacketLimits } from "../sender-paths.js";
import type { Message } from "./message.js";
import { OpenPaths } from "./open-paths.js";
import { Receivers } from "./receivers.js";

export interface ProgramEnvironment {
  /** Puts datagrams on the network at once; what the system does not take is lost. False: that is known already of one of them. */
  readonly send: (datagrams: readonly Datagram[]) => boolean;
  /** Bytes from a source that cannot be predicted. */
  readonly randomBytes: (length: number) => Uint8Array;
  /** The wall clock in ms. */
  readonly wallMs: () => number;
}

/** Packets since the start. */
export interface ProgramCounters {
  sent: number;
  /** Of these, past i3 to the receiver. */
  straight: number;
  received: number;
  /** Not sent: no server answered then. */
  noServer: number;
  /** Not forwarded: it has passed as many servers as it may. */
  hopLimit: number;
  /** Came for an id that has no trigger of ours, or none any more. */
  unknownId: number;
  /** Was for no native program: IP packets, HIP, ESP. */
  otherKind: number;
  /** Was no packet of i3, or of another version of it. */
  malformed: number;
}

export class ProgramCore {
  readonly counters: ProgramCounters = { sent: 0, straight: 0, received: 0, noServer: 0, hopLimit: 0, unknownId: 0, otherKind: 0, malformed: 0 };
  readonly client: I3Client;
  readonly receivers = new Receivers<Message>();
  readonly #environment: ProgramEnvironment;
  readonly #paths: OpenPaths;

  constructor(environment: ProgramEnvironment) {
    this.#environment = environment;
    const ignore = (): void => undefined;
    this.client = new I3Client({
      randomBytes: environment.randomBytes, wallMs: environment.wallMs,
      datapath: { send: (datagrams) => void environment.send(datagrams), setNextServer: ignore, setDefaultServer: ignore, setKnownSource: ignore, setUplink: ignore },
    });
    this.#paths = new OpenPaths(this.client);
  }

  /** To the first of 1 to 15 ids, with the others behind it. False: it is not sent, since no server answers now, or the system takes no more. `shortcut`: it may go straight to the receiver. */
  send(nowMs: number, ids: readonly Uint8Array[], payload: Uint8Array, { shortcut = false, ...limits }: Partial<PacketLimits> & { readonly shortcut?: boolean } = {}): boolean {
    const [head] = ids;
    if (head !== undefined) this.#paths.use(nowMs, head, shortcut);
    const datagram = this.client.packetAlong(ids, PAYLOAD_KIND.native, payload, { ...WHOLE_LIMITS, ...limits });
    if (datagram === null) {
      this.counters.noServer += 1;
      return false;
    }
    if (!this.#environment.send([datagram])) return false;
    this.counters.sent += 1;
    if (head !== undefined && this.client.shortcutOf(head) !== null) this.counters.straight += 1;
    return true;
  }

  /** On along the message's stack, which is not empty, with what is left of its limits. False: not sent. */
  forward(nowMs: number, { stack, hopLimit, copyBudget }: Message, payload: Uint8Array): boolean {
    if (hopLimit <= 1 || copyBudget < 1) {
      this.counters.hopLimit += 1;
      return false;
    }
    return this.send(nowMs, stack, payload, { hopLimit: Math.min(hopLimit, HOP_LIMIT) - 1, copyBudget: Math.min(copyBudget, COPY_BUDGET) });
  }

  /** Any bytes. */
  handleDatagram(nowMs: number, from: Locator, bytes: Uint8Array): void {
    switch (classifyDatagram(bytes[0] ?? 0, bytes.length)) {
      case "control": return this.client.handleControl(nowMs, from, bytes);
      case "data": return this.#handleData(bytes);
      case "keep-alive": return;
      case "hip": case "esp":
        this.counters.otherKind += 1;
        return;
      case "version": case "malformed":
        this.counters.malformed += 1;
    }
  }

  #handleData(bytes: Uint8Array): void {
    let decoded: ReturnType<typeof decodeDataHeader>;
    try {
      decoded = decodeDataHeader(bytes);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.counters.malformed += 1;
      return;
    }
    const { ids: [id, ...stack], payloadKind, hopLimit, copyBudget } = decoded.header;
    const receiver = id === undefined ? undefined : this.receivers.find(id);
    if (id === undefined || receiver === undefined) this.counters.unknownId += 1;
    else if (payloadKind !== PAYLOAD_KIND.native) this.counters.otherKind += 1;
    else {
      this.counters.received += 1;
      receiver({ id, payload: bytes.slice(decoded.payloadOffset), stack, hopLimit, copyBudget });
    }
  }

  handleTimer(nowMs: number): void {
    this.client.handleTimer(nowMs);
    this.#paths.handleTimer(nowMs);
  }

  nextDeadlineMs(): number {
    return Math.min(this.client.nextDeadlineMs(), this.#paths.nextDeadlineMs());
  }

  /** Of this, what {@link send} and {@link forward} can bring forward: to be looked at behind each packet, which all of it costs too much for. */
  sendDeadlineMs(): number {
    return Math.min(this.#paths.nextDeadlineMs(), this.client.shortcutDeadlineMs());
  }
}
