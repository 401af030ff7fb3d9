/**
 * One question to a router, in a thread of its own (port-mapping.ts starts it): NAT-PMP (RFC 6886), then UPnP-IGD:2, of a library that throws in its sockets' events when a
 * datagram is malformed. Gateways are looked for here (UPnP Device Architecture 1.1, 1.3): the library would fetch from whatever host an answer names. Nothing but the gateway
 * is listened to, or fetched from.
 */
import { createSocket, type RemoteInfo } from "node:dgram";
import { parentPort, workerData } from "node:worker_threads";

import { pmpNat, upnpNat, type Gateway, type MapPortOptions } from "@achingbrain/nat-port-mapper";

/** What a router has opened, as far as it takes to close it. */
export interface Opened {
  readonly protocol: "NAT-PMP" | "UPnP-IGD";
  /** Of the gateway's description; empty for NAT-PMP. */
  readonly location: string;
  readonly externalPort: number;
}

export interface RouterQuestion {
  readonly kind: "open" | "close";
  /** IPv4 as text: the default route's next hop, and our own address there. */
  readonly gateway: string;
  readonly address: string;
  readonly port: number;
  /** By the last answer; to be renewed, or closed. */
  readonly opened: Opened | null;
}

/** Null instead of it: no router opens anything. */
export interface RouterAnswer {
  readonly opened: Opened;
  readonly externalHost: string;
  readonly lifeS: number;
}

// RFC 6886's:
const PMP_SERVER_PORT = 5_351;
const PMP_OUTSIDE = 128;
const PMP_MAPPED_UDP = 129;
/** Of answers; more of those that say yes, by their kind. */
const PMP_LEAST_BYTES = 8;
const PMP_YES_BYTES: Readonly<Record<number, number>> = { [PMP_OUTSIDE]: 12, [PMP_MAPPED_UDP]: 16 };
const LIFE_S = 7_200;
// UPnP's:
const SSDP = { address: "239.255.255.250", port: 1_900 } as const;
const GATEWAY_DEVICE = "urn:schemas-upnp-org:device:InternetGatewayDevice:2";
const WAN_IP_CONNECTION = "urn:schemas-upnp-org:service:WANIPConnection:2";
// Ours: together less than port-mapping.ts waits.
const AGAIN_MS = 2_000;
const PMP_MS = 3_000;
const UPNP_MS = 4_000;
const SEARCH_AGAIN_MS = 500;
const MAX_BODY_BYTES = 262_144;
const SETTINGS = { autoRefresh: false, description: "i3-proxy" } as const;

/** What we need of the library's gateways beside what it declares. */
interface PmpGateway extends Gateway {
  on(event: "error", listener: () => void): void;
  onMessage: (message: Buffer, from: RemoteInfo) => void;
}
interface UpnpGateway extends Gateway {
  readonly gateway: { run(device: string, action: string, args: readonly (readonly [string, string | number])[], options: { readonly signal: AbortSignal }): Promise<unknown> };
}

const asked = workerData as RouterQuestion;

async function openByPmp(signal: AbortSignal): Promise<RouterAnswer> {
  let lifeS = 0;
  const router = pmpGateway((message) => {
    if (message[1] === PMP_MAPPED_UDP && isYes(message)) lifeS = message.readUInt32BE(12);
  });
  const { externalHost, externalPort } = await router.map(asked.port, asked.address, { ...SETTINGS, protocol: "UDP", externalPort: asked.port, ttl: LIFE_S, signal });
  return { opened: { protocol: "NAT-PMP", location: "", externalPort }, externalHost, lifeS };
}

function pmpGateway(onAnswer: (message: Buffer) => void): PmpGateway {
  const router = pmpNat(asked.gateway, SETTINGS) as unknown as PmpGateway;
  // The port of NAT-PMP's clients is taken: nothing is answered then.
  router.on("error", () => undefined);
  const take = router.onMessage.bind(router);
  router.onMessage = (message, from) => {
    if (from.address !== asked.gateway || from.port !== PMP_SERVER_PORT || isCut(message)) return;
    onAnswer(message);
    take(message, from);
  };
  return router;
}

