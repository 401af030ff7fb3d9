/**
 * Signed records of a run (docs/wire.md §4.3), and what must hold of them: a server gives out, and a client finds, only what its owner has signed, and no
 * server gives out an older one than it has acknowledged, or none, in the same life.
 */
import { bytesKey, CONTROL_TYPES, decodeControl, decodeRecord, encodeServerList, RECORD_KIND, recordKey, type RingNode, type SignedRecord } from "@i3/common";
import { signRecord, type TriggerKey } from "@i3/hip";

import { FAR_S } from "./groups.js";
import type { ServerMachine } from "./server-machine.js";
import { CheckFailed } from "./trace.js";

const CONTROL = 0x19;

export interface OwnRecord {
  /** 16 bytes. */
  readonly key: Uint8Array;
  readonly newest: SignedRecord;
}

export class Records {
  /** By ring key, in the order in which they were made first. */
  readonly newest = new Map<string, OwnRecord>();
  /** What owners have signed, all of it. */
  readonly all: SignedRecord[] = [];
  readonly #signed = new Set<string>();
  /** Ring keys, each with a sequence that its owner has signed. */
  readonly #sequences = new Set<string>();
  /** Server's life and ring key → sequence that it has acknowledged. */
  readonly #acknowledged = new Map<string, number>();
  /** The same, of all servers: ring keys with a sequence. */
  readonly #taken = new Set<string>();
  /** Client and ring key → what it found last. */
  readonly lastFound = new Map<string, SignedRecord | null>();
  #sequence = 0;

  /** A newer record of this key: a list of these servers, or where there are none a name. */
  sign(key: TriggerKey, servers: readonly RingNode[]): OwnRecord {
    this.#sequence += 1;
    const isList = servers.length > 0;
    const hit = Uint8Array.of(0x20, 0x01, 0, 0x21, ...key.prefix.subarray(0, 12));
    const record = signRecord(key, {
      kind: isList ? RECORD_KIND.serverList : RECORD_KIND.name, label: "sim", sequence: this.#sequence, notAfterS: FAR_S, value: isList ? encodeServerList(servers) : hit,
    });
    const own = { key: recordKey(record), newest: record };
    this.all.push(record);
    this.#signed.add(bytesKey(record.bytes));
    this.#sequences.add(`${record.sequence} ${bytesKey(own.key)}`);
    this.newest.set(bytesKey(own.key), own);
    return own;
  }

  found(client: string, ringKey: Uint8Array, record: SignedRecord | null): void {
    this.lastFound.set(`${client} ${bytesKey(ringKey)}`, record);
    if (record !== null && !this.#signed.has(bytesKey(record.bytes))) throw new CheckFailed("forged-record", `${client} takes a record that its owner has not signed`);
  }

  serverSent({ name, number, life }: ServerMachine, bytes: Uint8Array): void {
    if (bytes[0] !== CONTROL || (bytes[1] !== CONTROL_TYPES.RECORD_OK && bytes[1] !== CONTROL_TYPES.RECORD_IS)) return;
    const { message } = decodeControl(bytes);
    if (message.type !== "RECORD_OK" && message.type !== "RECORD_IS") return;
    const place = `${number}.${life} ${bytesKey(message.ringKey)}`;
    const acknowledged = this.#acknowledged.get(place) ?? 0;
    const sequence = message.type === "RECORD_OK" ? message.sequence : message.record === null ? 0 : this.#sequenceOf(name, message.record);
    if (sequence < acknowledged) throw new CheckFailed("old-record", `${name} has record ${sequence} of a key of which it acknowledged ${acknowledged}`);
    if (message.type === "RECORD_OK" && !this.#sequences.has(`${sequence} ${bytesKey(message.ringKey)}`)) throw new CheckFailed("forged-record", `${name} acknowledges record ${sequence}, which its owner has not signed`);
    if (message.type !== "RECORD_OK") return;
    this.#acknowledged.set(place, sequence);
    this.#taken.add(`${sequence} ${bytesKey(message.ringKey)}`);
  }

  /** Whether a server has said that it has it. */
  isAcknowledged({ key, newest }: OwnRecord): boolean {
    return this.#taken.has(`${newest.sequence} ${bytesKey(key)}`);
  }

  #sequenceOf(server: string, bytes: Uint8Array): number {
    if (!this.#signed.has(bytesKey(bytes))) throw new CheckFailed("forged-record", `${server} gives out a record that its owner has not signed`);
    return decodeRecord(bytes).sequence;
  }
}
