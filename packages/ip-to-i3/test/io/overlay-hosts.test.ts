/** Where connections lead: to hosts of the overlay, and nowhere else. */
import { once } from "node:events";
import { createServer, type AddressInfo, type Server } from "node:net";

import { describe, expect, it, onTestFinished } from "vitest";

import { OverlayHosts, type GatewayServers, type OverlayNames } from "../../src/io/overlay-hosts.js";

const ONE = Uint8Array.of(127, 0, 0, 1);
/** Nobody listens there. */
const TWO = Uint8Array.of(127, 0, 0, 2);
const SIX = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
const NOBODY = new AbortController().signal;
const NOTHING = new Uint8Array(0);
const HOME = { to: "home.i3", go: "i3" } as const;
const NO_GATEWAYS: GatewayServers = { leads: () => false, ask: () => expect.unreachable(), has: () => false };

async function listening(host = "127.0.0.1"): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer((socket) => socket.on("error", () => undefined)).listen(0, host);
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return { server, port: (server.address() as AddressInfo).port };
}

type Verdict = ReturnType<OverlayNames["resolve"]>;

const hosts = (verdict: Verdict, mapped: readonly Uint8Array[], more: Partial<OverlayNames> = {}, connectMs = 10_000): OverlayHosts =>
  new OverlayHosts({ gateways: NO_GATEWAYS, names: { resolve: () => verdict, ...more }, isMapped: (address) => mapped.includes(address), connectMs });

it("leads to a mapped address, whose way exists by then, with the first bytes", async () => {
  const { server, port } = await listening();
  const told: Uint8Array[] = [];
  const accepted = once(server, "connection");
  const socket = await hosts({ v4: ONE, v6: SIX }, [ONE], { told: (address) => told.push(address) }).connect(HOME, port, Buffer.from("first"), NOBODY);
  const [host] = (await accepted) as [typeof socket];
  expect(String((await once(host, "data"))[0])).toBe("first");
  expect(told).toEqual([ONE, SIX]);
  socket.destroy();
});

it.each([
  ["elsewhere", "refused"],
  ["unknown", "unknown"],
  ["unavailable", "unreachable"],
] as const)("a name that is %s is %s", async (verdict, why) => {
  await expect(hosts(verdict, [ONE]).connect(HOME, 1, NOTHING, NOBODY)).rejects.toMatchObject({ why });
});

it("an address without a mapping is not connected to, though somebody listens there", async () => {
  const { server, port } = await listening();
  server.on("connection", () => expect.unreachable());
  await expect(hosts({ v4: ONE, v6: null }, []).connect({ to: "self.i3", go: "i3" }, port, NOTHING, NOBODY)).rejects.toMatchObject({ why: "refused" });
  // Nor the second one, when the first has nobody.
  await expect(hosts({ v4: TWO, v6: ONE }, [TWO]).connect({ to: "self.i3", go: "i3" }, port, NOTHING, NOBODY)).rejects.toMatchObject({ why: "refused" });
});

it("the other address is tried where nobody listens on the first", async () => {
  const { port } = await listening();
  const socket = await hosts({ v4: TWO, v6: ONE }, [ONE, TWO]).connect(HOME, port, NOTHING, NOBODY);
  expect(socket.remoteAddress).toBe("127.0.0.1");
  socket.destroy();
  await expect(hosts({ v4: TWO, v6: null }, [TWO]).connect(HOME, port, NOTHING, NOBODY)).rejects.toMatchObject({ why: "unreachable", cause: { code: "ECONNREFUSED" } });
});

it("a name that is looked for is waited for", async () => {
  const { port } = await listening();
  let verdict: Verdict = "looking";
  let known = (): void => undefined;
  const names: OverlayNames = {
    resolve: () => verdict,
    whenKnown: (_, done) => {
      known = done;
      return () => undefined;
    },
  };
  const connected = new OverlayHosts({ gateways: NO_GATEWAYS, names, isMapped: () => true, connectMs: 10_000 }).connect(HOME, port, NOTHING, NOBODY);
  verdict = { v4: ONE, v6: null };
  known();
  (await connected).destroy();
});

it("but so long only, and not for who has gone", async () => {
  let taken = 0;
  const whenKnown = () => () => void (taken += 1);
  await expect(hosts("looking", [], { whenKnown }, 30).connect(HOME, 1, NOTHING, NOBODY)).rejects.toMatchObject({ why: "timeout" });
  const gone = new AbortController();
  const connecting = hosts("looking", [], { whenKnown }).connect(HOME, 1, NOTHING, gone.signal);
  gone.abort();
  await expect(connecting).rejects.toMatchObject({ why: "left" });
  expect(taken).toBe(2);
  await expect(hosts({ v4: ONE, v6: null }, [ONE]).connect(HOME, 1, NOTHING, gone.signal)).rejects.toMatchObject({ why: "left" });
  await expect(hosts("looking", []).connect(HOME, 1, NOTHING, NOBODY)).rejects.toMatchObject({ name: "HostError" });
});

describe("a server behind a gateway", () => {
  const WIKI = { to: "wiki.corp.example", go: "gateway" } as const;
  const behind = (more: Partial<GatewayServers>, verdict: Verdict = "unavailable"): OverlayHosts =>
    new OverlayHosts({ names: { resolve: () => verdict }, isMapped: () => true, connectMs: 10_000, gateways: { leads: () => true, ask: () => Promise.resolve([ONE]), has: () => true, ...more } });

  it("is connected to where the gateway says", async () => {
    const { port } = await listening();
    const asked: string[] = [];
    const socket = await behind({ ask: (name) => Promise.resolve([asked.push(name) > 0 ? ONE : TWO]) }).connect(WIKI, port, NOTHING, NOBODY);
    expect([socket.remoteAddress, asked]).toEqual(["127.0.0.1", ["wiki.corp.example"]]);
    socket.destroy();
  });

  it("is refused where no rule leads to a gateway, or the address is no server's", async () => {
    const { server, port } = await listening();
    server.on("connection", () => expect.unreachable());
    await expect(behind({ leads: () => false }).connect(WIKI, port, NOTHING, NOBODY)).rejects.toMatchObject({ why: "refused" });
    await expect(behind({ has: () => false }).connect(WIKI, port, NOTHING, NOBODY)).rejects.toMatchObject({ why: "refused" });
    await expect(behind({ has: () => false }).addressesOf(WIKI, NOBODY)).rejects.toMatchObject({ why: "refused" });
    // A name that is not said to be behind one is not asked for there.
    await expect(behind({ ask: () => expect.unreachable() }).connect({ ...WIKI, go: "i3" }, port, NOTHING, NOBODY)).rejects.toMatchObject({ why: "unreachable" });
  });

  it("is unreachable when the gateway says nothing", async () => {
    await expect(behind({ ask: () => Promise.reject(new Error("SERVFAIL")) }).connect(WIKI, 1, NOTHING, NOBODY)).rejects.toMatchObject({ why: "unreachable" });
  });
});
