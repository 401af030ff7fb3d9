/**
 * Whom an HTTP/1.x request is for, and whether it may be passed on (RFC 9110, 9112). Node's parser (llhttp, strict) has read it already; here is refused what it lets
 * through and another parser could read otherwise, so that nobody smuggles a request past this one's eyes (RFC 9112 §11.2).
 */
import { MAX_NAME_CHARACTERS, normalName } from "@i3/common";

/** As node:http gives it. */
export interface RequestHead {
  readonly method?: string | undefined;
  /** Request target, as it came. */
  readonly url?: string | undefined;
  /** `1.1` */
  readonly httpVersion: string;
  /** Names and values in turn, as they came. */
  readonly rawHeaders: readonly string[];
}

export type RequestRefusal =
  | "version" | "no-host" | "several-hosts" | "bad-host" | "other-host" | "bad-target" | "connect" | "several-lengths" | "length-and-encoding" | "bad-length" | "bad-encoding" | "bad-upgrade";

export type RequestVerdict =
  | {
      readonly kind: "name";
      /** Lower case, without port and dot. */
      readonly name: string;
      /** As the client wrote it, with its port. */
      readonly host: string;
      /** Origin form, or `*`. */
      readonly target: string;
      readonly framing: Framing;
    }
  | { readonly kind: "refuse"; readonly reason: RequestRefusal };

/** How long the body is; undefined: there is none. */
export type Framing = { readonly kind: "length"; readonly length: string } | { readonly kind: "chunked" } | undefined;

const refused = (reason: RequestRefusal): RequestVerdict => ({ kind: "refuse", reason });

// Of RFC 9110 §4.2.1 and §7.2: a registered name and a port. Addresses are nobody's published name.
const AUTHORITY = new RegExp(`^([A-Za-z0-9._-]{1,${MAX_NAME_CHARACTERS + 1}})(?::[0-9]{0,5})?$`);
const ABSOLUTE = /^http:\/\/([^/?#]*)([/?].*)?$/i;
const LENGTH = /^[0-9]{1,15}$/;
/** What an upgrade may lead to. Of HTTP itself (h2c; SPDY/3.1, HTTP/2.0) no further request would be looked at. */
const UPGRADE = /^(?!h2c$)[a-z0-9._-]{1,64}$/i;

/** Never throws, whatever the head is. */
export function nameOfRequest(head: RequestHead): RequestVerdict {
  if (head.method === "CONNECT") return refused("connect");
  if (head.httpVersion !== "1.1" && head.httpVersion !== "1.0") return refused("version");
  const hosts = valuesOf(head.rawHeaders, "host");
  if (hosts.length > 1) return refused("several-hosts");
  const [host] = hosts;
  // RFC 9112 §3.2: without one, 1.1 is to be refused; 1.0 says no other name than in an absolute target.
  if (host === undefined && head.httpVersion === "1.1") return refused("no-host");
  const target = targetOf(head);
  if (target === null) return refused("bad-target");
  const authority = target.authority ?? host;
  if (authority === undefined) return refused("no-host");
  const name = nameOfAuthority(authority);
  if (name === undefined) return refused("bad-host");
  if (host !== undefined && nameOfAuthority(host) !== name) return refused("other-host");
  const framing = framingOf(head);
  return typeof framing === "string" ? refused(framing) : { kind: "name", name, host: authority, target: target.path, framing };
}

/** Whether this upgrade may be asked of the host. It has no body, which would be read twice. */
export function isUpgrade(head: RequestHead, framing: Framing): boolean {
  const [upgrade = "", ...others] = valuesOf(head.rawHeaders, "upgrade");
  return others.length === 0 && UPGRADE.test(upgrade) && head.httpVersion === "1.1" && (framing === undefined || (framing.kind === "length" && Number(framing.length) === 0));
}

/** Values of a field, in their order. @param name lower case */
export function valuesOf(rawHeaders: readonly string[], name: string): readonly string[] {
  return rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === name);
}

function nameOfAuthority(authority: string): string | undefined {
  const name = AUTHORITY.exec(authority)?.[1];
  return name === undefined ? undefined : normalName(name);
}

/** RFC 9112 §3.2: origin form, absolute form, or `*` of OPTIONS. */
function targetOf({ method, url = "" }: RequestHead): { readonly authority: string | undefined; readonly path: string } | null {
  if (url.startsWith("/")) return { authority: undefined, path: url };
  if (url === "*" && method === "OPTIONS") return { authority: undefined, path: url };
  const absolute = ABSOLUTE.exec(url);
  if (absolute === null) return null;
  const [, authority = "", path = ""] = absolute;
  if (path === "" && method === "OPTIONS") return { authority, path: "*" };
  return { authority, path: path.startsWith("/") ? path : `/${path}` };
}

function framingOf({ httpVersion, rawHeaders }: RequestHead): Framing | RequestRefusal {
  const lengths = valuesOf(rawHeaders, "content-length");
  const encodings = valuesOf(rawHeaders, "transfer-encoding");
  if (lengths.length > 0 && encodings.length > 0) return "length-and-encoding";
  if (lengths.length > 1) return "several-lengths";
  const [length] = lengths;
  if (length !== undefined) return LENGTH.test(length) ? { kind: "length", length } : "bad-length";
  if (encodings.length === 0) return undefined;
  // RFC 9112 §6.1: 1.0 has none, and what is applied below chunked nobody here takes off.
  return encodings.length === 1 && encodings[0]?.toLowerCase() === "chunked" && httpVersion === "1.1" ? { kind: "chunked" } : "bad-encoding";
}
