/** When a call is given up, and what programs and people hear then; for both set-ups. Without I/O. */
import { bytesKey, formatIpText, toHex, type Log } from "@i3/common";
import type { FailedEvent } from "@i3/hip";
import type { I3Client } from "@i3/i3-client";

import { isPlain, type Mapping } from "../mappings/mapping.js";
import { FewLines } from "../policy/few-lines.js";

// Ours:
/** After this a program is told that the host cannot be reached, when a server has said that nobody is there. */
const ABSENT_AFTER_MS = 1_500;
/** The same when nothing is heard at all: the path may be slow. */
const SILENT_AFTER_MS = 5_000;
/** Programs hear so for this long; the next packet calls again. */
export const REFUSED_MS = 1_000;

/** Of a peer that has said so itself. */
const REFUSED_REMEDY = "The other machine does not want this one: its <access>, or the security that its rules ask for, must be changed there.";

/** Of a peer whose signed R1 has nothing that we take. */
const INCOMPATIBLE_REMEDY = "The two machines have nothing in common in what the reason names: compare the security that the rules of both ask for, and what their keys are.";

/** By how a call has failed, for the log. */
const remedyOf = (code: FailedEvent["code"]): { readonly remedy?: string } =>
  code === "refused" ? { remedy: REFUSED_REMEDY } : code === "incompatible" ? { remedy: INCOMPATIBLE_REMEDY } : {};

const NO_ANSWER_REMEDY = "Is the other machine on, and its i3-proxy running and connected to the same ring?";
/** Of a host that was called by its key: who has another one registers another id. */
const WRONG_HIT_REMEDY = " And is this HIT its own? One that is written wrong in the address book, or of a key that it has no more, looks the same.";
/** Of one that was called in cleartext: who wants keys keeps silent. */
const PLAIN_REMEDY = " Or its rules want more security than the ones here, which have none for it: its log says security-refused then.";
/** Of a name that is trusted on first use, and that nobody claims. */
const UNCLAIMED_REMEDY = 'Nobody claims this name. Its host does so with <published-names><publish name="…"/></published-names> in its own configuration, on servers with claims-per-name; otherwise write the host into the address book.';
const NO_SERVER_REMEDY = "Check <servers>, whether this machine is online, and whether UDP to these ports is allowed: see no-server in this log.";

/** Why nobody can answer over i3; null: somebody may. */
export type Absence = "no-server" | "not-registered" | null;

export const patienceMs = (isAbsent: boolean): number => (isAbsent ? ABSENT_AFTER_MS : SILENT_AFTER_MS);

/** @param wasToldAbsent a server has said that nobody has the id */
export const absenceOf = (wasToldAbsent: boolean, client: I3Client): Absence => (wasToldAbsent ? "not-registered" : client.firstHop() === null ? "no-server" : null);

/** What went wrong with a call. */
export interface CallTrouble {
  readonly absence: Absence;
  /** Why the one that answered is another host, when one did; that was logged with its remedy. */
  readonly wrongKey?: string | null;
  /** When it was not called over i3. */
  readonly remedy?: string | undefined;
  /** What the exchange says of it, if it has begun. */
  readonly trouble?: string | null;
}

/** Whom programs here cannot reach: of each peer and reason a line a minute; those between are for who looks closer. */
export class UnreachableLog {
  readonly #log: Log;
  readonly #nowMs: () => number;
  readonly #lines = new FewLines();

  /** @param nowMs monotonic, ms */
  constructor(log: Log, nowMs: () => number) {
    this.#log = log;
    this.#nowMs = nowMs;
  }

  /** A call was given up. */
  givenUp(mapping: Mapping, { absence, wrongKey = null, remedy, trouble = null }: CallTrouble): void {
    if (wrongKey !== null) return this.#tell(mapping, { why: "another key answered than the one of its name", remedy: "The line wrong-key names both keys and says what to do." });
    const isByKey = mapping.peerHit !== null && remedy === undefined;
    const hit = isByKey && mapping.peerHit !== null ? { hit: formatIpText(mapping.peerHit) } : {};
    if (trouble !== null) return this.#tell(mapping, { ...hit, why: trouble, remedy: "The other machine is there. See what its log says at this time." });
    if (absence === "no-server") return this.#tell(mapping, { ...hit, why: "no i3 server answers", remedy: NO_SERVER_REMEDY });
    if (absence !== null && mapping.isNameOnly) return this.#tell(mapping, { why: "no host has registered this name's id", remedy: UNCLAIMED_REMEDY });
    const isPlainlyCalled = absence === null && isPlain(mapping);
    this.#tell(mapping, {
      ...hit, why: absence === null ? "no answer" : "no host has registered this name's id", remedy: remedy ?? `${NO_ANSWER_REMEDY}${isByKey ? WRONG_HIT_REMEDY : ""}${isPlainlyCalled ? PLAIN_REMEDY : ""}`,
    });
  }

  /** The exchange has failed, or what it led to cannot be used. */
  failed(mapping: Mapping, why: string, code?: FailedEvent["code"]): void {
    this.#tell(mapping, { why, ...(code === undefined ? {} : { code, ...remedyOf(code) }) });
  }

  #tell(mapping: Mapping, fields: Readonly<Record<string, unknown>> & { readonly why: string }): void {
    const key = new TextEncoder().encode(`${bytesKey(mapping.peerId ?? mapping.ownPrivateId)} ${fields.why}`);
    this.#log(this.#lines.take(this.#nowMs(), key) ? "warn" : "debug", "unreachable", { peer: peerText(mapping), ...fields });
  }
}

/** For the log. */
export const peerText = ({ name, peerHit, peerId, ownPrivateId }: Mapping): string => name ?? (peerHit === null ? toHex((peerId ?? ownPrivateId).subarray(0, 8)) : formatIpText(peerHit));
