/** The test's side of probes/udp-peer.mjs: a UDP socket on some node of a topology. */
import { fileURLToPath } from "node:url";
import type { Child, NetNode } from "../src/index.js";

const PROGRAM = fileURLToPath(new URL("./probes/udp-peer.mjs", import.meta.url));

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

let serial = 0;

export class UdpPeer {
  readonly node: NetNode;
  readonly port: number;
  readonly #child: Child;

  private constructor(node: NetNode, child: Child, port: number) {
    this.node = node;
    this.#child = child;
    this.port = port;
  }

  /** Binds to `port` (0 = any) of `address`, by default any of IPv4. */
  static async open(node: NetNode, port = 0, address = "0.0.0.0"): Promise<UdpPeer> {
    const child = node.spawn(process.execPath, [PROGRAM, address, String(port)]);
    const [, bound] = await child.waitForLine(/^bound (\d+)$/);
    return new UdpPeer(node, child, Number(bound));
  }

  get endpoint(): Endpoint {
    return { address: this.node.address4, port: this.port };
  }

  /** Sends and waits until the kernel has taken it; on a path of veth it has then arrived, or was dropped. */
  async send(to: Endpoint, text: string): Promise<void> {
    this.#child.stdin.write(`send ${to.address} ${to.port} ${text}\n`);
    await this.#child.waitForLine(new RegExp(`^sent ${text}$`));
  }

  /** How `server` sees this socket, and with that a round trip. */
  async mappedBy(server: UdpPeer): Promise<Endpoint> {
    const text = `echo-${++serial}`;
    await this.send(server.endpoint, text);
    const [, address = "", port] = await this.#child.waitForLine(new RegExp(`^got \\S+ \\d+ seen (\\S+) (\\d+) ${text}$`));
    return { address, port: Number(port) };
  }

  /** The first line of the probe that matches, now or later. */
  line(pattern: RegExp): Promise<readonly string[]> {
    return this.#child.waitForLine(pattern);
  }

  async received(text: string): Promise<void> {
    await this.#child.waitForLine(new RegExp(`^got \\S+ \\d+ ${text}$`));
  }

  /** Whether `text` has arrived. Only to be asked after something sent later has. */
  hasReceived(text: string): boolean {
    return this.#child.lines.some((line) => line.text.startsWith("got ") && line.text.endsWith(` ${text}`));
  }
}
