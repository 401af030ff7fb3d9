/** The fields of a head as they are passed on (RFC 9110 §7.6.1): without those of one connection, and without what a client says about where it comes from. */
import { valuesOf, type Framing, type RequestHead } from "./request-name.js";

/** Of one connection, or made anew. */
const OWN = new Set(["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"]);
const MADE_ANEW = new Set(["host", "content-length"]);
/** Programs that put fields into variables of the environment take `_`, and some any other sign, for `-` (RFC 3875 §4.1.18). */
const isForwarding = (name: string): boolean => /^(?:x-forwarded(?:-.*)?|forwarded|x-real-ip|x-client-ip|true-client-ip)$/.test(name.replaceAll(/[^a-z0-9]/g, "-"));
/** Such a program would take it for its own proxy, HTTP_PROXY. */
const NEVER = new Set(["proxy"]);
/** Of them a body is expected: RFC 9110 §8.6 wants its length said when there is none. */
const WITH_BODY = new Set(["POST", "PUT", "PATCH"]);

/** Who asks, for `forwarded="yes"`. */
export interface Forwarded {
  /** Address of the client. */
  readonly client: string;
}

/**
 * Fields of a request for the host, names and values in turn.
 * @param host of the verdict about it
 * @param forwarded null: nothing is added, and what the client says stays
 * @param connection fields of the connection to the host, names and values in turn
 */
export function passedRequest(head: RequestHead, host: string, framing: Framing, forwarded: Forwarded | null, connection: readonly string[]): string[] {
  const own = forwarded === null ? [] : ["X-Forwarded-For", forwarded.client, "X-Forwarded-Proto", "http", "X-Forwarded-Host", host];
  const out = ["Host", host, ...own, ...kept(head.rawHeaders, (name) => MADE_ANEW.has(name) || NEVER.has(name) || (forwarded !== null && isForwarding(name)))];
  if (framing?.kind === "length") out.push("Content-Length", framing.length);
  else if (framing?.kind === "chunked") out.push("Transfer-Encoding", "chunked");
  else if (WITH_BODY.has(head.method ?? "")) out.push("Content-Length", "0");
  return [...out, ...connection];
}

/** Fields of an answer for the client: its framing is node's, but for the length that it has, also of a body that does not come (HEAD, 304). */
export const passedAnswer = (rawHeaders: readonly string[]): string[] => kept(rawHeaders, () => false);

function kept(rawHeaders: readonly string[], leaveOut: (name: string) => boolean): string[] {
  // RFC 9110 §7.6.1: fields that Connection names are of this connection; what frames and addresses the message cannot be among them.
  const named = new Set(valuesOf(rawHeaders, "connection").flatMap((value) => value.split(",").map((each) => each.trim().toLowerCase())));
  const out: string[] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const [name = "", value = ""] = [rawHeaders[i], rawHeaders[i + 1]];
    const lower = name.toLowerCase();
    if (OWN.has(lower) || leaveOut(lower) || (named.has(lower) && !MADE_ANEW.has(lower))) continue;
    out.push(name, value);
  }
  return out;
}
