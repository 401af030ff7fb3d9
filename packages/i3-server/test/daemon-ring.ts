/** A ring of three real daemons over loopback, of which it is known where each id belongs; for tests with real clients. */
import { randomBytes } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { join } from "node:path";

import { bytesKey, ringKey, toHex } from "@i3/common";
import { connect, I3Client, type I3Connection } from "@i3/i3-client";

import { readRingCredential } from "../src/io/ring-credential.js";
import { at, DaemonProcess, Folder, freePort, serverXml, UdpClient, until } from "./daemon-process.js";

const SIZE = 3;
/** Of a node key's first byte: how far it may lie from the middle of its server's third of the ring, so that each has a fifth of all ids at least. */
const BAND = 16;

/** What the engines of all three have counted together. */
export interface Totals {
  /** Datagrams, control too. */
  readonly udpOut: number;
  /** Data packets that had passed as many servers as they may. */
  readonly hopLimit: number;
  /** Copies for which the budget had no share left. */
  readonly copyBudget: number;
  /** Copies that a source's rate did not allow. */
  readonly rate: number;
}

export class DaemonRing {
  readonly daemons: readonly DaemonProcess[];
  readonly ports: readonly number[];
  readonly #folder: Folder;
  readonly #nodeKeys: readonly string[];
  readonly #open: (() => unknown)[] = [];
  #hosts = 0;

  private constructor(folder: Folder, ports: readonly number[], nodeKeys: readonly string[]) {
    this.#folder = folder;
    this.ports = ports;
    this.#nodeKeys = nodeKeys;
    this.daemons = ports.map((_, i) => new DaemonProcess(["--config", join(folder.path, `s${i}.xml`)]));
  }

  /** Ready when the three agree, and tell senders that nobody is there: some 8 s. */
  static async start(): Promise<DaemonRing> {
    const folder = new Folder();
    const ports = await Promise.all(Array.from({ length: SIZE }, freePort));
    const nodeKeys = ports.map((port, i) => {
      const { file, nodeKey } = credentialInThird(folder, i);
      folder.file(`s${i}.xml`, serverXml(join(folder.path, `s${i}.key`), port, { credentialFile: file, members: ports }, "native"));
      return toHex(nodeKey);
    });
    const ring = new DaemonRing(folder, ports, nodeKeys);
    try {
      await ring.#settled();
      return ring;
    } catch (error) {
      await ring.close();
      throw error;
    }
  }

