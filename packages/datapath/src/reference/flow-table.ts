/** Virtual address → what to do with packets that local programs send to it. */
import { LIMITS, type Flow } from "../datapath.js";
import { tableFull } from "../errors.js";
import { DATA_OFFSET, parseDataHeader } from "../wire/data-header.js";
import { DATA_FIRST_BYTE } from "../wire/first-byte.js";
import { addressKey, addressKeyAt, ringKeyAt, type AddressKey } from "./keys.js";
import { ownBuffer, requireLength } from "./octets.js";
import { PacketQueue, type QueueBudget, type Queued } from "./queues.js";

/** A flow's action with everything that a packet needs ready. */
export type FlowAction =
  | { readonly action: "setup" }
  | { readonly action: "tunnel"; readonly header: Buffer; readonly source: Buffer; readonly ringKey: string }
  | { readonly action: "refuse" };

export class FlowEntry {
  readonly address: Uint8Array;
  readonly waiting: PacketQueue<Queued>;
  action: FlowAction;
  /** The control plane has been told of this set-up. */
  asked = false;
  /** ms. */
  lastUse: number | undefined = undefined;

  constructor(address: Uint8Array, action: FlowAction, budget: QueueBudget) {
    this.address = address;
    this.action = action;
    this.waiting = new PacketQueue(LIMITS.queuedPacketsPerFlow, budget);
  }
}

export class FlowTable {
  readonly #entries = new Map<AddressKey, FlowEntry>();
  readonly #budget: QueueBudget;

  constructor(budget: QueueBudget) {
    this.#budget = budget;
  }

  /** The flow of a packet whose destination of `length` bytes is at `at`. */
  at(bytes: Buffer, at: number, length: number): FlowEntry | undefined {
    return this.#entries.get(addressKeyAt(bytes, at, length));
  }

  byKey(key: AddressKey): FlowEntry | undefined {
    return this.#entries.get(key);
  }

  /**
   * Sets or replaces. What waits and the last use stay; `setup` begins a new set-up, whose first packet asks again.
   * Throws DatapathError ERR_I3_TABLE_FULL, RangeError.
   */
  set(address: Uint8Array, flow: Flow): void {
    const key = addressKey(address);
    const action = prepareAction(flow, address.length);
    const entry = this.#entries.get(key);
    if (entry === undefined) return this.#insert(key, address, action);
    entry.action = action;
    entry.asked = false;
  }

  #insert(key: AddressKey, address: Uint8Array, action: FlowAction): void {
    if (this.#entries.size >= LIMITS.flows) throw tableFull("flow", LIMITS.flows);
    this.#entries.set(key, new FlowEntry(Uint8Array.from(address), action, this.#budget));
  }

  /** Returns the removed entry, whose waiting packets the caller drops. */
  remove(address: Uint8Array): FlowEntry | undefined {
    const key = addressKey(address);
    const entry = this.#entries.get(key);
    this.#entries.delete(key);
    return entry;
  }
}

function prepareAction(flow: Flow, addressBytes: number): FlowAction {
  if (flow.action !== "tunnel") return { action: flow.action };
  requireLength("flow source", flow.source, addressBytes);
  const header = ownBuffer(flow.header);
  if (header[0] !== DATA_FIRST_BYTE || parseDataHeader(header, 0, header.length) < 0) throw new RangeError("flow header is no data header");
  return { action: "tunnel", header, source: ownBuffer(flow.source), ringKey: ringKeyAt(header, DATA_OFFSET.ids) };
}
