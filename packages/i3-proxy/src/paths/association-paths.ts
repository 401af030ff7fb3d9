/**
 * The paths past i3 of all associations with peers that allow them as we do (docs/wire.md §9.7): one {@link PathSet} each, and what they share: our own places, the budget of
 * checks, the SPIs by which messages find them.
 *
 *     established ──► our locators go to the peer, encrypted ──► checks ──► a path is proven ──► packets go there
 *          ▲ its locators, its checks, its packets from elsewhere                └── it dies ──► over i3 again, at once
 */
import { inRange, type AddressRange, type DecodedControl, type Locator, type ViaLocator } from "@i3/common";
import type { Datapath } from "@i3/datapath";
import { canBeOneHosts, CheckBudget, PathSet, RELAY, type PathActivity, type PathChoice, type PathCounters, type PathKeys, type PathMessage, type PathPlace, type PeerLocator } from "@i3/hip";

import type { OwnLocators } from "./own-locators.js";

export interface AssociationPathsEnvironment {
  readonly datapath: Pick<Datapath, "send">;
  readonly randomBytes: (length: number) => Uint8Array;
  readonly own: OwnLocators;
  /** Virtual IPv4 addresses: nobody is reached there from outside. */
  readonly range: AddressRange;
  /** Tells a peer where we are, encrypted. */
  readonly tell: (nowMs: number, association: number, locators: readonly PeerLocator[]) => void;
  /** Authentic bytes of an association's peer in all. */
  readonly heardBytes: (association: number) => number;
  /** Bytes to it in all. */
  readonly sentBytes: (association: number) => number;
  /** The longest packet, with IP's header, that a program's makes. */
  readonly mostBytes: (family: 4 | 6) => number;
  /** Packets of an association have another way now: {@link AssociationPaths.choice}. */
  readonly onChoice: (nowMs: number, association: number) => void;
}

export interface OpenedPaths {
  readonly association: number;
  /** Its HIT as a key: all associations with it share its part of the budget. */
  readonly peer: string;
  /** It has no name here. */
  readonly isStranger: boolean;
  readonly spiIn: number;
  /** The peer's. */
  readonly spiOut: number;
  readonly keys: PathKeys;
}

interface Opened {
  readonly association: number;
  readonly set: PathSet;
  spiOut: number;
  readonly spisIn: Set<number>;
  /** As the owner knows it. */
  told: PathChoice;
}

const RANK_SHIFT = 2 ** 24;
const KIND_PRIORITY = { host: 3, server: 2 } as const;
const MAX_RANK = 255;
const COUNTED = ["checks", "refused", "changes", "died", "probes"] as const satisfies readonly (keyof PathCounters)[];

export class AssociationPaths {
  readonly #env: AssociationPathsEnvironment;
  readonly #budget = new CheckBudget();
  readonly #opened = new Map<number, Opened>();
  readonly #bySpi = new Map<number, Opened>();
  #ended: PathCounters = { checks: 0, refused: 0, changes: 0, died: 0, probes: 0 };
  /** CHECKs and CHECKEDs for SPIs that we do not have. */
  #strange = 0;

  constructor(environment: AssociationPathsEnvironment) {
    this.#env = environment;
  }

