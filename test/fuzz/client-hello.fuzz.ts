/**
 * Any bytes as a ClientHello, and any heads as HTTP requests: a verdict, never an exception, the same however the bytes are cut, with a bounded part of them read; what is
 * well-formed is understood, and a name is always one that may be published.
 */
import { Random } from "@i3/common/testing";
import { expect, test } from "vitest";
import { normalName } from "@i3/common";
import { ClientHelloReader, MAX_READ_BYTES, nameOfClientHello, nameOfRequest, passedRequest, type HelloVerdict } from "@i3/ip-to-i3";

const seed = Number(process.env["I3_FUZZ_SEED"] ?? String(Date.now() >>> 0)) >>> 0;
const seconds = Number(process.env["I3_FUZZ_SECONDS"] ?? "2");

const random = new Random(seed);
const below = (limit: number): number => random.below(limit);
const pick = <T>(items: readonly [T, ...T[]]): T => items[below(items.length)] ?? items[0];
const bytes = (length: number): number[] => Array.from({ length }, () => below(256));
const uint16 = (value: number): number[] => [value >> 8, value & 0xff];
const vector = (data: readonly number[]): number[] => [...uint16(data.length), ...data];
const text = (value: string): number[] => [...Buffer.from(value, "latin1")];

const NAMES = ["home.example.org", "HOME.Example.org.", "a", "xn--mnchen-3ya.de", "192.0.2.1", "", "..", "a b", "\0", `${"a".repeat(63)}.`.repeat(3) + "b".repeat(61), "a".repeat(300)] as const;

interface Written {
  readonly message: readonly number[];
  /** What is to be read; null: a refusal, whichever. */
  readonly name: string | null;
}

function written(): Written {
  const name = pick(NAMES);
  const count = pick([0, 1, 1, 1, 1, 2] as const);
  const server = [0, 0, ...vector(vector(Array.from({ length: count }, () => [0, ...vector(text(name))]).flat()))];
  const others = Array.from({ length: below(5) }, (_, i) => [0x10 + i, 0x0a, ...vector(bytes(below(40)))]);
  const extensions = [...others, server].sort(() => below(3) - 1).flat();
  const session = bytes(below(33));
  const suites = bytes(2 * (1 + below(20)));
  const compression = bytes(1 + below(3));
  const body = [3, below(5), ...bytes(32), session.length, ...session, ...vector(suites), compression.length, ...compression, ...vector(extensions)];
  return { message: [1, body.length >> 16, ...uint16(body.length & 0xffff), ...body], name: count === 1 ? (normalName(name) ?? null) : null };
}

function inRecords(message: readonly number[]): Buffer {
  const out: number[] = [];
  for (let at = 0; at < message.length; ) {
    const size = 1 + below(pick([3, 50, 400, 16_384] as const));
    out.push(22, 3, below(5), ...vector(message.slice(at, at + size)));
    at += size;
  }
  return Buffer.from(out);
}

/** The verdict, and how many bytes it took when they came so. */
function read(input: Uint8Array, chunk: () => number): HelloVerdict {
  const reader = new ClientHelloReader();
  let verdict: HelloVerdict = { kind: "more" };
  for (let at = 0; at < input.length && verdict.kind === "more"; ) {
    const size = chunk();
    verdict = reader.push(input.subarray(at, at + size));
    at += size;
  }
  return verdict;
}

function checkHello(input: Uint8Array): HelloVerdict {
  const whole = read(input, () => input.length);
  expect(read(input, () => 1 + below(pick([1, 5, 200] as const)))).toEqual(whole);
  if (whole.kind === "name") expect(normalName(whole.name)).toBe(whole.name);
  if (whole.kind === "more") expect(input.length).toBeLessThanOrEqual(MAX_READ_BYTES);
  expect(nameOfClientHello(input).kind).not.toBe("more");
  return whole;
}

function mutated(packet: Buffer): Buffer {
  const out = Buffer.concat([packet.subarray(0, below(3) === 0 ? below(packet.length + 1) : packet.length), Buffer.from(bytes(below(4) === 0 ? below(40) : 0))]);
  for (let i = below(6); i > 0 && out.length > 0; i -= 1) out[below(out.length)] = pick([0, 1, 2, 3, 0x16, 0x40, 0x80, 0xff, below(256)]);
  return out;
}

function helloCase(): void {
  const { message, name } = written();
  const packet = inRecords(message);
  const kind = below(4);
  if (kind === 0) return void checkHello(Buffer.from(bytes(below(80))));
  if (kind < 3) return void checkHello(mutated(packet));
  expect(checkHello(Buffer.concat([packet, Buffer.from(bytes(below(20)))]))).toEqual(name === null ? expect.objectContaining({ kind: "refuse" }) : { kind: "name", name });
}

const FIELDS = ["Host", "host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "X-Forwarded-For", "x_forwarded-host", "Forwarded", "Cookie", "__proto__", "Expect"] as const;
const VALUES = ["home.example.org", "home.example.org:80", "other.example", "3", "chunked", "gzip, chunked", "close, host", "x-forwarded-for", "h2c", "websocket", "", "\x80\xff", "a@b"] as const;
const URLS = ["/", "/a?b", "*", "http://home.example.org/", "http://home.example.org", "http://a@b/", "https://x/", "", "//", "x", "http:///", "/\x80"] as const;

function requestCase(): void {
  const rawHeaders = Array.from({ length: below(6) }, () => [pick(FIELDS), pick(VALUES)]).flat();
  const head = { method: pick(["GET", "POST", "OPTIONS", "CONNECT", "PRI"] as const), url: pick(URLS), httpVersion: pick(["1.1", "1.0", "0.9", "2.0"] as const), rawHeaders };
  const verdict = nameOfRequest(head);
  if (verdict.kind === "refuse") return;
  expect(normalName(verdict.name)).toBe(verdict.name);
  expect(verdict.target === "*" || verdict.target.startsWith("/")).toBe(true);
  const passed = passedRequest(head, verdict.host, verdict.framing, { client: "192.0.2.7" }, ["Connection", "close"]);
  const valuesOf = (name: string): readonly (string | undefined)[] => passed.flatMap((each, i) => (i % 2 === 0 && each.toLowerCase().replaceAll("_", "-") === name ? [passed[i + 1]] : []));
  expect([valuesOf("host"), valuesOf("x-forwarded-for"), valuesOf("x-forwarded-host"), valuesOf("forwarded")]).toEqual([[verdict.host], ["192.0.2.7"], [verdict.host], []]);
  expect(valuesOf("connection")).toEqual(["close"]);
  expect(valuesOf("content-length").length + valuesOf("transfer-encoding").length).toBeLessThanOrEqual(1);
}

test(`ClientHellos and request heads, seed ${seed}`, () => {
  console.log(`client-hello.fuzz: I3_FUZZ_SEED=${seed} I3_FUZZ_SECONDS=${seconds}`);
  const end = performance.now() + seconds * 1000;
  let cases = 0;
  try {
    for (; performance.now() < end; cases += 1) {
      helloCase();
      requestCase();
    }
  } catch (error) {
    throw new Error(`case ${cases} of seed ${seed}`, { cause: error });
  }
  expect(cases).toBeGreaterThan(100);
});
