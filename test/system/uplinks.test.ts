/**
 * A machine with two uplinks whose packets go by the ring, as its rule says: the first dies without a sign, its default route stays, and it comes back.
 *
 *              s1  s2  s3
 *                \ | /
 *                 core ───────── dsl ── desk
 *        5 ms   /      \  5 ms
 *            wifi      lte
 *               \      /
 *     eth0 metric 100  eth1 metric 200
 *                mover
 */
import { Laptop, startRing } from "@i3/demo";
import { Topology, type Link } from "@i3/netns";
import { afterEach, expect, it } from "vitest";

import { eventually, outageMs } from "./pair-bed.js";

/** Of packets that are 200 ms apart, on a machine that does other things too. */
const HEALED_MS = 1_500;
const PING_EVERY_MS = 200;
const RULES = '<rules><rule name=".*\\.i3" go="i3" shortcut="no"/></rules>';

let topology: Topology | undefined;
afterEach(async () => {
  await topology?.close();
  topology = undefined;
});

async function makeBed(): Promise<{ readonly mover: Laptop; readonly desk: Laptop; readonly wifiLink: Link }> {
  const made = await Topology.create();
  topology = made;
  const core = made.router("core");
  const servers = [1, 2, 3].map((n) => {
    const server = made.host(`s${n}`);
    made.link(core, server, { subnet: `192.0.2.${4 * n}/30` });
    return server;
  });
  const [wifi, lte, dsl] = [made.nat("wifi", { kind: "port-restricted" }), made.nat("lte", { kind: "symmetric" }), made.router("dsl")];
  const wifiLink = made.link(core, wifi, { subnet: "203.0.113.0/30", wan: { delayMs: 5 } });
  made.link(core, lte, { subnet: "203.0.113.4/30", wan: { delayMs: 5 } });
  made.link(core, dsl, { subnet: "203.0.113.8/30" });
  const [moverHost, deskHost] = [made.host("mover"), made.host("desk")];
  made.lan("air", { subnet: "198.51.100.0/24", gateway: wifi, members: [moverHost] });
  made.lan("mobile", { subnet: "198.51.101.0/24", gateway: lte, members: [moverHost] });
  made.lan("office", { subnet: "198.51.102.0/24", gateway: dsl, members: [deskHost] });
  await made.up();
  await startRing(servers);
  const options = { serverAddresses: servers.map(({ address4 }) => address4), rules: RULES };
  const [mover, desk] = [await Laptop.make(moverHost, options), await Laptop.make(deskHost, options)];
  await mover.writeBook({ "desk.i3": desk });
  await desk.writeBook({ "mover.i3": mover });
  await Promise.all([mover.start(), desk.start()]);
  return { mover, desk, wifiLink };
}

const uplinkLines = ({ child }: Laptop): readonly string[] => (child?.lines ?? []).map(({ text }) => text).filter((text) => text.includes('"event":"uplink"'));

it("goes by the second from within a second on, and by the first again when that lives, without a packet lost", async () => {
  const { mover, wifiLink } = await makeBed();
  const silentMs = await outageMs(mover.host, "desk.i3", () => wifiLink.cut());
  expect(uplinkLines(mover)).toHaveLength(1);
  expect(silentMs).toBeGreaterThan(PING_EVERY_MS * 1.5);
  expect(silentMs).toBeLessThan(HEALED_MS);
  const ping = mover.host.spawn("ping", ["-n", "-i", "0.05", "desk.i3"]);
  await ping.waitForLine(/icmp_seq=3 ttl/);
  await wifiLink.mend();
  await eventually("the routes are followed again", 15_000, () => Promise.resolve(uplinkLines(mover).length === 2 ? true : undefined));
  const had = ping.lines.length;
  await eventually("answers", 5_000, () => Promise.resolve(ping.lines.length > had + 20 ? true : undefined));
  ping.kill("SIGINT");
  await ping.ended;
  const [, lost = ""] = /([0-9.]+)% packet loss/.exec(ping.lines.map(({ text }) => text).join("\n")) ?? [];
  expect(Number(lost)).toBe(0);
});
