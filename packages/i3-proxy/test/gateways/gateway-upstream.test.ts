/** Questions to a gateway on the loopback: real sockets; the waits of a second and more pass by themselves. */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import { createServer, type AddressInfo, type Server } from "node:net";

import { encodeVirtualOption, parseIpText, VIRTUAL_OPTION, type AddressRange } from "@i3/common";
import { loadNativeIo } from "@i3/datapath/native-io";
import { decode, encode, type DecodedPacket, type Packet } from "dns-packet";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { readQuestion, type Question } from "../../src/dns/question.js";
import type { GatewayFailure, GatewayPlace } from "../../src/gateways/gateways.js";
import { dnsFrame, DnsFrameReader } from "../../src/io/dns-port-frames.js";
import { GatewayUpstream } from "../../src/io/gateway-upstream.js";

const ip = (text: string): Uint8Array => parseIpText(text) as Uint8Array;
const RANGE: AddressRange = { network: ip("10.0.0.0"), prefixBits: 8 };
const NAME = "Www.Corp.example";
const PLACE = { address: ip("127.0.0.9"), local: ip("127.0.0.5"), mapping: {} } as unknown as GatewayPlace;

const opened: { close(): unknown }[] = [];
let udp: Socket;
let tcp: Server;
/** What the gateway heard, and how it answers. */
let heard: { readonly packet: DecodedPacket; readonly from: string; readonly port: number; readonly by: "udp" | "tcp" }[];
let answers: (query: DecodedPacket, by: "udp" | "tcp") => readonly Uint8Array[];
/** What the core was told and says. */
let told: string[];
let failures: GatewayFailure[];
let ignored = 0;
let learns: (tries: number) => "ok" | "again" | GatewayFailure;
let place: () => GatewayPlace | "looking" | "nowhere";
let whenKnown: (() => void) | null;
let upstream: GatewayUpstream;

const optionOf = (tries: number): Packet["additionals"] => [{ type: "OPT", name: ".", udpPayloadSize: 1_232, extendedRcode: 0, ednsVersion: 0, flags: 0, options: [{ code: VIRTUAL_OPTION, data: Buffer.from(encodeVirtualOption({ tries, range: RANGE })) }] } as never];
const triesOf = ({ additionals }: DecodedPacket): number => (additionals?.[0] as unknown as { options: { data: Buffer }[] }).options[0]?.data[1] ?? -1;
const good = (query: DecodedPacket, more: Partial<Packet> = {}, data = "10.1.2.3"): Uint8Array =>
  encode({ type: "response", id: query.id ?? 0, flags: 0x0180, questions: query.questions ?? [], answers: [{ type: "A", name: NAME, data }], additionals: optionOf(triesOf(query)), ...more });

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  [heard, told, failures, ignored, whenKnown] = [[], [], [], 0, null];
  answers = (query) => [good(query)];
  learns = () => "ok";
  place = () => PLACE;
  udp = createSocket("udp4");
  udp.on("message", (bytes: Buffer, { address, port }: RemoteInfo) => {
    const packet = decode(bytes);
    heard.push({ packet, from: address, port, by: "udp" });
    for (const answer of answers(packet, "udp")) udp.send(answer, port, address);
  });
  udp.bind(0, "127.0.0.9");
  await once(udp, "listening");
  const { port } = udp.address();
  tcp = createServer((socket) => {
    const reader = new DnsFrameReader();
    socket.on("error", () => undefined).on("data", (chunk: Buffer) => {
      for (const bytes of reader.push(chunk)) {
        const packet = decode(bytes);
        heard.push({ packet, from: socket.remoteAddress ?? "", port: socket.remotePort ?? 0, by: "tcp" });
        const found = answers(packet, "tcp");
        if (found.length === 0) socket.end();
        for (const answer of found) socket.write(dnsFrame(answer));
      }
    });
  });
  tcp.listen(port, "127.0.0.9");
  await once(tcp, "listening");
  const count = { countQuestion: () => undefined, countAnswer: () => void told.push("answer"), countIgnored: () => void (ignored += 1), countFailure: (_via: string, why: GatewayFailure) => void failures.push(why) };
  upstream = new GatewayUpstream({
    io: loadNativeIo(), port: (tcp.address() as AddressInfo).port,
    names: { told: (address) => void told.push(`told ${address.join(".")}`), whenKnown: (_name, done) => { whenKnown = done; return () => undefined; } },
    gateways: { ...count, locate: () => place(), option: (tries) => ({ tries, range: RANGE }), foreign: () => void told.push("foreign"), learn: (_now, _via, _place, name, addresses, tries) => { told.push(`learn ${name} ${addresses.map((one) => one.join(".")).join(" ")}`); return learns(tries); } },
  });
  opened.push(upstream, udp, tcp);
});
afterEach(() => {
  for (const one of opened.splice(0)) one.close();
  vi.useRealTimers();
});

