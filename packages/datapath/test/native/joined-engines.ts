/**
 * Two native engines, each the way to the other, and a program at the far end:
 *
 *     this process ── i3pa (TUN) ── engine ── UDP over loopback ── engine ── i3pb (TUN) ── echo of TCP, in a namespace of its own
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { makeLocator, type I3Error, type OffloadName } from "@i3/common";
import { encodeDataHeader, NativeEngine, type AddressRewrite, type Flow, type RunningNativeEngine, type Upcall } from "@i3/datapath";
import type { NativeIo } from "@i3/datapath/native-io";
import { ip } from "../io/namespace.js";
import { ip4, makeId } from "../reference/packets.js";

export const FAR_NAMESPACE = "i3far";
export const ECHO_PORT = 7_000;
/** Address of either end, by family: as it is written, and its bytes. */
export const NEAR = { 4: ["10.98.0.1", ip4("10.98.0.1")], 6: ["fd98::1", addressOf6(1)] } as const;
export const FAR = { 4: ["10.98.0.2", ip4("10.98.0.2")], 6: ["fd98::2", addressOf6(2)] } as const;
const PREFIX = { 4: 24, 6: 64 } as const;
const FAMILIES = [4, 6] as const;
const MTU = 1_360;
const SPI = 0x3000_0001;

export interface EndOptions {
  readonly workers?: number;
  readonly without?: readonly OffloadName[];
  readonly onUpcalls?: (upcalls: readonly Upcall[]) => void;
  readonly onFailure?: (error: I3Error) => void;
}

export interface JoinedEngines {
  readonly near: RunningNativeEngine;
  readonly far: RunningNativeEngine;
  close(): void;
}

function addressOf6(last: number): Uint8Array {
  return Uint8Array.of(0xfd, 0x98, ...new Uint8Array(13), last);
}

export const openPort = (tun: string | null, options: EndOptions = {}, port = 0): RunningNativeEngine => {
  const { onUpcalls = () => undefined, onFailure = () => undefined, ...rest } = options;
  const clock = { nowMs: () => performance.now() };
  return NativeEngine.open({ ...(tun === null ? {} : { tun: { name: tun, mtu: MTU } }), udp: { address: "::", port, mark: 0 }, clock, onUpcalls, onFailure, ...rest });
};

export const loopback = (port: number): ReturnType<typeof makeLocator> => makeLocator(ip4("127.0.0.1"), port);

/** `kind`: packets travel as payload of data packets, or sealed by ESP straight between the two. */
export function joinEngines(io: NativeIo, kind: "tunnel" | "esp", options: EndOptions = {}): JoinedEngines {
  const near = openPort("i3pa", options);
  const far = openPort("i3pb", options);
  ip("netns", "add", FAR_NAMESPACE);
  ip("link", "set", "i3pb", "netns", FAR_NAMESPACE);
  const inFar = ["-n", FAR_NAMESPACE];
  ip(...inFar, "link", "set", "lo", "up");
  for (const family of FAMILIES) {
    io.addAddress({ index: near.tun?.index ?? 0, address: NEAR[family][1], prefixBits: PREFIX[family] });
    ip(...inFar, "address", "add", `${FAR[family][0]}/${PREFIX[family]}`, "dev", "i3pb", ...(family === 6 ? ["nodad"] : []));
  }
  ip(...inFar, "link", "set", "i3pb", "up");
  direct(near, far, kind, "near");
  direct(far, near, kind, "far");
  const close = (): void => {
    near.close();
    far.close();
    ip("netns", "delete", FAR_NAMESPACE);
  };
  return { near, far, close };
}

const same = (address: Uint8Array): AddressRewrite => ({ from: address, to: address });

/** What `engine` needs to reach `peer` and to take what comes from it. */
function direct(engine: RunningNativeEngine, peer: RunningNativeEngine, kind: "tunnel" | "esp", side: "near" | "far"): void {
  const [own, other] = side === "near" ? [NEAR, FAR] : [FAR, NEAR];
  const [ownNumber, otherNumber] = side === "near" ? [1, 2] : [2, 1];
  const target = { flow: other[4][1], source4: same(other[4][1]), destination4: same(own[4][1]), source6: same(other[6][1]), destination6: same(own[6][1]) };
  const locator = loopback(peer.udp.port);
  if (kind === "tunnel") {
    engine.setDefaultServer(locator);
    engine.setInbound(makeId(ownNumber), { action: "tun", ...target });
  } else {
    const protection = { transform: { kind: "aes-gcm-16", key: new Uint8Array(16).fill(7), salt: Uint8Array.of(1, 2, 3, 4) }, beet: null, checksumState: true } as const;
    engine.setOutboundAssociation(1, { ...protection, spi: SPI + otherNumber });
    engine.setInboundAssociation(SPI + ownNumber, { ...protection, ...target });
  }
  for (const family of FAMILIES) engine.setFlow(other[family][1], flowOf(own[family][1]));

  function flowOf(source: Uint8Array): Flow {
    if (kind === "esp") return { action: "esp", association: 1, header: null, locator, source };
    const header = encodeDataHeader({ flags: 0, hopLimit: 16, copyBudget: 64, payloadKind: 1, nonce: new Uint8Array(8), ids: [makeId(otherNumber)] });
    return { action: "tunnel", header, source };
  }
}

const ECHO = `
const { createServer } = require("node:net");
createServer({ allowHalfOpen: true }, (socket) => socket.on("error", () => undefined).pipe(socket)).listen(${ECHO_PORT}, "::", () => console.log("ready"));
`;

/** Gives back what is sent to it. */
export async function startEcho(): Promise<ChildProcess> {
  const child = spawn("ip", ["netns", "exec", FAR_NAMESPACE, process.execPath, "-e", ECHO], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  return child;
}
