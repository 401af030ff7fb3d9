/**
 * What must hold of what passes between servers (docs/wire.md §4.2), judged by the wire alone: a request is answered once for each datagram that was sealed
 * for it, whatever comes again, and whoever of the two has started again since; and who awaits an answer itself says so now and then.
 */
import { encodeControl, type RingNode } from "@i3/common";

import type { ServerMachine } from "./server-machine.js";
import { CheckFailed } from "./trace.js";

const CONTROL = 0x19;
const TYPE = { find: 32, found: 33, state: 34, stateIs: 35, alive: 37, aliveYes: 38 } as const;
const NONCE_AT = 8;
const MAC_BYTES = 16;
/** Of so many that are asked some await an answer: one in ten does. */
const MANY_STATES = 800;

const text = (bytes: Uint8Array, from: number, to: number): string => {
  let out = "";
  for (let at = from; at < to; at += 1) out += String.fromCharCode(bytes[at] as number);
  return out;
};

/** Where "response pending" stands: of nodes with IPv4 addresses always at the same place. */
function pendingAt(): number {
  const from: RingNode = { key: new Uint8Array(16), locator: { address: new Uint8Array(4), port: 5_610 } };
  const [no, yes] = [false, true].map((pending) => encodeControl({ type: "STATE_IS", from, pending, predecessor: null, successors: [] }, new Uint8Array(8))) as [Uint8Array, Uint8Array];
  return no.findIndex((byte, i) => byte !== yes[i]);
}

const PENDING_AT = pendingAt();
const PENDING_YES = 0xc3;

/** What a server got with one nonce, in all its lives. */
interface Asked {
  readonly macs: string[];
  answers: number;
}

export class RingWireChecks {
  readonly #asked = new Map<string, Asked>();
  #states = 0;
  #pending = 0;

  /** A server that hears gets this from a server, or from somebody in its place. */
  got({ number }: ServerMachine, bytes: Uint8Array): void {
    const type = bytes[1];
    if (bytes[0] !== CONTROL || (type !== TYPE.find && type !== TYPE.state && type !== TYPE.alive) || bytes.length < NONCE_AT + 8 + MAC_BYTES) return;
    const key = number + text(bytes, NONCE_AT, NONCE_AT + 8);
    const mac = text(bytes, bytes.length - MAC_BYTES, bytes.length);
    const asked = this.#asked.get(key);
    if (asked === undefined) this.#asked.set(key, { macs: [mac], answers: 0 });
    else if (!asked.macs.includes(mac)) asked.macs.push(mac);
  }

  sent({ number, name }: ServerMachine, bytes: Uint8Array): void {
    const type = bytes[1];
    if (bytes[0] !== CONTROL || (type !== TYPE.found && type !== TYPE.stateIs && type !== TYPE.aliveYes)) return;
    if (type === TYPE.stateIs) {
      this.#states += 1;
      if (bytes[PENDING_AT] === PENDING_YES) this.#pending += 1;
    }
    const asked = this.#asked.get(number + text(bytes, NONCE_AT, NONCE_AT + 8));
    if (asked !== undefined) asked.answers += 1;
    if (asked === undefined || asked.answers > asked.macs.length) throw new CheckFailed("taken-again", `${name} answers ${asked?.answers ?? 1} times what came ${asked?.macs.length ?? 0} times anew`);
  }

  /** At the end of a run. */
  checkPending(): void {
    if (this.#states > MANY_STATES && this.#pending === 0) throw new CheckFailed("never-pending", `of ${this.#states} servers that were asked for their state none was awaiting another's`);
  }
}
