/**
 * What the encrypted set-up has to do with paths past i3 (paths/): which associations may have them, and what HIP and the packet engine say of theirs.
 */
import { bytesKey, sameLocator, type AddressRange, type DecodedControl, type Locator, type Log } from "@i3/common";
import type { Datapath, Upcall } from "@i3/datapath";
import { type EstablishedEvent, type HipEvent, type HipHost, type PathChoice, type PathMessage } from "@i3/hip";
import type { I3Client } from "@i3/i3-client";

import type { Mapping } from "../mappings/mapping.js";
import { AssociationPaths } from "../paths/association-paths.js";
import type { OwnLocators } from "../paths/own-locators.js";
import { PathLog, type PathLogPeer } from "../paths/path-log.js";
import { SeenFromOutside } from "../paths/seen-from-outside.js";
import { mostOuter } from "./esp-room.js";
import { peerText } from "./unreachable.js";

// Ours:
/** Nothing has gone or come for so long: the path is let go, NATs may forget it. */
const IDLE_MS = 120_000;
/** As far as the engine is asked: {@link StraightWays.watch}. */
const CARRYING_MS = 5_000;

export interface StraightWaysEnvironment {
  readonly datapath: Datapath;
  readonly client: I3Client;
  readonly own: OwnLocators;
  readonly range: AddressRange;
  /** Bytes: no program sends a longer packet. */
  readonly tunMtu: number;
  readonly randomBytes: (length: number) => Uint8Array;
  readonly hip: () => HipHost;
  readonly mappingOf: (association: number) => Mapping | undefined;
  readonly install: (mapping: Mapping) => void;
  readonly log: Log;
}

/** Whether packets of an association may go past i3: both want it, and they would go over i3 otherwise. */
export const isStraightAllowed = ({ policy }: Mapping, { shortcuts, path }: Pick<EstablishedEvent, "shortcuts" | "path">): boolean => policy.shortcut && shortcuts && path.kind === "i3";

/** Living servers, the nearest first: those that are configured or listed, as long as one of them lives. Of the others a server may have named any that agrees with it. */
export function witnesses(client: Pick<I3Client, "servers" | "configuredServers">): readonly Locator[] {
  const alive = client.servers().filter(({ liveness }) => liveness === "alive").sort((a, b) => a.rttMs - b.rttMs).map(({ locator }) => locator);
  const configured = client.configuredServers();
  const known = alive.filter((locator) => configured.some((each) => sameLocator(each, locator)));
  return known.length > 0 ? known : alive;
}

function whyNot({ policy, isStranger }: Mapping): string {
  if (policy.shortcut) return "the other host does not let packets between the two leave i3";
  return isStranger ? "it has no name here, and <shortcuts strangers> does not let it" : 'shortcut="no" in a rule here';
}

const peerOf = (mapping: Mapping): PathLogPeer => ({ peer: peerText(mapping), hit: mapping.peerHit === null ? "" : bytesKey(mapping.peerHit), level: mapping.isStranger ? "debug" : "info" });

export class StraightWays {
  readonly #env: StraightWaysEnvironment;
  readonly #paths: AssociationPaths;
  readonly #seen: SeenFromOutside;
  /** When each was seen to carry packets last. */
  readonly #carriedMs = new Map<number, number>();
  readonly #log: PathLog;

