/** Virtual address → what to do with packets that local programs send to it. */
import type { ViaLocator } from "@i3/common";
import { IP_PROTOCOL, LIMITS, type Flow, type FlowCounters, type Services, type Strength } from "../datapath.js";
import { tableFull } from "../errors.js";
import { DATA_OFFSET, PAYLOAD_KIND, parseDataHeader } from "../wire/data-header.js";
import { DATA_FIRST_BYTE } from "../wire/first-byte.js";
import { requireName } from "./association-table.js";
import { encodeDatagramRoute } from "./endpoints.js";
import { addressKey, addressKeyAt, ringKeyAt, type AddressKey } from "./keys.js";
import { equalAt, ownBuffer, requireLength } from "./octets.js";
import { PacketQueue, type QueueBudget, type Queued } from "./queues.js";
import { prepareServices, requireStrength, STRENGTHS, STRONGEST } from "./services.js";
import { requireFamilies } from "./translation-table.js";

/** Behind a header to the server of its first id. */
export interface HeaderRoute {
  readonly header: Buffer;
  readonly ringKey: string;
}

/** Straight to a locator. */
interface StraightRoute {
  /** A route. */
  readonly endpoint: Uint8Array;
  readonly credit: Credit | null;
}

/** What may go to a locator that has not answered, by all ways of one account together. */
export class Credit {
  /** That have it. */
  ways = 0;
  #usedBytes = 0;
  /** Once a packet found too little left: none after it goes there, so that they stay in order. */
  #isOver = false;

  constructor(readonly account: number, readonly bytes: number, readonly endpoint: Uint8Array) {}

  isSame({ bytes, endpoint }: Credit): boolean {
    return bytes === this.bytes && equalAt(endpoint, 0, this.endpoint);
  }

  take(bytes: number): boolean {
    if (this.#isOver || this.#usedBytes + bytes > this.bytes) this.#isOver = true;
    else this.#usedBytes += bytes;
    return !this.#isOver;
  }

  /** What was taken for a packet that did not leave. */
  giveBack(bytes: number): void {
    this.#usedBytes -= bytes;
  }
}

interface Sending {
  readonly source: Buffer;
  readonly mtu: number | null;
}

/** A flow's action with everything that a packet needs ready. */
export type FlowAction =
  | { readonly action: "setup" }
  | ({ readonly action: "tunnel" } & Sending & HeaderRoute)
  | ({ readonly action: "esp"; readonly association: number; /** One at least. */ readonly straight: StraightRoute | null; readonly relay: HeaderRoute | null } & Sending)
  | { readonly action: "refuse" };

/** A packet that waits, as it came. */
export interface WaitingPacket extends Queued {
  readonly state: number;
}

/** Bytes. RFC 791 §3.1: what every host takes. */
const MIN_MTU = 576;
const MAX_MTU = 65_535;
const MAX_ACCOUNT = 0xffff_ffff;
type CreditOf = NonNullable<(Flow & { action: "esp" })["credit"]>;

/** What is done with packets of an address that need one strength. */
export class Way {
  readonly waiting: PacketQueue<WaitingPacket>;
  /** The control plane has been told of this set-up. */
  asked = false;

  constructor(readonly strength: Strength, public action: FlowAction, budget: QueueBudget) {
    this.waiting = new PacketQueue(LIMITS.queuedPacketsPerFlow, budget);
  }

  /** The MTU of an action that sends, or null. */
  get mtu(): number | null {
    return "mtu" in this.action ? this.action.mtu : null;
  }
}

export class FlowEntry {
  readonly #ways = new Map<Strength, Way>();
  /** null: every packet takes way 2. */
  services: Services | null = null;
  /** Its peer sends to, and hears from, others than this host. */
  forwards = false;
  /** The same peer's flow of the other family. */
  other: AddressKey | null = null;
  /** ms. */
  lastUse: number | undefined = undefined;
  packetsOut = 0;
  bytesOut = 0;
  packetsIn = 0;
  bytesIn = 0;
  answersOut = 0;

  constructor(readonly address: Uint8Array) {}

  way(strength: Strength): Way | undefined {
    return this.#ways.get(strength);
  }

