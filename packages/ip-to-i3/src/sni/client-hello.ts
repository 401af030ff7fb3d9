/**
 * The name that a ClientHello asks for (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2 and RFC 6066 §3), of TLS 1.0 to 1.3.
 *
 *     0        1        4        6         38            39+s       …
 *     ┌────────┬────────┬────────┬─────────┬─────────────┬──────────┬───────────────────┬─────────────────────┬────────────┐
 *     │ type 1 │ length │ 3, x   │ random  │ s session   │ suites   │ compression       │ extensions          │ extension… │
 *     │        │ 24 bit │        │ 32      │ 8 bit len   │ 16 bit   │ methods 8 bit len │ 16 bit len or none  │            │
 *     └────────┴────────┴────────┴─────────┴─────────────┴──────────┴───────────────────┴─────────────────────┴────────────┘
 *
 * Lengths must add up to the last byte; an extension that comes twice is refused, as RFC 8446 §4.2 has it, so that no server reads another name out of it.
 * Unknown extensions, GREASE (RFC 8701) among them, are passed over. With ECH this is the name of the outer ClientHello: the inner one is the server's.
 */
import { normalName } from "@i3/common";

// Of RFC 8446, 6066:
export const CLIENT_HELLO = 1;
export const HANDSHAKE_HEADER_BYTES = 4;
const RANDOM_BYTES = 32;
const MAX_SESSION_ID_BYTES = 32;
const MAJOR_VERSION = 3;
const EXTENSION_SERVER_NAME = 0;
const HOST_NAME = 0;

export type HelloRefusal = "not-tls" | "ssl2" | "malformed" | "too-long" | "no-name" | "several-names" | "bad-name";

export type HelloVerdict =
  | { readonly kind: "more" }
  /** Lower case, without a dot at the end. */
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "refuse"; readonly reason: HelloRefusal };

export const refusedHello = (reason: HelloRefusal): HelloVerdict => ({ kind: "refuse", reason });

const MALFORMED = refusedHello("malformed");

/** Reads on from byte to byte; undefined where the bytes end. */
class Cursor {
  #at = 0;
  constructor(readonly bytes: Uint8Array) {}

  get left(): number {
    return this.bytes.length - this.#at;
  }

  take(count: number): Uint8Array | undefined {
    if (count > this.left) return undefined;
    this.#at += count;
    return this.bytes.subarray(this.#at - count, this.#at);
  }

  number(bytes: 1 | 2): number | undefined {
    return this.take(bytes)?.reduce((sum, byte) => sum * 256 + byte, 0);
  }

  /** What has its length in front. */
  vector(lengthBytes: 1 | 2): Uint8Array | undefined {
    const length = this.number(lengthBytes);
    return length === undefined ? undefined : this.take(length);
  }
}

/** @param body of a whole ClientHello, behind its type and length. Never throws, and never wants more. */
export function nameOfClientHello(body: Uint8Array): HelloVerdict {
  const hello = new Cursor(body);
  const version = hello.take(2);
  const random = hello.take(RANDOM_BYTES);
  const session = hello.vector(1);
  const suites = hello.vector(2);
  const compression = hello.vector(1);
  if (version?.[0] !== MAJOR_VERSION || random === undefined || session === undefined || suites === undefined || compression === undefined) return MALFORMED;
  if (session.length > MAX_SESSION_ID_BYTES || suites.length < 2 || suites.length % 2 !== 0 || compression.length === 0) return MALFORMED;
  // TLS 1.0 and 1.1 know ClientHellos without.
  if (hello.left === 0) return refusedHello("no-name");
  const extensions = hello.vector(2);
  if (extensions === undefined || hello.left > 0) return MALFORMED;
  const list = serverNameList(new Cursor(extensions));
  if (list === "malformed") return MALFORMED;
  return list === null ? refusedHello("no-name") : nameOfList(new Cursor(list));
}

/** Contents of the extension server_name; null: there is none. */
function serverNameList(extensions: Cursor): Uint8Array | null | "malformed" {
  const seen = new Set<number>();
  let list: Uint8Array | null = null;
  while (extensions.left > 0) {
    const type = extensions.number(2);
    const data = extensions.vector(2);
    if (type === undefined || data === undefined || seen.has(type)) return "malformed";
    seen.add(type);
    if (type === EXTENSION_SERVER_NAME) list = data;
  }
  return list;
}

function nameOfList(extension: Cursor): HelloVerdict {
  const names = extension.vector(2);
  if (names === undefined || extension.left > 0) return MALFORMED;
  const list = new Cursor(names);
  const found: Uint8Array[] = [];
  while (list.left > 0) {
    const type = list.number(1);
    const name = list.vector(2);
    // No other type was ever defined.
    if (type !== HOST_NAME || name === undefined || name.length === 0) return MALFORMED;
    found.push(name);
  }
  const [first] = found;
  if (first === undefined) return MALFORMED;
  if (found.length > 1) return refusedHello("several-names");
  const name = normalName(String.fromCharCode(...first.subarray(0, MAX_NAME_BYTES)));
  return first.length > MAX_NAME_BYTES || name === undefined ? refusedHello("bad-name") : { kind: "name", name };
}

/** RFC 1035 §2.3.4 as text, with a dot at its end. */
const MAX_NAME_BYTES = 254;
