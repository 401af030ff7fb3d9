/**
 * The real daemons in a topology of namespaces: used by the demo, the system tests and the benches. Everything a person would
 * do by hand stands here once: keys, address books, configurations, starting, waiting until ready.
 */
import { rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { publicId, parseIpText, virtualAddress } from "@i3/common";
import type { Child, Host } from "@i3/netns";

export const I3_PORT = 5610;
const READY_MS = 20_000;

/** Path of a file in the repository, from src/ (vitest) and from dist/. */
export const repositoryPath = (path: string): string => fileURLToPath(new URL(`../../../${path}`, import.meta.url));

const SERVER = repositoryPath("packages/i3-server/dist/main.js");
const PROXY = repositoryPath("packages/i3-proxy/dist/main.js");
const GATEWAY = repositoryPath("packages/i3-to-ip/dist/main.js");
const RANGE = { network: Uint8Array.of(10, 0, 0, 0), prefixBits: 8 };

/** A server of the ring on one host. */
export class RingServer {
  child: Child | null = null;

  constructor(readonly host: Host, readonly configFile: string) {}

  async start(): Promise<void> {
    this.child = this.host.spawn(process.execPath, [SERVER, "--config", this.configFile]);
    await this.child.waitForLine(/READY i3-server/, READY_MS);
  }
}

export interface RingOptions {
  readonly limits?: string;
  /** Whether WebSockets are taken at TCP port 443 too. @default false */
  readonly fallback?: boolean;
  /** Clients of IPv6 reach the servers too. @default false */
  readonly hasBothFamilies?: boolean;
}

/** A certificate of its own and its key, `server.crt` and `server-tls.key` in the host's folder. */
export async function makeCertificate(host: Host): Promise<void> {
  const { status, stderr } = await host.exec("openssl", [
    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=i3", "-keyout", `${host.directory}/server-tls.key`, "-out", `${host.directory}/server.crt`,
  ]);
  if (status !== 0) throw new Error(`openssl req: status ${status}: ${stderr}`);
}

/** What `i3-server ring …` prints. */
export async function ringCommand(host: Host, ...args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await host.exec(process.execPath, [SERVER, "ring", ...args]);
  if (status !== 0) throw new Error(`i3-server ring ${args.join(" ")}: status ${status}: ${stderr}`);
  return stdout;
}

/** What `i3-proxy zone …` prints. */
export async function zoneCommand(host: Host, ...args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await host.exec(process.execPath, [PROXY, "zone", ...args]);
  if (status !== 0) throw new Error(`i3-proxy zone ${args.join(" ")}: status ${status}: ${stderr}`);
  return stdout;
}

/** A new ring of these hosts: an authority in the folder of the first, and `server.credential` in that of each. */
export async function admitToRing(hosts: readonly Host[]): Promise<void> {
  const [first] = hosts;
  if (first === undefined) return;
  const authority = `${first.directory}/ring.authority`;
  const credentials = hosts.map((host) => `${host.directory}/server.credential`);
  await Promise.all([authority, ...credentials].map((file) => rm(file, { force: true })));
  await ringCommand(first, "make", authority);
  await Promise.all(hosts.map((host, i) => ringCommand(host, "admit", authority, credentials[i] as string)));
}

/** Admits the hosts, writes their configurations and starts one server on each; each is known to all. */
export async function startRing(hosts: readonly Host[], options: RingOptions = {}): Promise<readonly RingServer[]> {
  await admitToRing(hosts);
  if (options.fallback === true) await Promise.all(hosts.map(makeCertificate));
  const fallback = options.fallback === true ? '\n  <fallback certificate-file="server.crt" key-file="server-tls.key"/>' : "";
  const servers: RingServer[] = [];
  for (const host of hosts) {
    const members = hosts.filter((other) => other !== host).map((other) => `<member address="${other.address4}" port="${I3_PORT}"/>`).join("");
    const configFile = await host.writeFile("i3-server.xml", `<i3-server version="1">
  <identity key-file="server.key"/>
  <listen address="::" port="${I3_PORT}"/>
  <advertise address="${host.address4}" port="${I3_PORT}"/>${options.hasBothFamilies === true ? `<advertise-other address="${host.address6}" port="${I3_PORT}"/>` : ""}
  <ring credential-file="server.credential">${members}</ring>${fallback}${options.limits ?? ""}
</i3-server>
`);
    servers.push(new RingServer(host, configFile));
  }
  await Promise.all(servers.map((server) => server.start()));
  return servers;
}

export interface LaptopOptions {
  /** Empty: none, beside `hip` or `serverList`. */
  readonly serverAddresses: readonly string[];
  /** Attributes of each `<server>` besides. */
  readonly serverAttributes?: string;
  /** The element `<server-list>`. */
  readonly serverList?: string;
  /** The element `<zones>`. */
  readonly zones?: string;
  /** Attributes and elements of the configuration that are not the usual ones. */
  readonly mappings?: string;
  readonly virtualAddresses?: string;
  readonly dns?: string;
  readonly rules?: string;
  /** The element `<access>`; without it everybody may connect. */
  readonly access?: string;
  readonly tun?: string;
  readonly hip?: string;
  /** The element `<site>`. */
  readonly site?: string;
  /** The element `<gateway>`: the machine runs i3-to-ip. */
  readonly gateway?: string;
  /** @default "debug" */
  readonly logLevel?: "debug" | "info";
}

const RULES = `<rules><rule name=".*\\.i3" go="i3"/></rules>`;

/** A machine with a proxy: its identity, its address book and the process. */
export class Laptop {
  child: Child | null = null;
  /** Text of the HIT. */
  hit = "";

  private constructor(readonly host: Host, readonly options: LaptopOptions) {}

  /** Makes key, configuration and an empty address book; starts nothing. */
  static async make(host: Host, options: LaptopOptions): Promise<Laptop> {
    const laptop = new Laptop(host, options);
    await laptop.writeConfig();
    await laptop.writeBook({});
    const { status, stdout, stderr } = await host.exec(process.execPath, [laptop.#program, "--config", laptop.configFile, "--identity"]);
    const found = /^hit (\S+)$/m.exec(stdout);
    if (status !== 0 || found?.[1] === undefined) throw new Error(`--identity: status ${status}: ${stderr}`);
    laptop.hit = found[1];
    return laptop;
  }

  get configFile(): string {
    return `${this.host.directory}/i3-proxy.xml`;
  }

  get #program(): string {
    return this.options.gateway === undefined ? PROXY : GATEWAY;
  }

  /** `10.H24(id)`: what the proxy's own address is, and its name's unless there is a collision. */
  get address4(): string {
    return virtualAddress(RANGE, publicId(parseIpText(this.hit) as Uint8Array)).join(".");
  }

  async writeConfig(changes: Partial<LaptopOptions> = {}): Promise<void> {
    const { serverAddresses, serverAttributes, serverList, zones, mappings, virtualAddresses, dns, rules, access, tun, hip, site, gateway, logLevel } = { ...this.options, ...changes };
    await this.host.writeFile("i3-proxy.xml", `<i3-proxy version="1">
  <identity key-file="host.key"/>
  <state directory="state"/>
  ${serverAddresses.length === 0 ? "" : `<servers>${serverAddresses.map((address) => `<server address="${address}" port="${I3_PORT}" ${serverAttributes ?? ""}/>`).join("")}</servers>`}${serverList ?? ""}
  ${tun ?? ""}${hip ?? ""}${virtualAddresses ?? ""}${dns ?? ""}
  <address-book file="book.xml"/>
  ${zones ?? ""}${mappings ?? ""}
  ${rules ?? RULES}${access ?? ""}${site ?? ""}${gateway ?? ""}
  <control socket="control.sock"/>
  <log level="${logLevel ?? "debug"}" format="json"/>
</i3-proxy>
`);
  }

  /** Names of others by HIT; `more`: further attributes of each. */
  async writeBook(names: Readonly<Record<string, Laptop | string>>, more = ""): Promise<void> {
    const hosts = Object.entries(names).map(([name, who]) => `  <host name="${name}" hit="${typeof who === "string" ? who : who.hit}" ${more}/>\n`);
    await this.host.writeFile("book.xml", `<address-book version="1">\n${hosts.join("")}</address-book>\n`);
  }

  /** Starts the proxy and waits until it is registered with the ring and answers DNS. */
  async start(): Promise<void> {
    this.child = this.host.spawn(process.execPath, [this.#program, "--config", this.configFile]);
    await this.child.waitForLine(/READY i3-/, READY_MS);
  }

  async kill(): Promise<void> {
    this.child?.kill("SIGKILL");
    await this.child?.ended;
  }

  /** Ends the proxy politely. */
  async stop(): Promise<void> {
    await this.child?.stop();
  }

  /** Forgets all mappings and the shared key; only while the proxy does not run. */
  async forget(): Promise<void> {
    await rm(`${this.host.directory}/state`, { recursive: true, force: true });
  }
}
