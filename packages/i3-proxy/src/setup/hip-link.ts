/** What a mapping with HIP has beyond its state: the exchange that runs, and the associations in the engine. */
import type { ViaLocator } from "@i3/common";
import type { InboundAssociation } from "@i3/datapath";
import type { Call, EspSuite, HipPath, HipRole } from "@i3/hip";

export type InboundForm = Pick<InboundAssociation, "beet" | "checksumState" | "flow" | "source4" | "destination4" | "source6" | "destination6">;

export interface Link {
  /** HIP's number, and the engine's name of the outbound association; null before the first exchange. */
  association: number | null;
  /** What keys there are, for people; null before the first exchange. */
  keys: { readonly suite: EspSuite; readonly role: HipRole; sinceMs: number } | null;
  /** Of the pair of the exchange: 2 encrypted, 1 authenticated. */
  strength: 1 | 2;
  /** The pair of the other kind, which is made when a packet needs it. */
  second: "none" | "asked" | "up" | "refused";
  /** Packets wait for keys of these strengths. */
  readonly wanted: Set<1 | 2>;
  /** While it is refused packets that need it are, too. */
  secondAgainMs: number;
  /** People have been told what cannot be had. */
  isRefusalTold: boolean;
  spisIn: readonly number[];
  /** Where data goes: behind a header for the peer's private id, or straight to an address. */
  locator: ViaLocator | null;
  /** Where a peer without i3 seems to be, and what may go there before it has answered (RFC 8046 §5.6); null: it does not move, or nothing may. */
  moving: { readonly locator: ViaLocator; readonly bytes: number } | null;
  /** Bytes of the peer that credits were given for. */
  creditedBytes: number;
  /** For the next inbound association of a rekey. */
  form: InboundForm | null;
  /** The flows get their new keys then; null: they have them. */
  activeFromMs: number | null;
  /** The association is one that this host began, and so not for the access list to end. A fresh exchange, whoever calls, leaves that as it was. */
  isOurs: boolean;
  /** Packets heard when the exchange ended. */
  heardBefore: number;
  returnId: Uint8Array | null;
  /** The exchange that runs. */
  call: Call | null;
  /** The id that it called; null: none, or the peer was called at its address. */
  calledId: Uint8Array | null;
  /** The name whose claim it called, which may be another one of the host than the mapping's; null: it called the host. */
  askedName: string | null;
  /** Why the host that answered the call is not the one that was meant. */
  wrongKey: string | null;
  startedMs: number;
  /** A fresh exchange beside keys in use leads nowhere: from then on the peer is not there, unless something is heard of it. Infinity: none runs. */
  renewalDueMs: number;
  /** Packets heard when it began. */
  heardAtRenewal: number;
  /** A server has said that nobody has the peer's id. */
  absent: boolean;
  sent: number;
  heard: number;
  heardMs: number;
}

/** Where a host without i3 is called; null: nobody is. */
export function addressCalled(link: Link | undefined): HipPath | null {
  const path = link?.call?.path;
  return path === undefined || path.kind === "i3" ? null : path;
}

export const newLink = (nowMs: number): Link => ({
  association: null, keys: null, strength: 2, second: "none", wanted: new Set(), secondAgainMs: Infinity, isRefusalTold: false, spisIn: [], locator: null, moving: null, creditedBytes: 0, form: null, activeFromMs: null, isOurs: false, heardBefore: 0, returnId: null, call: null, calledId: null, askedName: null, wrongKey: null, startedMs: -Infinity, renewalDueMs: Infinity, heardAtRenewal: 0, absent: false, sent: 0, heard: 0, heardMs: nowMs,
});
