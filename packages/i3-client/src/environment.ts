/** What the client core needs from outside: it has no clock, randomness or sockets of its own. */
import type { Locator, SignedRecord } from "@i3/common";
import type { Datapath } from "@i3/datapath";
import type { signTrigger } from "@i3/hip";

/** The part of the packet engine that the client programs. */
export type ClientDatapath = Pick<Datapath, "send" | "setNextServer" | "setDefaultServer" | "setKnownSource" | "setUplink">;

export interface ClientEnvironment {
  readonly datapath: ClientDatapath;
  /** Bytes from a source that cannot be predicted. */
  readonly randomBytes: (length: number) => Uint8Array;
  /** The wall clock in ms: for trigger counters, and compared with the servers' clocks. */
  readonly wallMs: () => number;
  /** The chain of refresh tokens that begins with a secret of 16 bytes. @default refreshChain of @i3/hip */
  readonly refreshChain?: (secret: Uint8Array) => readonly Uint8Array[];
  /** @default signTrigger of @i3/hip */
  readonly signTrigger?: typeof signTrigger;
}

/** Of {@link ClientEvent}, those of signed records. */
export type RecordEvent = Extract<ClientEvent, { readonly kind: "record" | "record-kept" | "record-refused" }>;

/**
 * Why packets leave by another interface: no server answers by the one before (`silent`), servers answer again by one that is preferred to it (`back`), the
 * system prefers the one in use itself now (`preferred`), or the one in use is gone (`gone`).
 */
export type UplinkReason = "silent" | "back" | "preferred" | "gone";

/** What the client tells its owner; drained by `takeEvents`. */
export type ClientEvent =
  /** The first-hop server is this one now; null: no server answers any more. */
  | { readonly kind: "first-hop"; readonly server: Locator | null }
  /** A server sees us elsewhere than where our triggers there lead: they are inserted again. A NAT has forgotten us, most likely. */
  | { readonly kind: "moved"; readonly server: Locator }
  /** Packets to servers leave by this interface now; 0: by the system's choice again. */
  | { readonly kind: "uplink"; readonly interfaceIndex: number; readonly why: UplinkReason }
  /** While servers answer by TCP: this one has answered over UDP, by the interface that is in use. */
  | { readonly kind: "udp"; readonly server: Locator }
  | { readonly kind: "trigger-live"; readonly id: Uint8Array; readonly server: Locator }
  /** It may be gone: its server died, or nothing was acknowledged for its whole life. Work on it goes on. */
  | { readonly kind: "trigger-lost"; readonly id: Uint8Array; readonly why: string }
  /** A server will not have it, for a reason that trying again soon does not mend (docs/wire.md §4, REFUSED). */
  | { readonly kind: "trigger-refused"; readonly id: Uint8Array; readonly code: number }
  /** The server that had it takes no refresh of it, and sees us where it did: it has forgotten it, or somebody with the same key has put another in its place. Work on it goes on. */
  | { readonly kind: "trigger-replaced"; readonly id: Uint8Array }
  /** The header of a path has changed: flows that use it must be installed again. */
  | { readonly kind: "path-changed"; readonly id: Uint8Array }
  /** Packets of ours to this id go straight to `target` now (docs/wire.md §5.1); null: over i3 again. What the engine sends by itself goes on as it was told. */
  | { readonly kind: "shortcut"; readonly id: Uint8Array; readonly target: Locator | null }
  /** The responsible server has no trigger for this id. */
  | { readonly kind: "not-present"; readonly id: Uint8Array }
  /** A key whose private ids live at this server is ready. */
  | { readonly kind: "near-key"; readonly server: Locator; readonly rttMs: number }
  /** The end of a search. `record`: signed, not ended, and where it belongs; null: the servers that should know say that there is none, or nobody answered. */
  | { readonly kind: "record"; readonly ringKey: Uint8Array; readonly record: SignedRecord | null; readonly why: "found" | "absent" | "no-answer" }
  /** These servers have it now, the responsible one first. */
  | { readonly kind: "record-kept"; readonly ringKey: Uint8Array; readonly servers: readonly Locator[] }
  /** With code 20 at its own end it is kept no more; otherwise it is tried again (docs/wire.md §4.3). */
  | { readonly kind: "record-refused"; readonly ringKey: Uint8Array; readonly code: number };
