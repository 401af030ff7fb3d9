/**
 * Real daemons on loopback under a flood, from one address and from 200, while an honest client goes on: what got through, and what it cost the client. First with
 * sockets that never run over, then with as much as one process can send.
 */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { decodeControl, encodeControl, TRIGGER_ACTION, type ControlMessage, type ControlType, type Locator, type TriggerAction } from "@i3/common";
import { DATA_FLAG, encodeDataHeader } from "@i3/datapath";
import { generateTriggerKey, refreshChain, signTrigger, type TriggerKey } from "@i3/hip";

import { admitServer } from "../src/ring/credential.js";
import { at, DaemonProcess, Folder, freePort, RING, serverXml, UdpClient, until } from "./daemon-process.js";
import { randomBytesFrom, seeded } from "./ring-net.js";

/** To each server; what a socket holds that was given no more than Linux allows everybody. */
const FLOOD_PER_TURN = 150;
const ROUNDS = 4;
/** How long the client tries each thing. */
const PATIENCE_MS = 30_000;
/** How long a flooder uses a cookie, which is good for 30 s. */
const REUSE_MS = 10_000;
/** A PING that is not answered is sent again. */
const PING_MS = 300;
/** Most tries of one request. */
const MAX_TRIES = 10;
/** A lookup in the ring may take so long after the server has read the request, on a machine that does much else. */
const LOOKUP_MS = 10_000;
const CHAIN = refreshChain(new Uint8Array(16).fill(3));
const COMMITMENT = CHAIN.at(-1) as Uint8Array;
const random = randomBytesFrom(seeded(77));
const idOf = (key: TriggerKey, suffix = 0): Uint8Array => Uint8Array.from([...key.prefix, ...new Uint8Array(16).fill(suffix)]);
/** Without a pause: as long, or as many, and so many between two looks at what has arrived. */
const UNPACED_MS = 1_000;
const MAX_UNPACED = 200_000;
const UNPACED_PER_TURN = 5_000;
const HELLO_KINDS = ["HELLO of who is not admitted", "HELLO for a ground place"] as const;
/** Those of the flood that is mixed: signatures under HELLOs cost so much that on a slow machine triggers would end before it is over. */
const MIXED_KINDS = ["CHALLENGE_REQUEST", "TRIGGER", "LOCATE", "data"] as const;
const SENT_KINDS = [...MIXED_KINDS, ...HELLO_KINDS] as const;
type SentKind = (typeof SENT_KINDS)[number];
type HelloKind = (typeof HELLO_KINDS)[number];
const isHello = (kind: SentKind): kind is HelloKind => HELLO_KINDS.some((hello) => hello === kind);

/** Fields of a credential (src/ring/credential.ts). */
const OFFSET_KEY = 33;
const OFFSET_NONCE = 65;
const STRANGERS = Array.from({ length: 16 }, () => admitServer(random(32), random).credential);
/** He holds a real one, and it is not the place that he wants. */
const INSIDER = admitServer(RING.secret, random).credential;

/** In the name of the ring's authority, who has not signed it: every one for another place, and with a signature that is whole, so that it has to be checked. */
function shownCredential(kind: HelloKind, number: number): Uint8Array {
  const stranger = STRANGERS[number % STRANGERS.length] as typeof INSIDER;
  const bytes = Uint8Array.from((kind === "HELLO for a ground place" ? INSIDER : stranger).bytes);
  bytes.set(INSIDER.bytes.subarray(0, OFFSET_KEY));
  bytes.set(stranger.publicKey, OFFSET_KEY);
  bytes.set(random(16), OFFSET_NONCE);
  return bytes;
}

/** One attacker: everything that costs a server something, from one address, with cookies that are good for it. */
class Flooder {
  readonly #socket: Socket = createSocket("udp4");
  readonly #address: Uint8Array;
  readonly #key = generateTriggerKey();
  /** Port of a server → what it gave. */
  readonly #forged = new Map<number, Uint8Array>();
  readonly #forgedAtMs = new Map<number, number>();
  #turn = 0;
  #hellos = 0;
  /** TRIGGER_OK and HELLO_YES that it got. */
  through = 0;
  /** All that it got. */
  answers = 0;