  async #settled(): Promise<void> {
    await Promise.all(this.daemons.map((daemon) => daemon.ready()));
    await until(() => this.daemons.every((daemon) => daemon.logged("claims").length > 0), 30_000);
    const client = await UdpClient.open();
    try {
      await until(async () => {
        const keys = Array.from({ length: 2 * SIZE }, () => new Uint8Array(randomBytes(32)));
        const found = await Promise.all(keys.flatMap((id) => this.ports.map(async (port) => (await client.ask(port, { type: "LOCATE", ringKey: ringKey(id) }, "LOCATED")).node.locator.port === this.ports[this.ownerOf(id)])));
        return found.every((isRight) => isRight);
      }, 10_000);
    } finally {
      client.close();
    }
  }

  /** Which of the three has this id. */
  ownerOf(id: Uint8Array): number {
    const key = toHex(ringKey(id));
    const owner = this.#nodeKeys.findIndex((node) => node >= key);
    return owner < 0 ? 0 : owner;
  }

  /** Draws until the id is of that server. */
  drawnAt<T>(server: number, draw: () => T, idOf: (drawn: T) => Uint8Array): T {
    for (let i = 0; i < 1_000; i += 1) {
      const drawn = draw();
      if (this.ownerOf(idOf(drawn)) === server) return drawn;
    }
    throw new Error(`no id of server ${server} among 1,000`);
  }

  /** Each host has an address of its own, since servers limit what one source may ask. */
  #nextAddress(): string {
    this.#hosts += 1;
    return `127.0.1.${this.#hosts}`;
  }

  /** A native program. `servers`: those of the three that it is told of. */
  async connect(options: { readonly key?: Uint8Array; readonly servers?: readonly number[] } = {}): Promise<I3Connection> {
    const servers = (options.servers?.map((i) => this.ports[i]) ?? this.ports).map((port) => `127.0.0.1:${port}`);
    const connection = await connect({ servers, address: this.#nextAddress(), ...(options.key === undefined ? {} : { key: options.key }) });
    this.#open.push(() => connection.close());
    return connection;
  }

  /** The client's core, for what programs are not given: triggers of groups that lead on to ids. */
  async keeper(): Promise<Keeper> {
    const keeper = await Keeper.open(this.#nextAddress(), this.ports);
    this.#open.push(() => keeper.close());
    return keeper;
  }

  async totals(): Promise<Totals> {
    const all = await Promise.all(this.daemons.map(async (daemon) => (await daemon.counters()).engine as { readonly udpOut: number; readonly drops: Readonly<Record<string, number>> }));
    const drops = (reason: string): number => all.reduce((sum, engine) => sum + (engine.drops[reason] ?? 0), 0);
    return { udpOut: all.reduce((sum, { udpOut }) => sum + udpOut, 0), hopLimit: drops("hop-limit"), copyBudget: drops("copy-budget"), rate: drops("rate") };
  }

  /** At all three, since the start. */
  async replicasInserted(): Promise<number> {
    const all = await Promise.all(this.daemons.map(async (daemon) => (await daemon.counters()).control["replicas-inserted"] ?? 0));
    return all.reduce((sum, count) => sum + count);
  }

  /** Clients first, as they were opened last; then the daemons. */
  async close(): Promise<void> {
    await this.closeHosts();
    await Promise.all(this.daemons.map((daemon) => daemon.kill("SIGKILL")));
    this.#folder.remove();
  }

  async closeHosts(): Promise<void> {
    await Promise.all(this.#open.splice(0).map((close) => close()));
  }
}

function credentialInThird(folder: Folder, i: number): { readonly file: string; readonly nodeKey: Uint8Array } {
  const middle = Math.floor((256 / SIZE) * (i + 0.5));
  for (let n = 0; n < 1_000; n += 1) {
    const file = folder.credential(`s${i}.${n}.credential`);
    const { nodeKey } = readRingCredential(file, Date.now()).credential;
    if (Math.abs((nodeKey[0] ?? 0) - middle) <= BAND) return { file, nodeKey };
  }
  throw new Error("no credential in its third of the ring");
}

const TIMER_MS = 20;

/** A host with the client's core on a socket, and nothing that receives. */
export class Keeper {
  readonly #socket: Socket = createSocket("udp4");
  readonly #client: I3Client;
  readonly #timer: NodeJS.Timeout;
  readonly #live = new Set<string>();

  private constructor(ports: readonly number[]) {
    const none = (): void => undefined;
    this.#client = new I3Client({
      randomBytes: (length) => new Uint8Array(randomBytes(length)), wallMs: () => Date.now(),
      datapath: { send: (datagrams) => datagrams.forEach(({ locator, bytes }) => this.#socket.send(bytes, locator.port, "127.0.0.1")), setNextServer: none, setDefaultServer: none, setKnownSource: none, setUplink: none },
    });
    this.#socket.on("message", (bytes, { port }) => {
      this.#client.handleControl(performance.now(), at(port), new Uint8Array(bytes));
      this.#takeEvents();
    });
    for (const port of ports) this.#client.addServer(performance.now(), at(port));
    this.#timer = setInterval(() => {
      this.#client.handleTimer(performance.now());
      this.#takeEvents();
    }, TIMER_MS);
  }

  static async open(address: string, ports: readonly number[]): Promise<Keeper> {
    const keeper = new Keeper(ports);
    keeper.#socket.bind(0, address);
    await once(keeper.#socket, "listening");
    return keeper;
  }

  #takeEvents(): void {
    for (const event of this.#client.takeEvents()) if (event.kind === "trigger-live") this.#live.add(bytesKey(event.id));
  }

  /** As I3Client.insertStack; resolves when a server has it. One trigger at an id. */
  async insertStack(id: Uint8Array, ...[signer, steps]: Parameters<I3Client["insertStack"]> extends [number, Uint8Array, ...infer Rest] ? Rest : never): Promise<void> {
    this.#client.insertStack(performance.now(), id, signer, steps);
    await until(() => this.#live.has(bytesKey(id)), 10_000, () => `no server took the trigger at ${toHex(id)}`);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#socket.close();
  }
}
