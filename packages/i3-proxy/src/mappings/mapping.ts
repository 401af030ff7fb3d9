/** One mapping (paper §4.2): the virtual addresses that stand for a peer, and the ids on both sides. */
import { bytesKey, fromHex, I3Error, toHex, type Security } from "@i3/common";
import { triggerKeyFromSeed, triggerKeySeed, type TriggerKey } from "@i3/hip";

import { PLAIN_POLICY, strongestOf, UNNAMED_POLICY, type PeerPolicy } from "../policy/policy.js";
import type { AddressPairs } from "../setup/messages.js";

/** What the peer has told us; null until its INIT or CONFIRM has come. */
export interface PeerSide extends AddressPairs {
  readonly privateId: Uint8Array;
}

export type MappingState =
  /** Nothing has been sent yet; the first packet begins. */
  | "idle"
  /** INIT is on its way with every packet. */
  | "calling"
  /** Both sides know each other's private id. */
  | "open"
  /** Nobody answered: programs are told so for a while. */
  | "refused";

export interface Mapping {
  /** {@link mappingKey} of the peer's public id, for an unproved peer {@link unprovedKey} of its private id. */
  key: string;
  /** Public id of the peer; null when unproved. While {@link isNameOnly} the id of its name. */
  peerId: Uint8Array | null;
  /** Known by a name that is trusted on first use, and no key has been proven for it yet. */
  isNameOnly: boolean;
  peerHit: Uint8Array | null;
  /** For logs and reverse DNS; null when it is not in the address book. */
  name: string | null;
  readonly local4: Uint8Array;
  local6: Uint8Array | null;
  readonly ownPrivateId: Uint8Array;
  /** Set when the peer has a trigger of its own. */
  readonly ownKey: TriggerKey | null;
  /** The strongest of its policy: "none" is set up plainly, unless the peer wants keys ({@link isPlain}); the others by HIP. */
  security: Security;
  /** HIP has made keys for it, or had when this host stopped; they have not been closed, and the peer has not been found gone. */
  isKeyed: boolean;
  peer: PeerSide | null;
  /** It called us, is not in the address book, and no program of ours has asked for it: it has a share of the table and a short life. */
  isStranger: boolean;
  /**
   * A program here has asked for its name since the peer last began an association, or was cut off: packets call it even if the access list refuses it. Otherwise
   * what a cut connection still sends would let its peer in again.
   */
  mayCall: boolean;
  /** What is set up plainly was begun by this host, and is so not for the default of the access list to end; a later INIT of either side leaves that as it was. */
  isOurs: boolean;
  /** Highest counter of an INIT that was accepted from the peer; 0 none. */
  peerCounter: number;
  /** Of our last INIT to the peer, who accepts only newer ones, whatever our clock says after a restart; 0 none. */
  lastCallCounter: number;
  /** Wall clock, ms. */
  lastUseMs: number;

  // Not stored:
  /** Of a host with several names the one that a program here asked for last; null: none since the start. */
  askedName: string | null;
  /** It is known to take IPv4 packets, as every host of ours does; hosts that know HIP alone have no IPv4 address for us. */
  knowsIpv4: boolean;
  /** How its packets are protected; of one from the journal what stands for its `security`, until the rules are asked. */
  policy: PeerPolicy;
  state: MappingState;
  /** Of our INIT that is out; 0 none. */
  callCounter: number;
  callStartedMs: number;
  nextCallMs: number;
  /** Monotonic; when `refused` ends. */
  refusedUntilMs: number;
  /** When an INIT was last answered; each answer costs a signature. */
  confirmedMs: number | null;
  /** First packet of a call, given back to the program as unreachable if nobody answers. */
  firstPacket: Uint8Array | null;
  /** Packets that came before the CONFIRM. */
  early: Uint8Array[];
}

/** Table key of a peer that has proved its public id. */
export const mappingKey = (peerId: Uint8Array): string => `p${bytesKey(peerId)}`;
/** Of one that has not: whatever id it names, it is never the mapping of a proved peer. */
export const unprovedKey = (privateId: Uint8Array): string => `u${bytesKey(privateId)}`;

/** Set up without keys, and by nothing else. Rules with cleartext alone do not say so: a peer that wants keys gets them, and nothing that comes in cleartext then ends that. */
export const isPlain = ({ security, isKeyed }: Pick<Mapping, "security" | "isKeyed">): boolean => security === "none" && !isKeyed;