  constructor(address: Uint8Array) {
    this.#address = address;
    this.#socket.on("message", (bytes, { port }) => {
      this.answers += 1;
      if (bytes[0] === 0x19) this.#take(decodeControl(new Uint8Array(bytes)).message, port);
    });
  }

  async open(): Promise<void> {
    this.#socket.bind(0, this.#address.join("."));
    await once(this.#socket, "listening");
  }

  get hasCookie(): boolean {
    return this.#forged.size > 0;
  }

  close(): void {
    this.#socket.close();
  }

  /** A TRIGGER whose signature is of another key: all that is cheap to check is right. */
  #take(message: ControlMessage, port: number): void {
    if (message.type === "TRIGGER_OK" || message.type === "HELLO_YES") this.through += 1;
    // Signing takes longer than the server's answer: once for many datagrams.
    if (message.type !== "CHALLENGE" || performance.now() < (this.#forgedAtMs.get(port) ?? -Infinity) + REUSE_MS) return;
    this.#forgedAtMs.set(port, performance.now());
    const target: Locator = at(this.#socket.address().port, this.#address);
    const unsigned = { action: TRIGGER_ACTION.insert, id: idOf(this.#key), target, flags: 0, counter: 1, commitment: COMMITMENT, cookie: message.cookie } as const;
    const { signature } = signTrigger({ kind: "private", key: generateTriggerKey() }, unsigned, message.nodeKey);
    this.#forged.set(port, encodeControl({ ...signTrigger({ kind: "private", key: this.#key }, unsigned, message.nodeKey), signature }, new Uint8Array(8)));
  }

  /** Next time it takes new ones. */
  dropCookies(): void {
    this.#forged.clear();
    this.#forgedAtMs.clear();
  }

  /** @default each of MIXED_KINDS in turn */
  send(port: number, kind: SentKind = MIXED_KINDS[(this.#turn += 1) % MIXED_KINDS.length] as SentKind): void {
    this.#socket.send(this.#next(port, kind), port, "127.0.0.1");
  }

  #next(port: number, kind: SentKind): Uint8Array {
    const forged = this.#forged.get(port);
    if (kind === "TRIGGER" && forged !== undefined) return forged;
    if (kind === "LOCATE") return encodeControl({ type: "LOCATE", ringKey: random(16) }, random(8));
    if (kind === "data") return Buffer.concat([encodeDataHeader({ flags: DATA_FLAG.cacheRequest, hopLimit: 16, copyBudget: 255, payloadKind: 5, nonce: random(8), ids: [random(32)] }), new Uint8Array(100)]);
    if (isHello(kind)) return encodeControl({ type: "HELLO", credential: shownCredential(kind, (this.#hellos += 1)) }, random(8));
    return encodeControl({ type: "CHALLENGE_REQUEST", ringKey: this.#key.prefix, flags: 0 }, new Uint8Array(8));
  }
}

/**
 * Keeps a server always busy with the flood, and its socket from running over: the next datagrams go out when it has read the last ones, however fast it is. So what
 * the client loses the server has dropped, not the kernel.
 */
class Pacer {
  readonly #socket: Socket = createSocket("udp4");

  async open(): Promise<void> {
    this.#socket.bind(0, "127.0.0.9");
    await once(this.#socket, "listening");
  }

  close(): void {
    this.#socket.close();
  }

  async ping(port: number): Promise<void> {
    const bytes = encodeControl({ type: "PING" }, random(8));
    await new Promise<void>((resolve) => {
      const send = (): void => void this.#socket.send(bytes, port, "127.0.0.1");
      const again = setInterval(send, PING_MS);
      this.#socket.once("message", () => (clearInterval(again), resolve()));
      send();
    });
  }
}

/** Inserts, refreshes, moves and removes triggers and sends to them; what each step took. */
class HonestClient {
  readonly delaysMs = new Map<string, number>();
  /** Moved, and not removed. */
  readonly kept: { readonly key: TriggerKey; readonly port: number; refreshes: number }[] = [];
  inserts = 0;
  removals = 0;
  /** To its own triggers, and how often one had to be sent to each server. */
  readonly packets = { sent: 0, all: 0, most: 0 };
  /** Kind of request → how many there were, all tries, and the most of one. */
  readonly tries = new Map<ControlType, { requests: number; all: number; most: number }>();
  readonly #at: readonly [UdpClient, UdpClient];
  readonly #ports: readonly number[];

  constructor(at: readonly [UdpClient, UdpClient], ports: readonly number[]) {
    this.#at = at;
    this.#ports = ports;
  }

  async #timed<T>(what: string, work: () => Promise<T>): Promise<T> {
    const fromMs = performance.now();
    const result = await work();
    this.delaysMs.set(what, Math.max(this.delaysMs.get(what) ?? 0, performance.now() - fromMs));
    return result;
  }

  /**
   * What a server answers. A try has failed when the server has answered a PING that was sent behind it and not the request, which does not depend on how fast
   * the machine is: datagrams of one socket arrive in their order. PINGs are sent again until there is an answer.
   */
  async #ask<T extends ControlType>(client: UdpClient, port: number, message: ControlMessage, type: T): Promise<Extract<ControlMessage, { type: T }>> {
    const nonce = client.nonce();
    const answer = (): ControlMessage | undefined => client.answers(nonce)[0];
    const count = this.tries.get(message.type) ?? { requests: 0, all: 0, most: 0 };
    this.tries.set(message.type, count);
    count.requests += 1;
    for (let tries = 1; tries <= MAX_TRIES; tries += 1) {
      count.all += 1;
      count.most = Math.max(count.most, tries);
      client.sendBytes(port, encodeControl(message, nonce));
      await client.ask(port, { type: "PING" }, "PONG", PATIENCE_MS);
      if (message.type === "LOCATE") for (const endMs = Date.now() + LOOKUP_MS; answer() === undefined && Date.now() < endMs; ) await new Promise((resolve) => setTimeout(resolve, 5));
      const heard = answer();
      if (heard?.type === type) return heard as Extract<ControlMessage, { type: T }>;
      if (heard !== undefined) throw new Error(`${JSON.stringify(heard)} instead of ${type}`);
    }
    throw new Error(`no ${type} to ${MAX_TRIES} ${message.type}`);
  }

  async #place(key: TriggerKey, client: UdpClient, counter: number, action: TriggerAction): Promise<number> {
    const ringKey = key.prefix;
    const { node } = await this.#ask(client, this.#ports[0] as number, { type: "LOCATE", ringKey }, "LOCATED");
    const { port } = node.locator;
    const challenge = await this.#ask(client, port, { type: "CHALLENGE_REQUEST", ringKey, flags: 0 }, "CHALLENGE");
    const unsigned = { action, id: idOf(key), target: client.locator, flags: 0, counter, commitment: COMMITMENT, cookie: challenge.cookie } as const;
    await this.#ask(client, port, signTrigger({ kind: "private", key }, unsigned, challenge.nodeKey), "TRIGGER_OK");
    return port;
  }

  /** Datagrams may be lost under a flood, as on any network: each is sent again until it is there. */
  async #deliver(key: TriggerKey, to: UdpClient, what: string): Promise<void> {
    await this.#timed("send", async () => {
      let looks = 0;
      let tries = 0;
      await until(() => {
        if (to.payloads().includes(what)) return true;
        if ((looks += 1) % 5 !== 1) return false;
        tries += 1;
        for (const port of this.#ports) this.#at[0].sendData(port, idOf(key), what);
        return false;
      }, PATIENCE_MS);
      this.packets.sent += 1;
      this.packets.all += tries;
      this.packets.most = Math.max(this.packets.most, tries);
    });
  }

  async #refresh(client: UdpClient, key: TriggerKey, port: number, index: number): Promise<void> {
    const token = CHAIN.at(-1 - index) as Uint8Array;
    await this.#timed("refresh", () => this.#ask(client, port, { type: "REFRESH", id: idOf(key), index, token, member: null }, "TRIGGER_OK"));
  }

  async refreshKept(): Promise<void> {
    for (const trigger of this.kept) await this.#refresh(this.#at[1], trigger.key, trigger.port, (trigger.refreshes += 1));
  }

  async live(round: number): Promise<void> {
    const [here, there] = this.#at;
    await this.refreshKept();
    const [stays, goes] = [generateTriggerKey(), generateTriggerKey()];
    for (const key of [stays, goes]) {
      const port = await this.#timed("insert", () => this.#place(key, here, 1, TRIGGER_ACTION.insert));
      await this.#refresh(here, key, port, 1);
    }
    await this.#deliver(stays, here, `here ${round}`);
    const port = await this.#timed("move", () => this.#place(stays, there, 2, TRIGGER_ACTION.insert));
    this.kept.push({ key: stays, port, refreshes: 0 });
    await this.#deliver(stays, there, `there ${round}`);
    await this.#timed("remove", () => this.#place(goes, here, 2, TRIGGER_ACTION.remove));
    this.inserts += 3;
    this.removals += 1;
  }

  /** Whether all triggers that were not removed still lead to where they were put last. */
  async areThere(when: string): Promise<void> {
    for (const [i, { key }] of this.kept.entries()) await this.#deliver(key, this.#at[1], `${when} ${i}`);
  }
}

/** Datagrams for a server's port that the kernel has thrown away: its socket was full. */
function overrun(port: number): number {
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const sockets = ["udp", "udp6"].flatMap((table) => readFileSync(`/proc/net/${table}`, "utf8").split("\n").map((line) => line.trim().split(/\s+/)));
  return sockets.filter((fields) => fields[1]?.endsWith(local)).reduce((sum, fields) => sum + Number(fields.at(-1)), 0);
}

describe.each([["native", 1], ["native", 200], ["reference", 1], ["reference", 200]] as const)("with the %s engine, a flood of CHALLENGE_REQUEST, TRIGGER with wrong signatures, LOCATE and data from %d sources", (engine, sources) => {
  /** The sockets of the other engine are those that run over. */
  const isPaced = engine === "native";
  const folder = new Folder();
  let ports: number[] = [];
  let daemons: DaemonProcess[] = [];
  let clients: [UdpClient, UdpClient];
  let client: HonestClient;
  const pacers = [new Pacer(), new Pacer()];
  const flooders = Array.from({ length: sources }, (_, i) => new Flooder(Uint8Array.of(127, 1, 0, 1 + i)));

  beforeAll(async () => {
    ports = [await freePort(), await freePort()];
    for (const [i, port] of ports.entries()) {
      folder.file(`s${i}.xml`, serverXml(join(folder.path, `s${i}.key`), port, { credentialFile: folder.credential(`s${i}.credential`), members: ports }, engine));
    }
    daemons = ports.map((_, i) => new DaemonProcess(["--config", join(folder.path, `s${i}.xml`)]));
    await Promise.all(daemons.map((daemon) => daemon.ready()));
    clients = [await UdpClient.open(Uint8Array.of(127, 0, 0, 2)), await UdpClient.open(Uint8Array.of(127, 0, 0, 3))];
    await until(() => daemons.every((daemon) => daemon.logged("claims").length > 0), 20_000);
    for (const opening of [...flooders, ...pacers]) await opening.open();
    client = new HonestClient(clients, ports);
    for (let round = 0; round <= (isPaced ? 0 : ROUNDS); round += 1) await client.live(round);
  }, 80_000);

  afterAll(async () => {
    for (const closing of [...flooders, ...clients, ...pacers]) closing.close();
    await Promise.all(daemons.map((daemon) => daemon.kill("SIGKILL")));
    folder.remove();
  });

  if (isPaced) it("puts in no trigger, takes none of an honest client's, and keeps memory bounded", async () => {
    const calm = new Map(client.delaysMs);
    client.delaysMs.clear();
    client.tries.clear();
    const memory = daemons.map((daemon) => daemon.memory());

    let isOver = false;
    let sent = 0;
    const flood = async (port: number, pacer: Pacer): Promise<void> => {
      while (!isOver) {
        for (let n = 0; n < FLOOD_PER_TURN; n += 1, sent += 1) flooders[sent % sources]?.send(port);
        await pacer.ping(port);
      }
    };
    const flooding = Promise.all(ports.map((port, i) => flood(port, pacers[i] as Pacer)));
    try {
      await until(() => flooders.every(({ hasCookie }) => hasCookie), PATIENCE_MS);
      for (let round = 1; round <= ROUNDS; round += 1) await client.live(round);
    } finally {
      isOver = true;
      await flooding;
    }

    const counters = await Promise.all(daemons.map((daemon) => daemon.counters()));
    const sum = (name: string): number => counters.reduce((all, { control }) => all + (control[name] ?? 0), 0);
    const growth = daemons.map((daemon, i) => Math.round((daemon.memory() - (memory[i] as number)) / 2 ** 20));
    const tooMany = counters.reduce((all, { engine }) => all + ((engine["drops"] as Readonly<Record<string, number>> | undefined)?.["rate"] ?? 0), 0);
    const tries = [...client.tries].map(([kind, { requests, all, most }]) => `${kind} ${requests} in ${all} tries, at most ${most}`).join("; ");
    const text = (delays: ReadonlyMap<string, number>): string => [...delays].map(([what, ms]) => `${what} ${Math.round(ms)}`).join(", ");
    process.stdout.write(`${engine}, ${sources} sources, ${sent} datagrams: worst of the client, ms: ${text(client.delaysMs)} (calm: ${text(calm)}); ${sum("signature")} signatures refused, ${sum("rate") + tooMany} not looked at, ${sum("lookups-refused")} of ${sum("lookups") + sum("lookups-refused")} lookups refused; memory +${growth.join(", +")} MiB\n    the client's: ${tries}\n`);

    expect(flooders.reduce((all, { through }) => all + through, 0)).toBe(0);
    // This flood never fills a socket (Pacer), so each was answered the first time, however slow the machine is.
    for (const kind of ["LOCATE", "CHALLENGE_REQUEST", "TRIGGER", "REFRESH"] as const) {
      const { requests, all } = client.tries.get(kind) ?? { requests: 0, all: 0 };
      expect(requests, kind).toBeGreaterThanOrEqual(4 * ROUNDS);
      expect(all, kind).toBe(requests);
    }
    expect([sum("inserted"), sum("removed"), sum("expired")]).toEqual([client.inserts, client.removals, 0]);
    expect(counters.reduce((all, { ring }) => all + (ring["triggers"] ?? 0), 0)).toBe(client.kept.length);
    await client.areThere("after the flood");
    expect(sum("signature")).toBeGreaterThan(0);
    expect(sum("located")).toBeGreaterThan(0);
    for (const { ring } of counters) expect(ring["waiting"]).toBeLessThanOrEqual(512);
    for (const mib of growth) expect(mib).toBeLessThan(200);
  }, 180_000);

  it.each(SENT_KINDS)("of %s alone, as fast as one process can send, ends no server and no trigger of others, and their refreshes get through", async (kind) => {
    await client.refreshKept();
    if (kind === "TRIGGER") {
      for (const flooder of flooders) flooder.dropCookies();
      await until(() => {
        for (const flooder of flooders) if (!flooder.hasCookie) for (const port of ports) flooder.send(port, "CHALLENGE_REQUEST");
        return flooders.every(({ hasCookie }) => hasCookie);
      }, PATIENCE_MS);
    }
    client.tries.clear();
    Object.assign(client.packets, { sent: 0, all: 0, most: 0 });
    const calm = await Promise.all(daemons.map((daemon) => daemon.counters()));
    const counted = (): { readonly answers: number; readonly lost: number } => ({ answers: flooders.reduce((all, { answers }) => all + answers, 0), lost: ports.reduce((all, port) => all + overrun(port), 0) });
    const before = counted();
    let sent = 0;
    const flood = async (): Promise<void> => {
      for (const endMs = performance.now() + UNPACED_MS; performance.now() < endMs && sent < MAX_UNPACED; await setImmediate()) {
        for (let n = 0; n < UNPACED_PER_TURN; n += 1, sent += 1) flooders[sent % sources]?.send(ports[sent % ports.length] as number, kind);
      }
    };
    await Promise.all([flood(), client.refreshKept().then(() => client.areThere(`while ${kind}`))]);
    await client.refreshKept();
    const { answers, lost } = counted();
    const { requests, all, most } = client.tries.get("REFRESH") ?? { requests: 0, all: 0, most: 0 };
    process.stdout.write(`${engine}, ${sources} sources, without a pause: of ${sent} ${kind} ${answers - before.answers} answered, ${lost - before.lost} lost since sockets were full; ${requests} refreshes of others in ${all} tries, at most ${most}, ${client.packets.sent} packets in ${client.packets.all}, at most ${client.packets.most}\n`);

    expect(daemons.map(({ child }) => child.exitCode ?? child.signalCode)).toEqual([null, null]);
    await client.areThere(`after ${kind}`);
    const counters = await Promise.all(daemons.map((daemon) => daemon.counters()));
    expect(counters.reduce((sum, { ring }) => sum + (ring["triggers"] ?? 0), 0)).toBe(client.kept.length);
    expect(counters.reduce((sum, { control }) => sum + (control["expired"] ?? 0), 0)).toBe(0);
    expect(flooders.reduce((sum, { through }) => sum + through, 0)).toBe(0);
    expect(requests).toBe(2 * client.kept.length);
    expect(counters.map(({ ring }) => ring["sessions"])).toEqual(calm.map(({ ring }) => ring["sessions"]));
    if (!isHello(kind)) return;
    const [checked, refused] = ["credential", "hello-rate"].map((name) => counters.reduce((sum, { control }, i) => sum + (control[name] ?? 0) - (calm[i]?.control[name] ?? 0), 0));
    process.stdout.write(`    signatures checked ${checked}, HELLOs not looked at ${refused}\n`);
    expect(checked).toBeGreaterThan(0);
  }, 120_000);
});
