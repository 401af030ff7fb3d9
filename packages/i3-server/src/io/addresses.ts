/** Addresses that the configuration leaves open: of members given by name, and this server's own. */
import { createSocket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { once } from "node:events";

import { makeLocator, parseIpText, type Endpoint, type Locator, type ServerConfig } from "@i3/common";

/** Documentation addresses (RFC 5737, RFC 3849): nothing is sent there, the kernel only says which source it would use. */
const ANYWHERE = ["192.0.2.1", "2001:db8::1"] as const;
const LOOPBACK = Uint8Array.of(127, 0, 0, 1);

export interface ResolvedMembers {
  readonly locators: readonly Locator[];
  /** Names that mean nothing now, or are still looked up. */
  readonly unknown: readonly string[];
}

/** Members that are being looked up, all at once; a name may mean several addresses. */
export class MemberLookup {
  readonly #members: readonly Endpoint[];
  /** Of each member, as far as its name is looked up; empty when that means nothing now. */
  readonly #found: (readonly Locator[] | undefined)[];
  /** When all are; never rejects. */
  readonly done: Promise<void>;

  constructor(members: readonly Endpoint[]) {
    this.#members = members;
    this.#found = members.map(({ host, port }) => (host.kind === "name" ? undefined : [makeLocator(host.bytes, port)]));
    this.done = Promise.all(members.map((member, i) => this.#lookUp(member, i))).then(() => undefined);
  }

  async #lookUp({ host, port }: Endpoint, i: number): Promise<void> {
    if (host.kind !== "name") return;
    const found = await lookup(host.text, { all: true }).catch(() => []);
    this.#found[i] = found.flatMap(({ address }) => parseIpText(address) ?? []).map((address) => makeLocator(address, port));
  }

  /** As far as it is known now. */
  now(): ResolvedMembers {
    const unknown = this.#members.flatMap(({ host }, i) => ((this.#found[i]?.length ?? 0) === 0 ? [host.text] : []));
    return { locators: this.#found.flatMap((locators) => locators ?? []), unknown };
  }
}

/** The source address that packets to `target` would have; undefined without a route. */
async function sourceTowards(target: string): Promise<Uint8Array | undefined> {
  const socket = createSocket(target.includes(":") ? "udp6" : "udp4");
  try {
    socket.connect(9, target);
    await once(socket, "connect");
    return parseIpText(socket.address().address);
  } catch {
    return undefined;
  } finally {
    socket.close();
  }
}

/** Where others reach this server. `port`: the one it is bound to. `guessed`: nothing but loopback was found. */
export async function ownLocator(config: ServerConfig, port: number): Promise<{ readonly locator: Locator; readonly guessed: boolean }> {
  const { advertise, listen, ring } = config;
  if (advertise !== undefined) return { locator: makeLocator(advertise.host.bytes, advertise.port), guessed: false };
  if (listen.host.bytes.some((byte) => byte !== 0)) return { locator: makeLocator(listen.host.bytes, port), guessed: false };
  const members = (ring?.members ?? []).flatMap(({ host }) => (host.kind === "name" ? [] : [host.text]));
  for (const target of [...members, ...ANYWHERE]) {
    const address = await sourceTowards(target);
    if (address !== undefined) return { locator: makeLocator(address, port), guessed: false };
  }
  return { locator: makeLocator(LOOPBACK, port), guessed: true };
}

const isLoopback = (bytes: Uint8Array): boolean => (bytes.length === 4 ? bytes[0] === 127 : bytes.every((byte, i) => byte === (i === 15 ? 1 : 0)));

/** What is wrong when this machine alone can reach the server, and members are elsewhere; null when nothing is. */
export function cutOffProblem({ listen, advertise, ring }: ServerConfig): { readonly message: string; readonly remedy: string } | null {
  const elsewhere = ring?.members.find(({ host }) => (host.kind === "name" ? host.text !== "localhost" : !isLoopback(host.bytes)));
  if (elsewhere === undefined) return null;
  const member = `the member ${elsewhere.host.text} is elsewhere`;
  if (isLoopback(listen.host.bytes)) return { message: `<listen address="${listen.host.text}"> is for this machine alone, and ${member}`, remedy: "Listen at an address that the members can reach, or at :: for all." };
  if (advertise === undefined || !isLoopback(advertise.host.bytes)) return null;
  return { message: `<advertise address="${advertise.host.text}"> is for this machine alone, and ${member}`, remedy: "Advertise the address at which the members reach this server, or leave <advertise> out." };
}
