/** Addresses that the configuration leaves open: of members given by name, and this server's own. */
import { createSocket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { once } from "node:events";

import { locatorText, makeLocator, parseIpText, type Endpoint, type IpEndpoint, type Locator, type ServerConfig } from "@i3/common";

import { isNearbyOnly, isPublic } from "../ring/named-places.js";

/** Documentation addresses (RFC 5737, RFC 3849): nothing is sent there, the kernel only says which source it would use. */
const ANYWHERE = ["192.0.2.1", "2001:db8::1"] as const;
const IPV4_BYTES = 4;
const IPV6_BYTES = 16;
const LOOPBACK = Uint8Array.of(127, 0, 0, 1);

const isIpv6 = (text: string): boolean => text.includes(":");

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

/** The source address that packets to the first of the targets with a route would have; undefined when there is none. */
async function sourceTowards(targets: readonly string[], port: number): Promise<Locator | undefined> {
  for (const target of targets) {
    const address = await sourceAddress(target);
    if (address !== undefined) return makeLocator(address, port);
  }
  return undefined;
}

async function sourceAddress(target: string): Promise<Uint8Array | undefined> {
  const socket = createSocket(isIpv6(target) ? "udp6" : "udp4");
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

export interface OwnLocators {
  readonly locator: Locator;
  /** Of the other family. */
  readonly other: Locator | undefined;
  /** Nothing but loopback was found. */
  readonly guessed: boolean;
}

/** Where others reach this server. `port`: the one it is bound to. */
export async function ownLocators(config: ServerConfig, port: number): Promise<OwnLocators> {
  const { advertise, advertiseOther, listen, ring } = config;
  const other = advertiseOther === undefined ? undefined : locatorOf(advertiseOther);
  if (advertise !== undefined) return { locator: locatorOf(advertise), other, guessed: false };
  if (listen.host.bytes.some((byte) => byte !== 0)) return { locator: makeLocator(listen.host.bytes, port), other, guessed: false };
  const members = (ring?.members ?? []).flatMap(({ host }) => (host.kind === "name" ? [] : [host.text]));
  const takes = (target: string): boolean => isIpv6(target) ? listen.host.kind === "ipv6" && other?.address.length !== IPV6_BYTES : other?.address.length !== IPV4_BYTES;
  const locator = await sourceTowards([...members, ...ANYWHERE].filter(takes), port);
  if (locator === undefined) return { locator: makeLocator(LOOPBACK, port), other, guessed: true };
  const rest = ANYWHERE.filter((target) => takes(target) && isIpv6(target) === (locator.address.length === IPV4_BYTES));
  const isNearby = other !== undefined || isLoopback(locator.address);
  return { locator, other: isNearby ? other : await sourceTowards(rest, port), guessed: false };
}

const locatorOf = ({ host, port }: IpEndpoint): Locator => makeLocator(host.bytes, port);

const isLoopback = (bytes: Uint8Array): boolean => (bytes.length === 4 ? bytes[0] === 127 : bytes.every((byte, i) => byte === (i === 15 ? 1 : 0)));

/** For people. */
export type AddressProblem = Readonly<Record<"message" | "remedy", string>>;

/** What is wrong when this machine alone can reach the server, and members are elsewhere; null when nothing is. */
export function cutOffProblem({ listen, advertise, ring }: ServerConfig): AddressProblem | null {
  const elsewhere = ring?.members.find(({ host }) => (host.kind === "name" ? host.text !== "localhost" : !isLoopback(host.bytes)));
  if (elsewhere === undefined) return null;
  const member = `the member ${elsewhere.host.text} is elsewhere`;
  if (isLoopback(listen.host.bytes)) return { message: `<listen address="${listen.host.text}"> is for this machine alone, and ${member}`, remedy: "Listen at an address that the members can reach, or at :: for all." };
  if (advertise === undefined || !isLoopback(advertise.host.bytes)) return null;
  return { message: `<advertise address="${advertise.host.text}"> is for this machine alone, and ${member}`, remedy: "Advertise the address at which the members reach this server, or leave <advertise> out." };
}

/**
 * What is probably wrong when only a private network can reach the server where it says it is, and members are outside; null when nothing is.
 * @param own where others are told to reach it
 */
export function privateProblem({ advertise }: ServerConfig, own: Locator, members: readonly Locator[]): AddressProblem | null {
  if (advertise !== undefined || !isNearbyOnly(own.address)) return null;
  const outside = members.find(({ address }) => address.length === own.address.length && isPublic(address));
  if (outside === undefined) return null;
  return {
    message: `others are told to reach this server at ${locatorText(own)}, an address of a private network, and the member ${locatorText(outside)} has a public one`,
    remedy: 'Behind a NAT, as in most clouds, name the public address of this server with <advertise address="…"/>; without it the members\' answers go nowhere, and this server stays alone.',
  };
}

/** The same, before the server runs: names of members are looked up, if that matters. */
export async function checkPrivate(config: ServerConfig): Promise<AddressProblem | null> {
  const { locator } = await ownLocators(config, config.listen.port);
  if (config.advertise !== undefined || !isNearbyOnly(locator.address)) return null;
  const looking = new MemberLookup(config.ring?.members ?? []);
  const problem = privateProblem(config, locator, looking.now().locators);
  if (problem !== null) return problem;
  await looking.done;
  return privateProblem(config, locator, looking.now().locators);
}