  get counters(): Readonly<Record<keyof PathCounters | "strange" | "saved" | "open" | "straight", number>> {
    const all = { ...this.#ended, refused: this.#ended.refused + this.#env.own.refused, strange: this.#strange, saved: this.#budget.refused, open: this.#opened.size, straight: 0 };
    for (const { set } of this.#opened.values()) {
      for (const name of COUNTED) all[name] += set.counters[name];
      if (set.choice.kind === "straight") all.straight += 1;
    }
    return all;
  }

  /** An association whose packets may go past i3. Copies the keys. */
  open(nowMs: number, { association, peer, isStranger, spiIn, spiOut, keys }: OpenedPaths): void {
    this.close(association);
    const { randomBytes, own, heardBytes, sentBytes, mostBytes, datapath } = this.#env;
    const set = new PathSet({
      random: randomBytes, keys: { in: keys.in.slice(), out: keys.out.slice() }, peerSpi: () => opened.spiOut, budget: this.#budget.share(peer, isStranger), isPlausible: (locator) => this.#isPlausible(locator),
      heardBytes: () => heardBytes(association), sentBytes: () => sentBytes(association), mostBytes, send: (place, to, bytes, isWhole) => datapath.send([{ locator: viaPlace(to, place, isWhole), bytes, isStraight: true }]),
    });
    const opened: Opened = { association, set, spiOut, spisIn: new Set([spiIn]), told: set.choice };
    this.#opened.set(association, opened);
    this.#bySpi.set(spiIn, opened);
    set.setPlaces(nowMs, own.places);
    set.setActivity(nowMs, "carrying");
    this.#tell(nowMs, opened);
  }

  /** It is over, or may not go past i3 any more: the peer is told so by who ends it. */
  close(association: number): void {
    const opened = this.#opened.get(association);
    if (opened === undefined) return;
    this.#opened.delete(association);
    for (const spi of opened.spisIn) this.#bySpi.delete(spi);
    const { counters } = opened.set;
    for (const name of COUNTED) this.#ended[name] += counters[name];
    opened.set.wipe();
  }

  /** A rekey: another inbound SPI of ours beside the one of before. */
  addSpi(association: number, spiIn: number): void {
    const opened = this.#opened.get(association);
    if (opened === undefined) return;
    opened.spisIn.add(spiIn);
    this.#bySpi.set(spiIn, opened);
  }

  dropSpi(association: number, spiIn: number): void {
    if (this.#opened.get(association)?.spisIn.delete(spiIn) === true) this.#bySpi.delete(spiIn);
  }

  /** The peer takes this one now. */
  setPeerSpi(association: number, spiOut: number): void {
    const opened = this.#opened.get(association);
    if (opened !== undefined) opened.spiOut = spiOut;
  }

  /** Where packets of an association go. */
  choice(association: number): PathChoice {
    return this.#opened.get(association)?.set.choice ?? RELAY;
  }

  /** Our places or what is known of them have changed: {@link OwnLocators}. */
  handleOwn(nowMs: number): void {
    for (const opened of this.#opened.values()) {
      opened.set.setPlaces(nowMs, this.#env.own.places);
      this.#tell(nowMs, opened);
      this.#settle(nowMs, opened);
    }
  }

  /** Packets may get out that did not: whatever is not proven is looked at as in the beginning. */
  lookAgain(nowMs: number): void {
    for (const opened of this.#opened.values()) this.#with(nowMs, opened, ({ set }) => set.lookAgain(nowMs));
  }

  /** What a peer says of itself. */
  handleLocators(nowMs: number, association: number, locators: readonly PeerLocator[]): void {
    this.#with(nowMs, this.#opened.get(association), ({ set }) => set.setPeer(nowMs, locators.map(({ locator, priority }) => ({ locator, rank: MAX_RANK - Math.floor(priority / RANK_SHIFT) }))));
  }

  setActivity(nowMs: number, association: number, activity: PathActivity): void {
    this.#with(nowMs, this.#opened.get(association), ({ set }) => set.setActivity(nowMs, activity));
  }

  handleMessage(nowMs: number, from: Locator, decoded: Pick<DecodedControl, "nonce" | "mac">, message: PathMessage): void {
    const opened = this.#bySpi.get(message.spi);
    if (opened === undefined) this.#strange += 1;
    this.#with(nowMs, opened, ({ set }) => set.handle(nowMs, from, decoded, message));
  }

  /** The newest authentic packet of an association came from there. */
  handleElsewhere(nowMs: number, spi: number, from: Locator): void {
    this.#with(nowMs, this.#bySpi.get(spi), ({ set }) => set.heardFrom(nowMs, from));
  }

  /** The system refuses to send there. */
  handleSendFailed(nowMs: number, to: Locator): void {
    for (const opened of this.#opened.values()) this.#with(nowMs, opened, ({ set }) => set.failed(nowMs, to));
  }

  /** The interface by which it sends refuses packets of that length. */
  handleTooBig(nowMs: number, to: Locator): void {
    for (const opened of this.#opened.values()) this.#with(nowMs, opened, ({ set }) => set.tooBig(nowMs, to));
  }

  handleTimer(nowMs: number): void {
    for (const opened of this.#opened.values()) if (opened.set.dueMs <= nowMs) this.#with(nowMs, opened, () => undefined);
  }

  nextDeadlineMs(): number {
    let dueMs = Infinity;
    for (const { set } of this.#opened.values()) dueMs = Math.min(dueMs, set.dueMs);
    return dueMs;
  }

  #with(nowMs: number, opened: Opened | undefined, work: (opened: Opened) => void): void {
    if (opened === undefined) return;
    work(opened);
    this.#settle(nowMs, opened);
  }

  #settle(nowMs: number, opened: Opened): void {
    if (opened.set.dueMs <= nowMs) opened.set.handleTimer(nowMs);
    if (opened.set.choice === opened.told) return;
    opened.told = opened.set.choice;
    this.#env.onChoice(nowMs, opened.association);
  }

  #tell(nowMs: number, { association }: Opened): void {
    this.#env.tell(nowMs, association, this.#env.own.locators.map(({ kind, rank, locator }) => ({ kind, locator, priority: (MAX_RANK - rank) * RANK_SHIFT + (KIND_PRIORITY[kind] << 16) })));
  }

  /** What is in 0.0.0.0/8 or ::/8 is nobody's; virtual addresses and HITs lead into our own TUN. */
  #isPlausible({ address }: Locator): boolean {
    return address[0] !== 0 && canBeOneHosts(address) && !inRange(this.#env.range, address);
  }
}

/** A locator as the engine reaches it from a place. */
export const viaPlace = ({ address, port }: Locator, place: PathPlace | null, isWhole = false): ViaLocator => ({ address, port, ...(place === null ? {} : { interfaceIndex: place.interfaceIndex }), ...(isWhole && { isWhole }) });
