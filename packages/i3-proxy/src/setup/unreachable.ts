/** When a call is given up, and what programs and people hear then; for both set-ups. */
import { formatIpText, toHex, type Log } from "@i3/common";
import type { FailedEvent } from "@i3/hip";
import type { I3Client } from "@i3/i3-client";

import type { Mapping } from "../mappings/mapping.js";

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
export const remedyOf = (code: FailedEvent["code"]): { readonly remedy?: string } =>
  code === "refused" ? { remedy: REFUSED_REMEDY } : code === "incompatible" ? { remedy: INCOMPATIBLE_REMEDY } : {};

const NO_ANSWER_REMEDY = "Is the other machine on, and its i3-proxy running and connected to the same ring?";
/** Of a host that was called by its key: who has another one registers another id. */
const WRONG_HIT_REMEDY = " And is this HIT its own? One that is written wrong in the address book, or of a key that it has no more, looks the same.";

export const patienceMs = (isAbsent: boolean): number => (isAbsent ? ABSENT_AFTER_MS : SILENT_AFTER_MS);

/** Whether nobody can answer over i3: a server has said so, or we have none. */
export const isNobodyThere = (wasToldAbsent: boolean, client: I3Client): boolean => wasToldAbsent || client.firstHop() === null;

/**
 * @param wrongKey why the one that answered is another host, when one did; that was logged with its remedy
 * @param remedy when it was not called over i3
 * @param trouble what the exchange says of it, if it has begun
 */
export function logUnreachable(log: Log, mapping: Mapping, isAbsent: boolean, wrongKey: string | null = null, remedy?: string, trouble: string | null = null): void {
  if (wrongKey !== null) return log("warn", "unreachable", { peer: peerText(mapping), why: "another key answered than the one of its name" });
  const isByKey = mapping.peerHit !== null && remedy === undefined;
  log("warn", "unreachable", {
    peer: peerText(mapping), ...(isByKey && mapping.peerHit !== null ? { hit: formatIpText(mapping.peerHit) } : {}), why: trouble ?? (isAbsent ? "no host has registered this name's id" : "no answer"),
    remedy: trouble === null ? (remedy ?? `${NO_ANSWER_REMEDY}${isByKey ? WRONG_HIT_REMEDY : ""}`) : "The other machine is there. See what its log says at this time.",
  });
}

/** That a program here may not call a host which an entry of the access list refuses. */
export function tellRefused({ onRefused, log }: { readonly onRefused: (hit: Uint8Array) => void; readonly log: Log }, mapping: Mapping): void {
  if (mapping.peerHit !== null) onRefused(mapping.peerHit);
  else log("info", "access-refused", { peer: peerText(mapping), why: "an entry of <access>" });
}

/** For the log. */
export const peerText = ({ name, peerHit, peerId, ownPrivateId }: Mapping): string => name ?? (peerHit === null ? toHex((peerId ?? ownPrivateId).subarray(0, 8)) : formatIpText(peerHit));