const query = (name = NAME): Uint8Array => encode({ type: "query", id: 0x1234, flags: 0x0100, questions: [{ type: "A", name }] });
/** The answer that the program gets. */
function ask(transport: "udp" | "tcp" = "udp", via = "office.i3", name = NAME): Promise<DecodedPacket & { readonly rcode?: string }> {
  const bytes = query(name);
  return new Promise((resolve) => upstream.ask({ query: bytes, question: readQuestion(bytes) as Question, via, transport, limit: 512, reply: (answer) => resolve(decode(Buffer.from(answer))) }));
}
/** Turns of the event loop: the clock of timers stands still. */
async function until(done: () => boolean): Promise<void> {
  const endMs = performance.now() + 5_000;
  while (!done()) {
    if (performance.now() > endMs) throw new Error("not within 5 s");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe.each(["udp", "tcp"] as const)("over %s", (transport) => {
  it("a question goes from our own address with an id of its own, and its servers are learned before the program hears of them", async () => {
    const packet = await ask(transport);
    expect(packet).toMatchObject({ id: 0x1234, rcode: "NOERROR", answers: [{ data: "10.1.2.3", ttl: 0 }], additionals: [] });
    expect(heard).toMatchObject([{ from: "127.0.0.5", by: transport, packet: { questions: [{ name: NAME }] } }]);
    expect(told).toEqual(["told 127.0.0.9", "learn www.corp.example 10.1.2.3", "told 10.1.2.3", "answer"]);
  });

  it("an address that is somebody's here is asked for again with the next try", async () => {
    learns = (tries) => (tries < 3 ? "again" : "ok");
    expect((await ask(transport)).rcode).toBe("NOERROR");
    expect(heard.map(({ packet }) => triesOf(packet))).toEqual([0, 1, 2, 3]);
  });

  it.each(["taken", "full", "foreign", "unreachable"] as const)("what the core does not take is SERVFAIL: %s", async (why) => {
    learns = () => why;
    expect(await ask(transport)).toMatchObject({ id: 0x1234, rcode: "SERVFAIL", answers: [], questions: [{ name: NAME }] });
    expect([failures, told.at(-1)]).toEqual([[why], "learn www.corp.example 10.1.2.3"]);
  });

  it("an answer that names addresses where none may be is told of, and fails", async () => {
    answers = (packet) => [good(packet, { additionals: [] })];
    expect((await ask(transport)).rcode).toBe("SERVFAIL");
    expect([failures, told]).toEqual([["foreign"], ["told 127.0.0.9", "foreign"]]);
  });

  it("answers to something else are passed over", async () => {
    answers = (packet) => [good({ ...packet, id: ((packet.id ?? 0) + 1) & 0xffff }), good({ ...packet, questions: [{ type: "A", name: NAME.toLowerCase() }] }), Uint8Array.of(1, 2, 3), good(packet)];
    expect((await ask(transport)).rcode).toBe("NOERROR");
    expect(ignored).toBe(3);
  });

  it("nobody listening there is heard at once", async () => {
    if (transport === "udp") udp.close();
    else tcp.close();
    opened.splice(transport === "udp" ? 1 : 2, 1);
    expect((await ask(transport)).rcode).toBe("SERVFAIL");
    expect(failures).toEqual(["unreachable"]);
  });

  it("a way that is not there is heard at once, and ends nothing", async () => {
    // Of IPv6 no socket that is bound to an IPv4 address can go.
    place = () => ({ ...PLACE, address: Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1) });
    expect((await ask(transport)).rcode).toBe("SERVFAIL");
    expect(failures).toEqual(["unreachable"]);
  });

  it("without an answer it is given up after six seconds", async () => {
    answers = () => [Uint8Array.of(1)];
    const done = ask(transport);
    await until(() => ignored === 1);
    vi.advanceTimersByTime(5_999);
    expect([failures, upstream.inFlight]).toEqual([[], 1]);
    vi.advanceTimersByTime(1);
    expect([(await done).rcode, failures, upstream.inFlight]).toEqual(["SERVFAIL", ["silent"], 0]);
  });
});

it("a datagram that is lost comes again after one and three seconds, from the same port", async () => {
  answers = () => (heard.length < 3 ? [] : [good(heard[2]?.packet as DecodedPacket)]);
  const done = ask();
  await until(() => heard.length === 1);
  vi.advanceTimersByTime(1_000);
  await until(() => heard.length === 2);
  vi.advanceTimersByTime(1_999);
  expect(heard).toHaveLength(2);
  vi.advanceTimersByTime(1);
  expect((await done).rcode).toBe("NOERROR");
  expect(new Set(heard.map(({ port, packet }) => `${port} ${packet.id ?? 0}`)).size).toBe(1);
});

it("questions have ports and ids of their own", async () => {
  await Promise.all(Array.from({ length: 20 }, () => ask()));
  expect(new Set(heard.map(({ port }) => port)).size).toBe(20);
  expect(new Set(heard.map(({ packet }) => packet.id)).size).toBeGreaterThan(15);
});

it("an answer that was cut sends the program to TCP, and nothing of it is learned", async () => {
  answers = (packet) => [good(packet, { flags: 0x0380 })];
  expect(await ask("udp")).toMatchObject({ id: 0x1234, rcode: "NOERROR", flag_tc: true, answers: [] });
  expect(told).not.toContain("told 10.1.2.3");
  expect((await ask("tcp")).rcode).toBe("SERVFAIL");
});

it("what the program takes no more of is cut", async () => {
  answers = (packet) => [good(packet, { answers: Array.from({ length: 8 }, () => ({ type: "TXT", name: NAME, data: "x".repeat(100) }) as never) })];
  expect(await ask("udp")).toMatchObject({ flag_tc: true, answers: [] });
  expect((await ask("tcp")).answers).toHaveLength(8);
});

it("a gateway that closes the connection without an answer is heard at once", async () => {
  answers = () => [];
  expect((await ask("tcp")).rcode).toBe("SERVFAIL");
  expect(failures).toEqual(["unreachable"]);
});

it("a gateway that is looked for is waited for; one that nobody is fails", async () => {
  place = () => "looking";
  const done = ask();
  await until(() => whenKnown !== null);
  place = () => PLACE;
  whenKnown?.();
  expect((await done).rcode).toBe("NOERROR");
  place = () => "nowhere";
  expect((await ask()).rcode).toBe("SERVFAIL");
  place = () => "looking";
  const late = ask();
  vi.advanceTimersByTime(2_000);
  expect([(await late).rcode, failures]).toEqual(["SERVFAIL", ["nowhere", "nowhere"]]);
});

it("64 questions are in flight to a gateway, 256 to all, 64 of them by TCP; more fail at once", async () => {
  place = () => "looking";
  for (let i = 0; i < 64; i += 1) void ask("udp", "a.i3", `www.corp${i % 2}.example`);
  expect((await ask("udp", "a.i3", "www.other.example")).rcode).toBe("SERVFAIL");
  for (let i = 0; i < 64; i += 1) void ask("tcp", `t${i % 2}.i3`);
  expect((await ask("tcp", "b.i3")).rcode).toBe("SERVFAIL");
  for (let i = 0; i < 128; i += 1) void ask("udp", `u${i % 3}.i3`, `www.corp${i % 2}.example`);
  expect(upstream.inFlight).toBe(256);
  expect((await ask("udp", "v.i3")).rcode).toBe("SERVFAIL");
  expect(failures).toEqual(["crowded", "crowded", "crowded"]);
  vi.advanceTimersByTime(6_000);
  expect(upstream.inFlight).toBe(0);
});

it("a zone whose name server says nothing has 8 questions at the gateway, and 24 more wait; other names are asked", async () => {
  answers = (packet) => (packet.questions?.[0]?.name.endsWith(".silent.example") === true ? [] : [good(packet)]);
  for (let i = 0; i < 32; i += 1) void ask("udp", "a.i3", `n${i}.silent.example`);
  expect((await ask("udp", "a.i3", "more.silent.example")).rcode).toBe("SERVFAIL");
  expect((await ask("udp", "a.i3")).rcode).toBe("NOERROR");
  expect([heard.length, failures]).toEqual([9, ["crowded"]]);
  // Once they are answered those that wait are asked.
  answers = (packet) => [good(packet)];
  vi.advanceTimersByTime(1_000);
  await until(() => upstream.inFlight === 0);
  expect(new Set(heard.map(({ packet }) => packet.questions?.[0]?.name)).size).toBe(33);
});

it("a question of our own is learned from, and nobody is answered after the end", async () => {
  upstream.askAgain("office.i3", "www.corp.example", 4);
  answers = (packet) => [good(packet, { answers: [{ type: "A", name: "www.corp.example", data: "10.1.2.3" }] })];
  await until(() => told.includes("learn www.corp.example 10.1.2.3"));
  answers = () => [];
  let answered = false;
  void ask().then(() => (answered = true));
  await until(() => heard.length === 2);
  upstream.close();
  vi.advanceTimersByTime(10_000);
  await Promise.resolve();
  expect([answered, upstream.inFlight]).toEqual([false, 0]);
});
