/** Real daemons on loopback under a flood, from one address and from 200, while an honest client goes on: what got through, and what it cost the client. */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { decodeControl, encodeControl, TRIGGER_ACTION, type ControlMessage, type Locator, type TriggerAction } from "@i3/common";
import { DATA_FLAG, encodeDataHeader } from "@i3/datapath";
import { generateTriggerKey, refreshChain, signTrigger, type TriggerKey } from "@i3/hip";

import { at, DaemonProcess, Folder, freePort, serverXml, UdpClient, until } from "./daemon-process.js";
import { randomBytesFrom, seeded } from "./ring-net.js";

const FLOOD_PER_TURN = 150;
const ROUNDS = 4;
/** How long the client tries each thing. */
const PATIENCE_MS = 30_000;
const CHAIN = refreshChain(new Uint8Array(16).fill(3));
const COMMITMENT = CHAIN.at(-1) as Uint8Array;
const random = randomBytesFrom(seeded(77));
const idOf = (key: TriggerKey, suffix = 0): Uint8Array => Uint8Array.from([...key.prefix, ...new Uint8Array(16).fill(suffix)]);
const SENT_KINDS = ["CHALLENGE_REQUEST", "TRIGGER", "LOCATE", "data"] as const;

/** One attacker: everything that costs a server something, from one address, with cookies that are good for it. */
class Flooder {
  readonly #socket: Socket = createSocket("udp4");
  readonly #address: Uint8Array;
  readonly #key = generateTriggerKey();
  /** Port of a server → what it gave. */
  readonly #forged = new Map<number, Uint8Array>();
  #turn = 0;
  sent = 0;
  /** TRIGGER_OK that it got. */
  through = 0;

