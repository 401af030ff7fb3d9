/** RFC 5780 §4.3 and §4.4: mapping and filtering of whatever stands in front of a host, seen from its own sockets. */
import type { Behaviour, Dependence, NetNode } from "../src/index.js";
import { UdpPeer } from "./udp-peer.js";

/** A STUN server of two addresses and two ports each, as the RFC wants one. */
export interface FourSockets {
  readonly primary: UdpPeer;
  readonly otherPort: UdpPeer;
  readonly otherAddress: UdpPeer;
  readonly otherBoth: UdpPeer;
}

const PORTS = [7000, 7001] as const;

export async function openFour(a: NetNode, b: NetNode): Promise<FourSockets> {
  const [primary, otherPort, otherAddress, otherBoth] = await Promise.all([a, b].flatMap((node) => PORTS.map((port) => UdpPeer.open(node, port))));
  if (primary === undefined || otherPort === undefined || otherAddress === undefined || otherBoth === undefined) throw new Error("unreachable: four");
  return { primary, otherPort, otherAddress, otherBoth };
}

/** What a host behind it can tell; "none" when the server sees the host's own address. */
export async function behaviourSeenFrom(host: NetNode, servers: FourSockets): Promise<Behaviour> {
  const [first, second, control] = await Promise.all([UdpPeer.open(host), UdpPeer.open(host), UdpPeer.open(host)]);
  return { mapping: await mappingSeen(first, servers), filtering: await filteringSeen(second, control, servers) };
}

async function mappingSeen(socket: UdpPeer, servers: FourSockets): Promise<Behaviour["mapping"]> {
  const { address, port } = await socket.mappedBy(servers.primary);
  if (address === socket.node.address4) return "none";
  if ((await socket.mappedBy(servers.otherAddress)).port === port) {
    return (await socket.mappedBy(servers.otherBoth)).port === port ? "ei" : "apd";
  }
  return (await socket.mappedBy(servers.otherPort)).port === port ? "ad" : "apd";
}

/**
 * `control` is a socket that all may send to: what arrives there after a probe of the same sender says that the probe was on its
 * way for long enough. On a busy machine packets of different senders overtake each other.
 */
async function filteringSeen(socket: UdpPeer, control: UdpPeer, { primary, otherPort, otherBoth }: FourSockets): Promise<Dependence> {
  const mapped = await socket.mappedBy(primary);
  const probes = [{ from: otherBoth, text: "from-other-both" }, { from: otherPort, text: "from-other-port" }];
  for (const { from, text } of probes) {
    const open = await control.mappedBy(from);
    await from.send(mapped, text);
    await from.send(open, `after-${text}`);
    await control.received(`after-${text}`);
  }
  await socket.mappedBy(primary);
  const [isAnybody, isOtherPort] = probes.map(({ text }) => socket.hasReceived(text));
  if (isAnybody === true) return "ei";
  return isOtherPort === true ? "ad" : "apd";
}