/** A mapping that nothing has happened to yet. */
export function makeMapping(fields: Pick<Mapping, "key" | "peerId" | "peerHit" | "name" | "local4" | "local6" | "ownPrivateId" | "ownKey" | "policy" | "isStranger" | "isNameOnly" | "lastUseMs">): Mapping {
  // Written out: copying the fields by spread takes 25 µs here, in the way of a DNS answer.
  return {
    key: fields.key, peerId: fields.peerId, peerHit: fields.peerHit, name: fields.name, local4: fields.local4, local6: fields.local6,
    ownPrivateId: fields.ownPrivateId, ownKey: fields.ownKey, security: strongestOf(fields.policy), policy: fields.policy, isStranger: fields.isStranger, isNameOnly: fields.isNameOnly, lastUseMs: fields.lastUseMs,
    askedName: null, isKeyed: false, peer: null, mayCall: false, isOurs: false, peerCounter: 0, lastCallCounter: 0, knowsIpv4: false, state: "idle", callCounter: 0, callStartedMs: 0, nextCallMs: Infinity, refusedUntilMs: Infinity,
    confirmedMs: null, firstPacket: null, early: [],
  };
}

/** A mapping of the journal gets the policy of today's rules; what was agreed on with another set-up is forgotten. */
export function adoptPolicy(mapping: Mapping, policy: PeerPolicy): void {
  const security = strongestOf(policy);
  if ((security === "none") !== (mapping.security === "none")) {
    mapping.peer = null;
    mapping.isOurs = false;
    mapping.state = "idle";
  }
  mapping.policy = policy;
  mapping.security = security;
}

const hexOrNull = (bytes: Uint8Array | null): string | null => (bytes === null ? null : toHex(bytes));

/** For the journal. Contains secrets. */
export function mappingToJson(m: Mapping): Record<string, unknown> {
  const p = m.peer;
  return {
    peerId: hexOrNull(m.peerId), peerHit: hexOrNull(m.peerHit), name: m.name, local4: toHex(m.local4), local6: hexOrNull(m.local6),
    ownPrivateId: toHex(m.ownPrivateId), ownSeed: m.ownKey === null ? null : toHex(triggerKeySeed(m.ownKey)),
    peer: p === null ? null : [p.privateId, p.own4, p.peer4, p.own6, p.peer6].map(toHex), peerCounter: m.peerCounter, lastCallCounter: m.lastCallCounter, security: m.security, keyed: m.isKeyed, stranger: m.isStranger, mayCall: m.mayCall, ours: m.isOurs, nameOnly: m.isNameOnly, lastUseMs: m.lastUseMs,
  };
}

/** Journals of before there was encryption say nothing. */
function policyOf(value: unknown): PeerPolicy {
  if (value === undefined || value === "none") return PLAIN_POLICY;
  if (value === "esp" || value === "auth") return { ...UNNAMED_POLICY, rest: value };
  throw new I3Error("ERR_I3_STATE", "a mapping with a security that nobody knows");
}

/** The inverse. Throws I3Error ERR_I3_STATE on anything else. */
export function mappingFromJson(json: unknown): Mapping {
  const record = (typeof json === "object" && json !== null ? json : {}) as Record<string, unknown>;
  const bytes = (value: unknown, length: number): Uint8Array => {
    if (typeof value !== "string" || value.length !== length * 2 || !/^[0-9a-f]*$/.test(value)) throw new I3Error("ERR_I3_STATE", "a mapping with a wrong field");
    return fromHex(value);
  };
  const bytesOrNull = (value: unknown, length: number): Uint8Array | null => (value === null ? null : bytes(value, length));
  const count = (value: unknown): number => {
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw new I3Error("ERR_I3_STATE", "a mapping with a wrong number");
    return value;
  };
  const peerId = bytesOrNull(record["peerId"], 32);
  const ownSeed = bytesOrNull(record["ownSeed"], 32);
  const peer = record["peer"];
  const peerSide = Array.isArray(peer)
    ? { privateId: bytes(peer[0], 32), own4: bytes(peer[1], 4), peer4: bytes(peer[2], 4), own6: bytes(peer[3], 16), peer6: bytes(peer[4], 16) }
    : null;
  if (peerId === null && peerSide === null) throw new I3Error("ERR_I3_STATE", "a mapping to nobody");
  const mapping = makeMapping({
    key: peerId === null ? unprovedKey((peerSide as PeerSide).privateId) : mappingKey(peerId), peerId, peerHit: bytesOrNull(record["peerHit"], 16),
    name: typeof record["name"] === "string" ? record["name"] : null, local4: bytes(record["local4"], 4), local6: bytesOrNull(record["local6"], 16),
    ownPrivateId: bytes(record["ownPrivateId"], 32), ownKey: ownSeed === null ? null : triggerKeyFromSeed(ownSeed), policy: policyOf(record["security"]), isStranger: record["stranger"] === true, isNameOnly: record["nameOnly"] === true, lastUseMs: count(record["lastUseMs"]),
  });
  mapping.peer = peerSide;
  mapping.isKeyed = record["keyed"] === true;
  mapping.mayCall = record["mayCall"] !== false;
  // Older journals have one word for both.
  mapping.isOurs = peerSide !== null && (record["ours"] === undefined ? mapping.mayCall : record["ours"] === true);
  mapping.peerCounter = count(record["peerCounter"]);
  mapping.lastCallCounter = count(record["lastCallCounter"] ?? 0);
  mapping.state = peerSide === null ? "idle" : "open";
  return mapping;
}