  constructor(address: Uint8Array) {
    this.#address = address;
    this.#socket.on("message", (bytes, { port }) => bytes[0] === 0x19 && this.#take(decodeControl(new Uint8Array(bytes)).message, port));
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
    if (message.type === "TRIGGER_OK") this.through += 1;
    if (message.type !== "CHALLENGE") return;
    const target: Locator = at(this.#socket.address().port, this.#address);
    const unsigned = { action: TRIGGER_ACTION.insert, id: idOf(this.#key), target, flags: 0, counter: 1, commitment: COMMITMENT, cookie: message.cookie } as const;
    const { signature } = signTrigger({ kind: "private", key: generateTriggerKey() }, unsigned, message.nodeKey);
    this.#forged.set(port, encodeControl({ ...signTrigger({ kind: "private", key: this.#key }, unsigned, message.nodeKey), signature }, new Uint8Array(8)));
  }

  send(port: number): void {
    this.#turn += 1;
    this.sent += 1;
    this.#socket.send(this.#next(port), port, "127.0.0.1");
  }

  #next(port: number): Uint8Array {
    const kind = SENT_KINDS[this.#turn % SENT_KINDS.length];
    const forged = this.#forged.get(port);
    if (kind === "TRIGGER" && forged !== undefined) return forged;
    if (kind === "LOCATE") return encodeControl({ type: "LOCATE", ringKey: random(16) }, random(8));
    if (kind === "data") return Buffer.concat([encodeDataHeader({ flags: DATA_FLAG.cacheRequest, hopLimit: 16, copyBudget: 255, payloadKind: 5, nonce: random(8), ids: [random(32)] }), new Uint8Array(100)]);
    return encodeControl({ type: "CHALLENGE_REQUEST", ringKey: this.#key.prefix, flags: 0 }, new Uint8Array(8));
  }
}

/** Inserts, refreshes, moves and removes triggers and sends to them; what each step took. */
class HonestClient {
  readonly delaysMs = new Map<string, number>();
  /** Moved, and not removed. */
  readonly kept: { readonly key: TriggerKey; readonly port: number; refreshes: number }[] = [];
  inserts = 0;
  removals = 0;
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

  async #place(key: TriggerKey, client: UdpClient, counter: number, action: TriggerAction): Promise<number> {
    const ringKey = key.prefix;
    const { node } = await client.ask(this.#ports[0] as number, { type: "LOCATE", ringKey }, "LOCATED", PATIENCE_MS);
    const { port } = node.locator;
    const challenge = await client.ask(port, { type: "CHALLENGE_REQUEST", ringKey, flags: 0 }, "CHALLENGE", PATIENCE_MS);
    const unsigned = { action, id: idOf(key), target: client.locator, flags: 0, counter, commitment: COMMITMENT, cookie: challenge.cookie } as const;
    await client.ask(port, signTrigger({ kind: "private", key }, unsigned, challenge.nodeKey), "TRIGGER_OK", PATIENCE_MS);
    return port;
  }

  /** Datagrams may be lost under a flood, as on any network: each is sent again until it is there. */
  async #deliver(key: TriggerKey, to: UdpClient, what: string): Promise<void> {
    await this.#timed("send", async () => {
      let tries = 0;
      await until(() => {
        if (to.payloads().includes(what)) return true;
        if ((tries += 1) % 5 === 1) for (const port of this.#ports) this.#at[0].sendData(port, idOf(key), what);
        return false;
      }, PATIENCE_MS);
    });
  }

  async #refresh(client: UdpClient, key: TriggerKey, port: number, index: number): Promise<void> {
    const token = CHAIN.at(-1 - index) as Uint8Array;
    await this.#timed("refresh", () => client.ask(port, { type: "REFRESH", id: idOf(key), index, token, member: null }, "TRIGGER_OK", PATIENCE_MS));
  }

  async live(round: number): Promise<void> {
    const [here, there] = this.#at;
    for (const trigger of this.kept) await this.#refresh(there, trigger.key, trigger.port, (trigger.refreshes += 1));
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
  async areThere(): Promise<void> {
    for (const [i, { key }] of this.kept.entries()) await this.#deliver(key, this.#at[1], `after the flood ${i}`);
  }
}

describe.each([1, 200])("a flood of CHALLENGE_REQUEST, TRIGGER with wrong signatures, LOCATE and data from %d sources", (sources) => {
  const folder = new Folder();
  let ports: number[] = [];
  let daemons: DaemonProcess[] = [];
  let clients: [UdpClient, UdpClient];
  const flooders = Array.from({ length: sources }, (_, i) => new Flooder(Uint8Array.of(127, 1, 0, 1 + i)));

  beforeAll(async () => {
    ports = [await freePort(), await freePort()];
    for (const [i, port] of ports.entries()) {
      folder.file(`s${i}.xml`, serverXml(join(folder.path, `s${i}.key`), port, { credentialFile: folder.credential(`s${i}.credential`), members: ports }));
    }
    daemons = ports.map((_, i) => new DaemonProcess(["--config", join(folder.path, `s${i}.xml`)]));
    await Promise.all(daemons.map((daemon) => daemon.ready()));
    clients = [await UdpClient.open(Uint8Array.of(127, 0, 0, 2)), await UdpClient.open(Uint8Array.of(127, 0, 0, 3))];
    await until(() => daemons.every((daemon) => daemon.logged("claims").length > 0), 20_000);
    for (const flooder of flooders) await flooder.open();
  }, 40_000);

  afterAll(async () => {
    for (const closing of [...flooders, ...clients]) closing.close();
    await Promise.all(daemons.map((daemon) => daemon.kill("SIGKILL")));
    folder.remove();
  });

  it("puts in no trigger, takes none of an honest client's, and keeps memory bounded", async () => {
    const client = new HonestClient(clients, ports);
    await client.live(0);
    const calm = new Map(client.delaysMs);
    client.delaysMs.clear();
    const memory = daemons.map((daemon) => daemon.memory());

    let isOver = false;
    const flood = async (): Promise<void> => {
      for (let i = 0; !isOver; i += 1) {
        for (let n = 0; n < FLOOD_PER_TURN; n += 1) flooders[(i * FLOOD_PER_TURN + n) % sources]?.send(ports[i % ports.length] as number);
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
    };
    const flooding = flood();
    await until(() => flooders.every(({ hasCookie }) => hasCookie), PATIENCE_MS);
    for (let round = 1; round <= ROUNDS; round += 1) await client.live(round);
    isOver = true;
    await flooding;

    const counters = await Promise.all(daemons.map((daemon) => daemon.counters()));
    const sum = (name: string): number => counters.reduce((all, { control }) => all + (control[name] ?? 0), 0);
    const growth = daemons.map((daemon, i) => Math.round((daemon.memory() - (memory[i] as number)) / 2 ** 20));
    const text = (delays: ReadonlyMap<string, number>): string => [...delays].map(([what, ms]) => `${what} ${Math.round(ms)}`).join(", ");
    process.stdout.write(`${sources} sources, ${flooders.reduce((all, { sent }) => all + sent, 0)} datagrams: worst of the client, ms: ${text(client.delaysMs)} (calm: ${text(calm)}); ${sum("signature")} signatures refused, ${sum("rate")} not looked at, ${sum("lookups-refused")} of ${sum("lookups") + sum("lookups-refused")} lookups refused; memory +${growth.join(", +")} MiB\n`);

    expect(flooders.reduce((all, { through }) => all + through, 0)).toBe(0);
    expect([sum("inserted"), sum("removed"), sum("expired")]).toEqual([client.inserts, client.removals, 0]);
    expect(counters.reduce((all, { ring }) => all + (ring["triggers"] ?? 0), 0)).toBe(client.kept.length);
    await client.areThere();
    expect(sum("signature")).toBeGreaterThan(0);
    expect(sum("located")).toBeGreaterThan(0);
    for (const { ring } of counters) expect(ring["waiting"]).toBeLessThanOrEqual(512);
    for (const mib of growth) expect(mib).toBeLessThan(200);
  }, 180_000);
});
