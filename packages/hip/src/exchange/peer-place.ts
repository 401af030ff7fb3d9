/**
 * Where a peer without i3 is (RFC 8046): where its packets went last, and whether it is where a new one came from, or where it says that it is. Everything but answers and the
 * questions themselves follows only when it has answered there; the owner may send a bounded amount of data to where it seems to be (§5.6).
 */
import { sameBytes, TokenBucket } from "@i3/common";

import type { HipPacket } from "../wire/packet.js";
import { PROTOCOL_UDP, TRAFFIC_TYPE, type HipLocator } from "../wire/parameters/locator-set.js";
import type { ParameterContents } from "../wire/tlv.js";
import { AddressCheck, ECHO_BYTES } from "./address-check.js";
import { CHECK_BURST, CHECKS_PER_SECOND, MAX_CHECK_TRIES, RETRY_MS } from "./limits.js";
import { canBeOneHosts } from "./one-host.js";
import type { Outstanding } from "./pair.js";
import { puzzlePathBytes, samePath, type HipPath } from "./paths.js";
import type { Scope } from "./scope.js";

export interface PeerPlaceHome {
  readonly scope: Scope;
  readonly association: number;
  /** An UPDATE with the next id and this parameter. */
  readonly ask: (nowMs: number, path: HipPath, request: ParameterContents) => Outstanding;
  readonly repeat: (nowMs: number, outstanding: Outstanding, path: HipPath) => void;
}

/** The same address, whatever the port. */
export const isAtSameHost = (a: HipPath, b: HipPath): boolean => a.kind === b.kind && (a.kind === "i3" || sameBytes(puzzlePathBytes(a), puzzlePathBytes(b)));

export class PeerPlace {
  readonly #home: PeerPlaceHome;
  #path: HipPath;
  /** Of where a packet came from. */
  #seen: AddressCheck | null = null;
  /** Of where the peer says that it is. */
  #claimed: AddressCheck | null = null;
  /** Came when too many checks had begun: the last one. */
  #later: { readonly path: HipPath; readonly dueMs: number } | null = null;
  readonly #seenChecks = new TokenBucket(CHECKS_PER_SECOND, CHECK_BURST);
  readonly #claimedChecks = new TokenBucket(CHECKS_PER_SECOND, CHECK_BURST);

  constructor(home: PeerPlaceHome, path: HipPath) {
    this.#home = home;
    this.#path = path;
  }

  get path(): HipPath {
    return this.#path;
  }

