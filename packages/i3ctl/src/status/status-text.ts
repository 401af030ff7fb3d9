/** `i3ctl status` for people. Without I/O. */
import type { PeerStatus, ProxyStatus, RingStatus } from "@i3/i3-proxy";

import { durationText, sizeText, tableText } from "../text.js";

/** Names can be reached: for the exit status. */
export const isUp = ({ daemon, ring }: ProxyStatus): boolean => daemon.state === "running" && ring.state !== "down";

export function statusText({ daemon, self, ring, peers, health }: ProxyStatus): string {
  const lines = [
    `${daemon.name} ${daemon.release}, ${daemon.state} for ${durationText(daemon.uptimeS)}, ${daemon.config}`,
    `this machine  ${self.ipv4}  ${self.hit}  ${self.tun}, UDP ${self.port}`,
    `ring          ${ringText(ring)}`,
  ];
  const table = tableText(peers.map(peerCells));
  const problems = health.map(({ what, remedy }) => `! ${what}. ${remedy}`);
  return [...lines, "", ...(peers.length === 0 ? ["no peers: the address book is empty, and nobody has called"] : table), ...(problems.length === 0 ? [] : ["", ...problems]), ""].join("\n");
}

function ringText({ state, servers }: RingStatus): string {
  if (state === "none") return "none: hosts are reached by address alone";
  const alive = servers.filter((server) => server.state === "alive");
  const [nearest] = alive.filter(({ roundTripMs }) => roundTripMs !== null).sort((a, b) => (a.roundTripMs ?? 0) - (b.roundTripMs ?? 0));
  const how = nearest === undefined ? "" : `, the nearest is ${nearest.locator}, ${nearest.roundTripMs ?? 0} ms`;
  return `${state === "tcp" ? "up by TCP" : state}: ${alive.length} of ${servers.length} servers answer${how}`;
}

function peerCells({ ipv4, name, hit, state, path, security, bytesIn, bytesOut, idleS }: PeerStatus): readonly string[] {
  const way = path === null ? (state === "refused" ? "offline" : state) : `${path.kind} ${path.to}`;
  const traffic = bytesIn + bytesOut === 0 ? "" : `in ${sizeText(bytesIn)}, out ${sizeText(bytesOut)}`;
  return [ipv4 ?? "-", name ?? hit ?? "(a host that proves no key)", way, security ?? "", traffic, idleS === null ? "" : `${durationText(idleS)} ago`];
}
