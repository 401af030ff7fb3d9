/** Who may connect is changed in the files of a running proxy: living connections end within a second, and go on when their host is let in again. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { Child } from "@i3/netns";

import { eventually, pairBed, pings, type PairBed } from "./pair-bed.js";

/** What is promised (docs/policy.md); waiting for the file's next reading is in it. */
const WITHIN_MS = 1_000;
/** How long nothing may come through: TCP repeats several times in it, and a refused call may be made again each second. */
const SHUT_MS = 6_000;
const FAMILY = `<access default="refuse"><allow group="family"/></access>`;
/** Both ends send a line each 50 ms, so that both have something to repeat when the way is shut. */
const talk = (socket: string): string => `
  const net = require("node:net");
  const talk = (s) => { let n = 0; setInterval(() => s.write("line " + n++ + "\\n"), 50); s.on("data", (d) => process.stdout.write(d)); s.on("error", () => process.exit(1)); };
  ${socket}
  console.log("begun");
`;

let bed: PairBed;
let server: Child;
let client: Child;
beforeAll(async () => {
  bed = await pairBed({ homeOptions: { access: FAMILY }, start: false });
  await writeBook("family");
  await Promise.all([bed.laptopProxy.start(), bed.homeProxy.start()]);
  server = bed.home.spawn(process.execPath, ["-e", talk('net.createServer(talk).listen(7000, "0.0.0.0");')]);
  await server.waitForLine(/begun/);
  client = bed.laptop.spawn(process.execPath, ["-e", talk('talk(net.connect(7000, "home.i3"));')]);
  await client.waitForLine(/line 20/, 20_000);
});
afterAll(() => bed?.close());

/** Home's book; both names stand in it, so that nobody is a stranger. */
const writeBook = (group: string): Promise<string> => bed.home.writeFile("book.xml", `<address-book version="1">
  <host name="laptop.i3" hit="${bed.laptopProxy.hit}" group="${group}"/>
  <host name="home.i3" hit="${bed.homeProxy.hit}"/>
</address-book>
`);

async function expectShut(change: () => Promise<unknown>): Promise<void> {
  let [atClient, atServer] = [0, 0];
  client.on("line", () => void (atClient = performance.now()));
  server.on("line", () => void (atServer = performance.now()));
  const changedMs = performance.now();
  await change();
  await new Promise((resolve) => setTimeout(resolve, SHUT_MS)); // nothing must happen: there is no event to wait for
  expect(Math.max(atClient, atServer) - changedMs).toBeLessThan(WITHIN_MS);
  expect([client.running, server.running]).toEqual([true, true]);
}

/** The same connection goes on: TCP has not given up. */
async function expectOpen(change: () => Promise<unknown>): Promise<void> {
  let lines = 0;
  const count = (): void => void (lines += 1);
  client.on("line", count);
  await change();
  await eventually("lines of the connection that was shut", 30_000, () => Promise.resolve(lines > 20 ? true : undefined));
  client.off("line", count);
}

describe("a living connection", () => {
  it("ends when an entry of the list of the host that began it refuses the other, and not by the default of that list", async () => {
    await expectOpen(() => bed.laptopProxy.writeConfig({ access: `<access default="refuse"/>` }));
    await expectShut(() => bed.laptopProxy.writeConfig({ access: `<access default="allow"><refuse hit="${bed.homeProxy.hit}"/></access>` }));
    await expectOpen(() => bed.laptopProxy.writeConfig());
  }, 60_000);

  it("ends when its host leaves the group that may connect, and goes on when it is back", async () => {
    await expectShut(() => writeBook("friends"));
    await expectOpen(() => writeBook("family"));
  }, 60_000);

  it("ends when the list refuses its host, and goes on when it is let in again", async () => {
    await expectShut(() => bed.homeProxy.writeConfig({ access: `<access default="allow"><refuse hit="${bed.laptopProxy.hit}"/></access>` }));
    await expectOpen(() => bed.homeProxy.writeConfig());
  }, 60_000);

  it("is refused to a new program at once, with host unreachable", async () => {
    await bed.homeProxy.writeConfig({ access: `<access default="refuse"/>` });
    await eventually("the change", 5_000, async () => ((await pings(bed.laptop, "home.i3")) ? undefined : true));
    const { stdout, status } = await bed.laptop.exec("ping", ["-c", "3", "-i", "1.5", "-W", "1", "home.i3"]);
    expect([status, /unreachable/i.test(stdout)]).toEqual([1, true]);
  }, 60_000);
});
