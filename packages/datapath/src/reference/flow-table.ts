/** Virtual address → what to do with packets that local programs send to it. */
import type { ViaLocator } from "@i3/common";
import { IP_PROTOCOL, LIMITS, type Flow, type FlowCounters } from "../datapath.js";
import { tableFull } from "../errors.js";
import { DATA_OFFSET, PAYLOAD_KIND, parseDataHeader } from "../wire/data-header.js";
import { DATA_FIRST_BYTE } from "../wire/first-byte.js";
import { requireName } from "./association-table.js";
import { encodeRoute } from "./endpoints.js";
import { addressKey, addressKeyAt, ringKeyAt, type AddressKey } from "./keys.js";
import { ownBuffer, requireLength } from "./octets.js";
import { PacketQueue, type QueueBudget, type Queued } from "./queues.js";

/** Behind a header to the server of its first id. */
interface HeaderRoute {
  readonly header: Buffer;
  readonly ringKey: string;
}

interface Sending {
  readonly source: Buffer;
  readonly mtu: number | null;
}

/** A flow's action with everything that a packet needs ready. */
export type FlowAction =
  | { readonly action: "setup" }
  | ({ readonly action: "tunnel" } & Sending & HeaderRoute)
  | ({ readonly action: "esp"; readonly association: number; readonly route: HeaderRoute | { readonly endpoint: Uint8Array } } & Sending)
  | { readonly action: "refuse" };

/** A packet that waits, as it came. */
export interface WaitingPacket extends Queued {
  readonly state: number;
}

/** Bytes. RFC 791 §3.1: what every host takes; RFC 8200 §5: what every link carries. */
const MIN_MTU = { v4: 576, v6: 1_280 } as const;
const MAX_MTU = 65_535;

export class FlowEntry {
  readonly address: Uint8Array;
  readonly waiting: PacketQueue<WaitingPacket>;
  action: FlowAction;
  /** The control plane has been told of this set-up. */
  asked = false;
  /** ms. */
  lastUse: number | undefined = undefined;
  packetsOut = 0;
  bytesOut = 0;
  packetsIn = 0;
  bytesIn = 0;

  constructor(address: Uint8Array, action: FlowAction, budget: QueueBudget) {
    this.address = address;
    this.action = action;
    this.waiting = new PacketQueue(LIMITS.queuedPacketsPerFlow, budget);
  }

  /** The MTU of an action that sends, or null. */
  get mtu(): number | null {
    return "mtu" in this.action ? this.action.mtu : null;
  }

  /** A copy that does not change later. */
  counters(): FlowCounters {
    const { packetsOut, bytesOut, packetsIn, bytesIn } = this;
    return { packetsOut, bytesOut, packetsIn, bytesIn };
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
   * Sets or replaces. What waits, the last use and the counters stay; `setup` begins a new set-up, whose first packet asks again.
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

export function prepareAction(flow: Flow, addressBytes: number): FlowAction {
  switch (flow.action) {
    case "tunnel":
      return { action: "tunnel", ...prepareSending(flow, addressBytes), ...prepareHeader(flow.header) };
    case "esp":
      requireName(flow.association);
      return { action: "esp", association: flow.association, route: prepareRoute(flow), ...prepareSending(flow, addressBytes) };
    default:
      return { action: flow.action };
  }
}

function prepareSending({ source, mtu }: Flow & { action: "tunnel" | "esp" }, addressBytes: number): Sending {
  requireLength("flow source", source, addressBytes);
  const least = addressBytes === 4 ? MIN_MTU.v4 : MIN_MTU.v6;
  if (mtu !== undefined && (!Number.isInteger(mtu) || mtu < least || mtu > MAX_MTU)) throw new RangeError(`flow MTU ${mtu}, expected ${least} to ${MAX_MTU}`);
  return { source: ownBuffer(source), mtu: mtu === undefined || mtu === MAX_MTU ? null : mtu };
}

function prepareHeader(bytes: Uint8Array): HeaderRoute {
  const header = ownBuffer(bytes);
  if (header[0] !== DATA_FIRST_BYTE || parseDataHeader(header, 0, header.length) < 0) throw new RangeError("flow header is no data header");
  return { header, ringKey: ringKeyAt(header, DATA_OFFSET.ids) };
}

function prepareRoute({ header, locator }: Flow & { action: "esp" }): HeaderRoute | { readonly endpoint: Uint8Array } {
  if ((header === null) === (locator === null)) throw new RangeError("an ESP flow has either a header or a locator");
  if (header === null) {
    const straight = locator as ViaLocator;
    if (straight.via === "ip" && straight.port !== IP_PROTOCOL.esp) throw new RangeError("an ESP flow by IP with another protocol");
    return { endpoint: encodeRoute(straight) };
  }
  const route = prepareHeader(header);
  const isBare = parseDataHeader(route.header, 0, route.header.length) === route.header.length;
  if (!isBare || route.header[DATA_OFFSET.payloadKind] !== PAYLOAD_KIND.esp) throw new RangeError("the header of an ESP flow is a data header of payload kind 4");
  return route;
}