  /** The strongest first. */
  get ways(): readonly Way[] {
    return STRENGTHS.flatMap((strength) => this.#ways.get(strength) ?? []);
  }

  add(way: Way): void {
    this.#ways.set(way.strength, way);
  }

  remove({ strength }: Way): void {
    this.#ways.delete(strength);
  }

  /** More than a way 2. */
  get isSpecial(): boolean {
    return this.services !== null || this.ways.some(({ strength }) => strength !== STRONGEST);
  }

  /** A copy that does not change later. */
  counters(): FlowCounters {
    const { packetsOut, bytesOut, packetsIn, bytesIn, answersOut } = this;
    return { packetsOut, bytesOut, packetsIn, bytesIn, answersOut };
  }
}

export class FlowTable {
  readonly #entries = new Map<AddressKey, FlowEntry>();
  readonly #budget: QueueBudget;
  /** Entries that are {@link FlowEntry.isSpecial}. */
  #special = 0;
  /** By account, the newest of each that a way has. */
  readonly #credits = new Map<number, Credit>();

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
   * Sets or replaces a way. What waits, the last use and the counters stay; `setup` begins a new set-up, whose first packet asks again.
   * Throws DatapathError ERR_I3_TABLE_FULL, RangeError.
   */
  set(address: Uint8Array, flow: Flow, strength: Strength): { readonly flow: FlowEntry; readonly way: Way } {
    const key = addressKey(address);
    requireStrength(strength);
    const action = prepareAction(flow, address.length);
    const known = this.#entries.get(key);
    if (known === undefined && this.#entries.size >= LIMITS.flows) throw tableFull("flow", LIMITS.flows);
    if (strength !== STRONGEST) this.#requireRoom(known);
    const entry = known ?? new FlowEntry(Uint8Array.from(address));
    this.#entries.set(key, entry);
    const way = entry.way(strength) ?? new Way(strength, { action: "setup" }, this.#budget);
    const before = way.action;
    // The old one may be the same: what was used of it stays used.
    way.action = this.#withCredit(action);
    this.#leaveCredit(before);
    way.asked = false;
    this.#change(entry, () => entry.add(way));
    return { flow: entry, way };
  }

  /** Throws DatapathError ERR_I3_TABLE_FULL, RangeError. Returns the flow, what waits in which is to be judged again; undefined: nothing has changed. */
  setServices(address: Uint8Array, services: Services | null): FlowEntry | undefined {
    const entry = this.#entries.get(addressKey(address));
    const made = services === null ? null : prepareServices(services);
    if (entry === undefined) {
      if (made !== null) throw noFlow();
      return undefined;
    }
    if (made === null && entry.services === null) return undefined;
    if (made !== null) this.#requireRoom(entry);
    this.#change(entry, () => (entry.services = made));
    return entry;
  }

  /** Throws RangeError. */
  setForwarding(address: Uint8Array, isOn: boolean, other: Uint8Array | null): void {
    const entry = this.#entries.get(addressKey(address));
    if (other !== null) requireFamilies(address, other);
    if (entry === undefined) throw noFlowToForward();
    entry.forwards = isOn;
    entry.other = other === null || !isOn ? null : addressKey(other);
  }

  /** Returns the ways that are gone, one or all, whose waiting packets the caller drops. */
  remove(address: Uint8Array, strength: Strength | undefined): readonly Way[] {
    const key = addressKey(address);
    if (strength !== undefined) requireStrength(strength);
    const entry = this.#entries.get(key);
    const gone = entry?.ways.filter((way) => strength === undefined || way.strength === strength) ?? [];
    if (entry === undefined || gone.length === 0) return [];
    this.#change(entry, () => {
      for (const way of gone) {
        entry.remove(way);
        this.#leaveCredit(way.action);
      }
      if (entry.ways.length > 0) return;
      entry.services = null;
      this.#entries.delete(key);
    });
    return gone;
  }

  /** The credit of its account, if a way has that already. */
  #withCredit(action: FlowAction): FlowAction {
    if (action.action !== "esp" || !action.straight?.credit) return action;
    const { straight } = action;
    const fresh = action.straight.credit;
    const known = this.#credits.get(fresh.account);
    const credit = known?.isSame(fresh) === true ? known : fresh;
    credit.ways += 1;
    this.#credits.set(credit.account, credit);
    return { ...action, straight: { ...straight, credit } };
  }