  get dueMs(): number {
    return Math.min(...[this.#seen?.outstanding, this.#claimed?.outstanding, this.#later].map((item) => item?.dueMs ?? Number.POSITIVE_INFINITY));
  }

  /** Packets leave by this address of ours from now on; undefined: by the system's choice. RangeError when it is of another family than the peer's. */
  leaveBy(local: Uint8Array | undefined): void {
    if (this.#path.kind !== "i3") this.#path = elsewhere(this.#path, addressOf(this.#path), local);
  }

  /** An answer is no longer than its question, so it may go where that came from. */
  replyPath(from: HipPath): HipPath {
    return from.kind !== "i3" && from.kind === this.#path.kind ? this.#byOurs(from) : this.#path;
  }

  /** The check that one of these ids acknowledges. */
  acked(ids: readonly number[]): AddressCheck | null {
    return [this.#seen, this.#claimed].find((check) => check !== null && ids.includes(check.outstanding.id)) ?? null;
  }

  /** A genuine and new packet came from elsewhere (RFC 9028 §4.10 keeps NATs open; one that was rebooted gives another port). Over i3 nobody is anywhere. */
  follow(nowMs: number, cameFrom: HipPath): void {
    if (cameFrom.kind === "i3" || this.#path.kind !== cameFrom.kind) return;
    const from = this.#byOurs(cameFrom);
    this.#later = null;
    if (this.#isHere(from) || (this.#seen !== null && samePath(from, this.#seen.path))) return;
    if (!this.#seenChecks.take(nowMs)) {
      this.#later = { path: from, dueMs: nowMs + RETRY_MS };
      return;
    }
    this.#seen = this.#ask(nowMs, from);
    this.#home.scope.emit({ kind: "moving", association: this.#home.association, path: from });
  }

  /**
   * A genuine packet says where its sender prefers to be reached (RFC 8046 §5.3). Nothing but the question goes there before the answer: whoever is there has sent nothing.
   * @param spis that we send to
   */
  prefer(nowMs: number, locators: readonly HipLocator[], cameFrom: HipPath, spis: readonly number[]): void {
    const preferred = locators.find((locator) => locator.preferred);
    if (preferred === undefined || cameFrom.kind === "i3" || this.#path.kind !== cameFrom.kind) return;
    const from = this.#byOurs(cameFrom);
    const path = claimedPath(preferred, from, spis);
    const { counters, env } = this.#home.scope;
    if (path === null || !canBeOneHosts(preferred.address) || env.isOverlay?.(preferred.address) === true) {
      counters.locatorsSkipped++;
      return;
    }
    if ([from, this.#path, this.#claimed?.path].some((known) => known !== undefined && isAtSameHost(path, known))) return;
    if (this.#claimedChecks.take(nowMs)) this.#claimed = this.#ask(nowMs, path);
    else counters.locatorsSkipped++;
  }

  /** Neither side answers, or takes an answer, through somebody who only passes packets on: the question has to come from where the peer is known to be, the answer from the new place. */
  end(packet: HipPacket, check: AddressCheck, from: HipPath): void {
    const { scope, association } = this.#home;
    const wasSeen = check === this.#seen;
    if (wasSeen) this.#seen = null;
    else this.#claimed = null;
    if (!isAtSameHost(from, check.path) || !check.isPassedBy(packet)) {
      if (wasSeen) scope.emit({ kind: "stayed", association });
      return;
    }
    // What it prefers it gets, whichever answer came first.
    if (!wasSeen) this.#seen = this.#later = null;
    this.#path = check.path;
    scope.counters.moved++;
    scope.emit({ kind: "moved", association, path: check.path });
  }

  /** A peer that does not answer there stays where it was. */
  tick(nowMs: number): void {
    if (this.#isOver(nowMs, this.#claimed)) this.#claimed = null;
    if (this.#isOver(nowMs, this.#seen)) {
      this.#seen = null;
      this.#home.scope.emit({ kind: "stayed", association: this.#home.association });
    }
    if (this.#later !== null && nowMs >= this.#later.dueMs) this.follow(nowMs, this.#later.path);
  }

  /** Not every packet says by which address of ours it came: then it goes by the one that was set. */
  #byOurs(from: StraightPath): StraightPath {
    if (this.#path.kind === "i3" || localOf(from) !== undefined) return from;
    const local = localOf(this.#path);
    return local?.length === addressOf(from).length ? elsewhere(from, addressOf(from), local) : from;
  }

  /** Where packets leave by the system's choice it does not matter to which address of ours one came: the peer has not moved. */
  #isHere(from: StraightPath): boolean {
    const isAnyOfOurs = this.#path.kind !== "i3" && localOf(this.#path) === undefined;
    return samePath(isAnyOfOurs ? elsewhere(from, addressOf(from), undefined) : from, this.#path);
  }

  #isOver(nowMs: number, check: AddressCheck | null): boolean {
    if (check === null || nowMs < check.outstanding.dueMs) return false;
    if (check.outstanding.tries >= MAX_CHECK_TRIES) return true;
    this.#home.repeat(nowMs, check.outstanding, check.path);
    return false;
  }

  #ask(nowMs: number, path: HipPath): AddressCheck {
    return new AddressCheck(path, this.#home.scope.env.random(ECHO_BYTES), (request) => this.#home.ask(nowMs, path, request));
  }
}

type StraightPath = Exclude<HipPath, { kind: "i3" }>;

const localOf = (path: StraightPath): Uint8Array | undefined => (path.kind === "udp" ? path.locator.local : path.local);
const addressOf = (path: StraightPath): Uint8Array => (path.kind === "udp" ? path.locator.address : path.address);

/** The same way to another address, from that of ours. */
function elsewhere(path: StraightPath, address: Uint8Array, local: Uint8Array | undefined, port?: number): StraightPath {
  if (local !== undefined && local.length !== address.length) throw new RangeError(`${local.length} bytes of our address for ${address.length} of the peer's`);
  const ours = local === undefined ? {} : { local };
  if (path.kind === "ip") return { kind: "ip", address, ...ours };
  const { port: known, via } = path.locator;
  return { kind: "udp", locator: { address, port: port ?? known, ...(via === undefined ? {} : { via }), ...ours } };
}

/** Where a locator is on the way that its packet came by; null when it is for nothing that we send: deprecated, for signaling alone, of another SPI or transport. */
function claimedPath({ trafficType, lifetimeSeconds, spi, transport, address }: HipLocator, from: StraightPath, spis: readonly number[]): StraightPath | null {
  if (trafficType === TRAFFIC_TYPE.signaling || lifetimeSeconds === 0 || (spi !== null && !spis.includes(spi))) return null;
  if (transport !== undefined && (from.kind !== "udp" || transport.protocol !== PROTOCOL_UDP || transport.port === 0)) return null;
  const local = localOf(from);
  return elsewhere(from, address, local?.length === address.length ? local : undefined, transport?.port);
}