  constructor(environment: StraightWaysEnvironment) {
    const { datapath, client, own, range, tunMtu, randomBytes, hip, mappingOf, install } = environment;
    this.#env = environment;
    this.#log = new PathLog(environment.log);
    this.#paths = new AssociationPaths({
      datapath, randomBytes, own, range,
      tell: (nowMs, association, locators) => hip().setLocators(nowMs, association, locators),
      heardBytes: (association) => bytesOf(datapath, mappingOf(association), "bytesIn"),
      sentBytes: (association) => bytesOf(datapath, mappingOf(association), "bytesOut"),
      mostBytes: (family) => mostOuter(tunMtu, family),
      onChoice: (nowMs, association) => {
        const mapping = mappingOf(association);
        if (mapping === undefined) return;
        this.#log.changed(nowMs, association, peerOf(mapping), this.#paths.choice(association));
        install(mapping);
      },
    });
    this.#seen = new SeenFromOutside({
      datapath, randomBytes, own, isWanted: () => this.isWanted, onNews: (nowMs) => this.#paths.handleOwn(nowMs),
      servers: () => witnesses(client),
    });
  }

  /** Whether packets of any association may go past i3. */
  get isWanted(): boolean {
    return this.#carriedMs.size > 0;
  }

  get counters(): AssociationPaths["counters"] {
    return this.#paths.counters;
  }

  /** Of an association's packets. */
  choice(association: number): PathChoice {
    return this.#paths.choice(association);
  }

  /** Keys for an association. */
  established(nowMs: number, mapping: Mapping, event: EstablishedEvent): void {
    if (!isStraightAllowed(mapping, event)) {
      if (event.path.kind === "i3") this.#log.stays(nowMs, peerOf(mapping), whyNot(mapping));
      return;
    }
    const { association, peer, spiIn, spiOut, pathKeys } = event;
    if (!this.isWanted) this.#seen.look(nowMs);
    this.#carriedMs.set(association, nowMs);
    this.#log.opened(nowMs, association, peerOf(mapping));
    this.#paths.open(nowMs, { association, peer: bytesKey(peer.hit), isStranger: mapping.isStranger, spiIn, spiOut, keys: pathKeys });
  }

  /** @param isOver false: only its packets may not go past i3 any more, and the peer is told so */
  close(nowMs: number, association: number, isOver: boolean): void {
    if (!this.#carriedMs.delete(association)) return;
    this.#log.forget(association);
    this.#paths.close(association);
    if (isOver) return;
    this.#env.hip().setLocators(nowMs, association, []);
    const mapping = this.#env.mappingOf(association);
    if (mapping !== undefined) this.#log.stays(nowMs, peerOf(mapping), whyNot(mapping));
  }

  handleEvent(nowMs: number, event: HipEvent): void {
    if (event.kind === "inbound") this.#paths.addSpi(event.association, event.spiIn);
    else if (event.kind === "retired") this.#paths.dropSpi(event.association, event.spiIn);
    else if (event.kind === "rekeyed" && event.pair === 0) this.#paths.setPeerSpi(event.association, event.spiOut);
    else if (event.kind === "locators") this.#paths.handleLocators(nowMs, event.association, event.locators);
  }

  handleUpcall(nowMs: number, upcall: Extract<Upcall, { kind: "elsewhere" | "send-failed" }>): void {
    if (upcall.kind === "elsewhere") this.#paths.handleElsewhere(nowMs, upcall.spi, upcall.from);
    else if (upcall.reason === "unreachable") this.#paths.handleSendFailed(nowMs, upcall.locator);
    else this.#paths.handleTooBig(nowMs, upcall.locator);
  }

  /** CHECK, CHECKED and PONG; false when it answers nothing of ours. */
  handleControl(nowMs: number, from: Locator, decoded: DecodedControl): boolean {
    const { message, nonce } = decoded;
    if (message.type !== "CHECK" && message.type !== "CHECKED") return this.#seen.handle(nowMs, from, nonce, message);
    this.#paths.handleMessage(nowMs, from, decoded, message satisfies PathMessage);
    return true;
  }

  /** Our places have changed. */
  handlePlaces(nowMs: number): void {
    this.#paths.handleOwn(nowMs);
    if (this.isWanted) this.#seen.look(nowMs);
  }

  /** The ring is reached by TCP now, or by UDP again: peers hear whether we are seen from outside. */
  handleDetour(nowMs: number, isOn: boolean): void {
    this.handlePlaces(nowMs);
    if (!isOn) this.#paths.lookAgain(nowMs);
  }

  /** Servers see us elsewhere: a NAT has forgotten us. */
  handleMoved(nowMs: number): void {
    if (this.isWanted) this.#seen.look(nowMs);
  }

  /** Now and then for each association: whether its packets have gone or come since the last time. */
  watch(nowMs: number, association: number, hasCarried: boolean): void {
    const carriedMs = this.#carriedMs.get(association);
    if (carriedMs === undefined) return;
    if (hasCarried) this.#carriedMs.set(association, nowMs);
    const silentMs = hasCarried ? 0 : nowMs - carriedMs;
    this.#paths.setActivity(nowMs, association, silentMs < CARRYING_MS ? "carrying" : silentMs < IDLE_MS ? "warm" : "idle");
  }

  handleTimer(nowMs: number): void {
    this.#seen.handleTimer(nowMs);
    this.#paths.handleTimer(nowMs);
    this.#log.handleTimer(nowMs);
  }

  nextDeadlineMs(): number {
    return Math.min(this.#seen.nextDeadlineMs(), this.#paths.nextDeadlineMs(), this.#log.nextDeadlineMs());
  }
}

function bytesOf(datapath: Pick<Datapath, "flowCounters">, mapping: Mapping | undefined, which: "bytesIn" | "bytesOut"): number {
  const addresses = mapping === undefined ? [] : [mapping.local4, mapping.local6].filter((address) => address !== null);
  return addresses.reduce((total, address) => total + (datapath.flowCounters(address)?.[which] ?? 0), 0);
}
