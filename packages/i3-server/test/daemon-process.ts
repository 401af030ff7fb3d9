/** Real daemons and a real client over loopback, for daemon*.test.ts. */
import { spawn, type ChildProcess } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { decodeControl, encodeControl, makeLocator, sameBytes, type ControlMessage, type ControlType, type Locator } from "@i3/common";
import { decodeDataHeader, encodeDataHeader } from "@i3/datapath";

import { admitToRing } from "../src/io/ring-credential.js";
import { authorityOf, type RingAuthority } from "../src/ring/ring-files.js";

/** The authority of the rings in these tests. */
export const RING = authorityOf(new Uint8Array(32).fill(0x52));
const MAIN = fileURLToPath(new URL("../dist/main.js", import.meta.url));
const LOOPBACK = Uint8Array.of(127, 0, 0, 1);
export const at = (port: number, address: Uint8Array = LOOPBACK): Locator => makeLocator(address, port);

export class Folder {
  readonly path = mkdtempSync(join(tmpdir(), "i3-server-"));

  file(name: string, text: string, mode = 0o600): string {
    const file = join(this.path, name);
    writeFileSync(file, text, { mode });
    return file;
  }

  /** Of a new server of a ring; made without a process, which the test of the commands starts. */
  credential(name: string, authority: RingAuthority = RING, days = Infinity): string {
    const file = join(this.path, name);
    admitToRing(authority, file, Date.now() + days * 86_400_000);
    return file;
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** An UDP port of loopback that nobody has now. */
export async function freePort(): Promise<number> {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  await once(socket, "close");
  return port;
}

export function serverXml(keyFile: string, port: number, ring?: { readonly credentialFile: string; readonly members: readonly number[] }, engine = "auto"): string {
  const members = ring?.members.map((member) => `<member address="127.0.0.1" port="${member}"/>`).join("") ?? "";
  return `<i3-server version="1"><identity key-file="${keyFile}"/><listen address="127.0.0.1" port="${port}"/>
    ${ring === undefined ? "" : `<ring credential-file="${ring.credentialFile}">${members}</ring>`}<log level="debug"/><engine kind="${engine}"/></i3-server>`;
}

export class DaemonProcess {
  readonly child: ChildProcess;
  stdout = "";
  stderr = "";
  /** Exit status, or null after a signal. */
  readonly exited: Promise<number | null>;

  /** `env`: beside that of the tests. */
  constructor(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
    this.child.stdout?.on("data", (data: Buffer) => (this.stdout += data.toString()));
    this.child.stderr?.on("data", (data: Buffer) => (this.stderr += data.toString()));
    this.exited = new Promise((resolve) => this.child.on("close", (status) => resolve(status)));
  }

  /** The port of the READY line. */
  async ready(): Promise<number> {
    await until(() => /^READY .*port=(\d+)/m.test(this.stdout) || this.child.exitCode !== null, 10_000, () => this.stderr);
    const match = /^READY i3-server port=(\d+)/m.exec(this.stdout);
    if (match === null) throw new Error(`no READY: ${this.stderr}`);
    return Number(match[1]);
  }

  logged(event: string): readonly Record<string, unknown>[] {
    const lines = this.stderr.split("\n").filter((line) => line.startsWith("{"));
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>).filter((entry) => entry["event"] === event);
  }

  /** The counters of now. */
  async counters(): Promise<{ readonly control: Readonly<Record<string, number>>; readonly ring: Readonly<Record<string, number>>; readonly engine: Readonly<Record<string, unknown>> }> {
    const before = this.logged("counters").length;
    this.child.kill("SIGUSR1");
    await until(() => this.logged("counters").length > before, 10_000);
    return this.logged("counters")[before] as unknown as Awaited<ReturnType<DaemonProcess["counters"]>>;
  }

  /** Resident memory, bytes. */
  memory(): number {
    const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.child.pid}/status`, "utf8"));
    return Number(match?.[1]) * 1_024;
  }

  async kill(signal: NodeJS.Signals): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill(signal);
    return this.exited;
  }
}

export async function until(holds: () => boolean | Promise<boolean>, limitMs: number, why: () => string = () => ""): Promise<void> {
  const endMs = Date.now() + limitMs;
  while (!(await holds())) {
    if (Date.now() > endMs) throw new Error(`not within ${limitMs} ms: ${why()}`);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}

interface Arrived {
  readonly bytes: Uint8Array;
  readonly port: number;
}

/** A client with one socket, as docs/wire.md §1 wants it. */
export class UdpClient {
  readonly #socket: Socket = createSocket("udp4");
  readonly arrived: Arrived[] = [];
  readonly #address: Uint8Array;
  #nonce = 0;

  constructor(address: Uint8Array) {
    this.#address = address;
  }

  /** `address`: of 127.0.0.0/8. */
  static async open(address: Uint8Array = LOOPBACK): Promise<UdpClient> {
    const client = new UdpClient(address);
    client.#socket.on("message", (bytes, { port }) => client.arrived.push({ bytes: new Uint8Array(bytes), port }));
    client.#socket.bind(0, address.join("."));
    await once(client.#socket, "listening");
    return client;
  }

  get locator(): Locator {
    return at(this.#socket.address().port, this.#address);
  }

  close(): void {
    this.#socket.close();
  }

  nonce(): Uint8Array {
    const out = new Uint8Array(8);
    new DataView(out.buffer).setUint32(4, (this.#nonce += 1));
    new DataView(out.buffer).setUint32(0, this.#socket.address().port);
    return out;
  }

  sendBytes(port: number, bytes: Uint8Array): void {
    this.#socket.send(bytes, port, "127.0.0.1");
  }

  sendData(port: number, id: Uint8Array, payload: string, flags = 0, nonce = this.nonce()): void {
    const header = encodeDataHeader({ flags, hopLimit: 16, copyBudget: 64, payloadKind: 5, nonce, ids: [id] });
    this.sendBytes(port, Buffer.concat([header, Buffer.from(payload)]));
  }

  /** Control messages that arrived with a nonce. */
  answers(nonce: Uint8Array): readonly ControlMessage[] {
    return this.arrived.flatMap(({ bytes }) => {
      if (bytes[0] !== 0x19) return [];
      const decoded = decodeControl(bytes);
      return sameBytes(decoded.nonce, nonce) ? [decoded.message] : [];
    });
  }

  /** Asks, again every 300 ms, until something of that type comes back; anything else is thrown. */
  async ask<T extends ControlType>(port: number, message: ControlMessage, type: T, limitMs = 3_000): Promise<Extract<ControlMessage, { type: T }>> {
    const nonce = this.nonce();
    const endMs = Date.now() + limitMs;
    let againMs = 0;
    for (;;) {
      const [answer] = this.answers(nonce);
      if (answer?.type === type) return answer as Extract<ControlMessage, { type: T }>;
      if (answer !== undefined) throw new Error(`${JSON.stringify(answer)} instead of ${type}`);
      if (Date.now() > endMs) throw new Error(`no ${type} within ${limitMs} ms`);
      if (Date.now() >= againMs) {
        this.sendBytes(port, encodeControl(message, nonce));
        againMs = Date.now() + 300;
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Payloads of data packets that arrived. */
  payloads(): readonly string[] {
    return this.arrived.flatMap(({ bytes }) => (bytes[0] === 0x11 ? [Buffer.from(bytes.subarray(decodeDataHeader(bytes).payloadOffset)).toString()] : []));
  }
}
