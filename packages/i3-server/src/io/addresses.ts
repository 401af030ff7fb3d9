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
  /** Names that mean nothing now. */
  readonly unknown: readonly string[];
}

/** Those that need no resolver. */
export const literalMembers = (members: readonly Endpoint[]): readonly Locator[] =>
  members.flatMap(({ host, port }) => (host.kind === "name" ? [] : [makeLocator(host.bytes, port)]));

/** All of them; a name may mean several. Never rejects. */
export async function resolveMembers(members: readonly Endpoint[]): Promise<ResolvedMembers> {
  const locators: Locator[] = [];
  const unknown: string[] = [];
  for (const { host, port } of members) {
    if (host.kind !== "name") locators.push(makeLocator(host.bytes, port));
    else {
      const found = await lookup(host.text, { all: true }).catch(() => []);
      const addresses = found.flatMap(({ address }) => parseIpText(address) ?? []);
      if (addresses.length === 0) unknown.push(host.text);
      locators.push(...addresses.map((address) => makeLocator(address, port)));
    }
  }
  return { locators, unknown };
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