  #leaveCredit(action: FlowAction): void {
    const credit = action.action === "esp" ? action.straight?.credit : null;
    if (!credit) return;
    credit.ways -= 1;
    if (credit.ways === 0 && this.#credits.get(credit.account) === credit) this.#credits.delete(credit.account);
  }

  #requireRoom(entry: FlowEntry | undefined): void {
    if (entry?.isSpecial !== true && this.#special >= LIMITS.flowsWithServices) throw tableFull("flow services", LIMITS.flowsWithServices);
  }

  #change(entry: FlowEntry, act: () => void): void {
    const before = entry.isSpecial;
    act();
    this.#special += Number(entry.isSpecial) - Number(before);
  }
}

/** Services need a flow that they are of. */
export const noFlow = (): RangeError => new RangeError("services of an address that has no flow");

export const noFlowToForward = (): RangeError => new RangeError("forwarding for an address that has no flow");

export function prepareAction(flow: Flow, addressBytes: number): FlowAction {
  switch (flow.action) {
    case "tunnel":
      return { action: "tunnel", ...prepareSending(flow, addressBytes), ...prepareHeader(flow.header) };
    case "esp":
      requireName(flow.association);
      return { action: "esp", association: flow.association, ...prepareRoutes(flow), ...prepareSending(flow, addressBytes) };
    default:
      return { action: flow.action };
  }
}

function prepareSending({ source, mtu }: Flow & { action: "tunnel" | "esp" }, addressBytes: number): Sending {
  requireLength("flow source", source, addressBytes);
  if (mtu !== undefined && (!Number.isInteger(mtu) || mtu < MIN_MTU || mtu > MAX_MTU)) throw new RangeError(`flow MTU ${mtu}, expected ${MIN_MTU} to ${MAX_MTU}`);
  return { source: ownBuffer(source), mtu: mtu === undefined || mtu === MAX_MTU ? null : mtu };
}

function prepareHeader(bytes: Uint8Array): HeaderRoute {
  const header = ownBuffer(bytes);
  if (header[0] !== DATA_FIRST_BYTE || parseDataHeader(header, 0, header.length) < 0) throw new RangeError("flow header is no data header");
  return { header, ringKey: ringKeyAt(header, DATA_OFFSET.ids) };
}

function prepareRoutes({ header, locator, credit }: Flow & { action: "esp" }): { readonly straight: StraightRoute | null; readonly relay: HeaderRoute | null } {
  if (credit !== undefined) requireCredit(credit);
  if (credit === undefined ? (header === null) === (locator === null) : locator === null) throw new RangeError("an ESP flow has either a header or a locator, with a credit a locator");
  return { straight: locator === null ? null : prepareStraight(locator, credit), relay: header === null ? null : prepareRelay(header) };
}

function requireCredit({ account, bytes }: CreditOf): void {
  if (!(Number.isSafeInteger(bytes) && bytes > 0)) throw new RangeError(`credit ${bytes}, expected 1 to 2^53 - 1`);
  if (!Number.isInteger(account) || account < 0 || account > MAX_ACCOUNT) throw new RangeError(`account ${account} of a credit`);
}

function prepareStraight(locator: ViaLocator, credit: CreditOf | undefined): StraightRoute {
  if (locator.via === "ip" && locator.port !== IP_PROTOCOL.esp) throw new RangeError("an ESP flow by IP with another protocol");
  // To a peer itself no server leads.
  const endpoint = encodeDatagramRoute({ locator, isStraight: true });
  return { endpoint, credit: credit === undefined ? null : new Credit(credit.account, credit.bytes, endpoint) };
}

function prepareRelay(header: Uint8Array): HeaderRoute {
  const route = prepareHeader(header);
  const isBare = parseDataHeader(route.header, 0, route.header.length) === route.header.length;
  if (!isBare || route.header[DATA_OFFSET.payloadKind] !== PAYLOAD_KIND.esp) throw new RangeError("the header of an ESP flow is a data header of payload kind 4");
  return route;
}