/** The library reads beyond the end of one that is. */
const isCut = (message: Buffer): boolean => message.length < PMP_LEAST_BYTES || (isYes(message) && message.length < (PMP_YES_BYTES[message[1] ?? 0] ?? 0));
const isYes = (message: Buffer): boolean => message.readUInt16BE(2) === 0;

async function openByUpnp(signal: AbortSignal, known: string | null): Promise<RouterAnswer> {
  const location = known ?? (await findLocation(signal));
  const router = await upnpNat(SETTINGS).getGateway(new URL(location), { signal });
  // This protocol's life is in milliseconds.
  const { externalHost, externalPort } = await router.map(asked.port, asked.address, { ...SETTINGS, protocol: "UDP", externalPort: asked.port, ttl: LIFE_S * 1_000, signal });
  return { opened: { protocol: "UPnP-IGD", location, externalPort }, externalHost, lifeS: LIFE_S };
}

/** Where the gateway describes itself: at its own address. Rejects when `signal` aborts. */
function findLocation(signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createSocket("udp4");
    const searchFor = Buffer.from(`M-SEARCH * HTTP/1.1\r\nHOST: ${SSDP.address}:${SSDP.port}\r\nMAN: "ssdp:discover"\r\nMX: 1\r\nST: ${GATEWAY_DEVICE}\r\n\r\n`);
    const search = (): void => {
      for (const to of [SSDP.address, asked.gateway]) socket.send(searchFor, SSDP.port, to, () => undefined);
    };
    socket.on("message", (message, from) => {
      const [, location = ""] = /^location:[ \t]*(\S+)/im.exec(message.toString("latin1")) ?? [];
      if (from.address === asked.gateway && isGateways(location)) resolve(location);
    });
    socket.on("error", reject);
    signal.addEventListener("abort", () => reject(new Error("nobody has answered")));
    socket.bind(0, asked.address, () => {
      socket.setMulticastInterface(asked.address);
      search();
      setInterval(search, SEARCH_AGAIN_MS);
    });
  });
}

const isGateways = (url: string): boolean => URL.canParse(url) && new URL(url).protocol === "http:" && new URL(url).hostname === asked.gateway;

/** The library's requests, those of a description's URLs too, go to the gateway alone; their answers are bounded. */
function guardFetch(): void {
  const { fetch } = globalThis;
  globalThis.fetch = async (input, init) => {
    const url = input instanceof Request ? input.url : String(input);
    if (!isGateways(url)) throw new Error("not at the gateway");
    const response = await fetch(url, { ...init, redirect: "error" });
    const parts: Uint8Array[] = [];
    let bytes = 0;
    for await (const part of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      bytes += part.length;
      if (bytes > MAX_BODY_BYTES) throw new Error("too long an answer");
      parts.push(part);
    }
    return new Response(Buffer.concat(parts), response);
  };
}

async function open(): Promise<RouterAnswer | null> {
  const { opened } = asked;
  const ways: (() => Promise<RouterAnswer>)[] = [() => openByPmp(AbortSignal.timeout(PMP_MS)), () => openByUpnp(AbortSignal.timeout(UPNP_MS), null)];
  if (opened?.protocol === "UPnP-IGD") ways.unshift(() => openByUpnp(AbortSignal.timeout(AGAIN_MS), opened.location));
  for (const way of ways) {
    try {
      return await way();
    } catch {
      // It speaks something else, or is gone.
    }
  }
  return null;
}

async function close({ protocol, location, externalPort }: Opened): Promise<void> {
  const signal = AbortSignal.timeout(AGAIN_MS);
  if (protocol === "NAT-PMP") {
    // The library takes back TCP's mapping unless it is told which.
    await pmpGateway(() => undefined).unmap(asked.port, { protocol: "UDP", signal } as MapPortOptions);
    return;
  }
  // It would delete without a protocol, which routers refuse.
  const router = (await upnpNat(SETTINGS).getGateway(new URL(location), { signal })) as UpnpGateway;
  await router.gateway.run(WAN_IP_CONNECTION, "DeletePortMapping", [["NewRemoteHost", ""], ["NewExternalPort", externalPort], ["NewProtocol", "UDP"]], { signal });
}

guardFetch();
if (asked.kind === "open") parentPort?.postMessage(await open());
else {
  if (asked.opened !== null) await close(asked.opened);
  parentPort?.postMessage(null);
}
