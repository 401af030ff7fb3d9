import { describe, expect, it } from "vitest";

import type { PeerStatus, ProxyStatus } from "@i3/i3-proxy";

import { isUp, statusText } from "../src/status/status-text.js";
import { durationText, sizeText, tableText } from "../src/text.js";

const IDLE: PeerStatus = { name: "idle.i3", hit: "2001:22::7", ipv4: null, state: "idle", path: null, security: null, idleS: null, packetsIn: 0, packetsOut: 0, bytesIn: 0, bytesOut: 0 };
const STATUS: ProxyStatus = {
  version: 1,
  daemon: { name: "i3-proxy", release: "1.2.3", pid: 7, uptimeS: 300, config: "/etc/i3/i3-proxy.xml", state: "running" },
  self: { hit: "2001:22::1", ipv4: "10.1.2.3", tun: "i3", port: 5610 },
  ring: {
    state: "up",
    servers: [
      { locator: "192.0.2.11:5610", state: "alive", roundTripMs: 20.5, inUse: true }, { locator: "192.0.2.12:5610", state: "dead", roundTripMs: 1, inUse: false }, { locator: "192.0.2.13:5610", state: "alive", roundTripMs: 3.25, inUse: true },
    ],
  },
  peers: [IDLE, { ...IDLE, name: "home.i3", ipv4: "10.9.9.9", state: "open", path: { kind: "direct", to: "198.51.100.7:5610" }, security: "esp", idleS: 3, bytesIn: 1_234_567, bytesOut: 999 }, { ...IDLE, name: null, hit: null, ipv4: "10.8.8.8", state: "refused" }],
  health: [{ code: "server-dead", what: "1 of 3 servers do not answer", remedy: "Others have taken over." }],
};

describe("the text of a status", () => {
  it("has the daemon, this machine, the ring with its nearest living server, a line for each peer, and what to do", () => {
    expect(statusText(STATUS).split("\n")).toEqual([
      "i3-proxy 1.2.3, running for 5 min, /etc/i3/i3-proxy.xml",
      "this machine  10.1.2.3  2001:22::1  i3, UDP 5610",
      "ring          up: 2 of 3 servers answer, the nearest is 192.0.2.13:5610, 3.25 ms",
      "",
      "-         idle.i3                      idle",
      "10.9.9.9  home.i3                      direct 198.51.100.7:5610  esp  in 1.2 MB, out 999 B  3 s ago",
      "10.8.8.8  (a host that proves no key)  offline",
      "",
      "! 1 of 3 servers do not answer. Others have taken over.",
      "",
    ]);
  });

  it("says that there is nobody, and no ring", () => {
    const text = statusText({ ...STATUS, peers: [], health: [], ring: { state: "none", servers: [] } });
    expect(text).toContain("no peers: ");
    expect(text).toContain("none: hosts are reached by address alone");
  });

  it.each([["up", "running", true], ["tcp", "running", true], ["none", "running", true], ["down", "running", false], ["up", "starting", false], ["up", "stopping", false]] as const)("ring %s, daemon %s: up is %s", (state, daemon, is) => {
    expect(isUp({ ...STATUS, ring: { ...STATUS.ring, state }, daemon: { ...STATUS.daemon, state: daemon } })).toBe(is);
  });
});

describe("texts", () => {
  it("moves no cursor, whatever a name is", () => {
    expect(tableText([["a\u001b[2J\n", "b\u202e"]])).toEqual(["a?[2J?  b?"]);
  });

  it.each([[0, "0 B"], [999, "999 B"], [1_000, "1 kB"], [1_290, "1.2 kB"], [33_900_000, "33 MB"], [2e18, "2000 PB"]])("%d bytes are %s", (bytes, text) => {
    expect(sizeText(bytes)).toBe(text);
  });

  it.each([[0, "0 s"], [119, "119 s"], [120, "2 min"], [7_200, "2 h"], [172_800, "2 d"]])("%d s are %s", (seconds, text) => {
    expect(durationText(seconds)).toBe(text);
  });
});
