/** `i3ctl status` of real daemons: what it shows of a peer that is called, of a dead ring, and after SIGKILL. */
import { stat } from "node:fs/promises";

import { I3_PORT, repositoryPath, type Laptop } from "@i3/demo";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { eventually, pairBed, pings, type PairBed } from "./pair-bed.js";

const I3CTL = repositoryPath("packages/i3ctl/dist/main.js");

interface Shown {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Status {
  readonly daemon: object;
  readonly self: { readonly hit: string };
  readonly ring: { readonly state: string; readonly servers: readonly { readonly state: string; readonly roundTripMs: number | null }[] };
  readonly peers: readonly { readonly name: string | null; readonly state: string; readonly path: { readonly kind: string; readonly to: string } | null; readonly bytesIn: number }[];
  readonly health: readonly { readonly code: string; readonly remedy: string }[];
}

let bed: PairBed;
beforeAll(async () => {
  bed = await pairBed();
}, 120_000);
afterAll(() => bed?.close());

const socketOf = ({ host }: Laptop): string => `${host.directory}/control.sock`;
const i3ctl = async (of: Laptop, ...args: readonly string[]): Promise<Shown> => await of.host.exec(process.execPath, [I3CTL, "--socket", socketOf(of), ...args]);
const statusOf = async (of: Laptop): Promise<Status> => JSON.parse((await i3ctl(of, "status", "--json")).stdout) as Status;
const peerOf = ({ peers }: Status, name: string): Status["peers"][number] => {
  const peer = peers.find((one) => one.name === name);
  if (peer === undefined) throw new Error(`no ${name}`);
  return peer;
};

describe("i3ctl status", () => {
  it("has this machine, its ring, and hosts of the book that nobody has called", async () => {
    const status = await statusOf(bed.laptopProxy);
    expect(status).toMatchObject({ version: 1, daemon: { name: "i3-proxy", state: "running", config: bed.laptopProxy.configFile }, self: { hit: bed.laptopProxy.hit, ipv4: bed.laptopProxy.address4 }, ring: { state: "up" }, health: [] });
    expect(status.ring.servers.map(({ state }) => state)).toEqual(["alive", "alive", "alive"]);
    expect(status.ring.servers.some(({ roundTripMs }) => roundTripMs !== null && roundTripMs > 0)).toBe(true);
    expect(peerOf(status, "home.i3")).toMatchObject({ hit: bed.homeProxy.hit, ipv4: null, state: "idle", path: null, bytesIn: 0 });
    expect((await stat(socketOf(bed.laptopProxy))).mode & 0o777).toBe(0o660);
  });

  it("says by which server a peer is reached where NATs let nothing else through, and what came", async () => {
    expect(await pings(bed.laptop, "home.i3", 5)).toBe(true);
    const status = await statusOf(bed.laptopProxy);
    const { state, path, bytesIn } = peerOf(status, "home.i3");
    expect([state, path?.kind]).toEqual(["open", "relay"]);
    expect(bed.servers.map(({ address4 }) => `${address4}:${I3_PORT}`)).toContain(path?.to);
    expect(bytesIn).toBeGreaterThan(0);
    const { status: exit, stdout } = await i3ctl(bed.laptopProxy, "status");
    expect(exit).toBe(0);
    expect(stdout).toMatch(new RegExp(`^${bed.homeProxy.address4.replaceAll(".", "\\.")}  home\\.i3 +relay ${path?.to.replaceAll(".", "\\.") ?? ""}  esp  in `, "m"));
    expect(stdout).toContain("ring          up: 3 of 3 servers answer, the nearest is ");
  }, 30_000);

  it("ends with 1 when there is no daemon, and says what to do; the next one takes the socket of one that was killed", async () => {
    await bed.laptopProxy.kill();
    const dead = await i3ctl(bed.laptopProxy, "status");
    expect(dead.status).toBe(1);
    expect(dead.stderr).toContain("The daemon that made it has ended. Start it again.");
    await bed.laptopProxy.start();
    expect((await i3ctl(bed.laptopProxy, "status")).status).toBe(0);
    await bed.laptopProxy.stop();
    const gone = await i3ctl(bed.laptopProxy, "status", "--json");
    expect(gone.status).toBe(1);
    expect(gone.stdout).toBe("");
    expect(gone.stderr).toContain("No daemon runs whose configuration has a <control> with this socket.");
    await bed.laptopProxy.start();
  }, 60_000);

  it("ends with 2 for what it does not know", async () => {
    for (const args of [["stats"], ["status", "more"], ["status", "--jsn"], []]) {
      const { status, stderr } = await i3ctl(bed.laptopProxy, ...args);
      expect([args, status]).toEqual([args, 2]);
      expect(stderr).toContain("i3ctl --help lists the commands.");
    }
  });

  it("ends with 1 when no server answers, and a daemon that starts then is asked while it waits", async () => {
    await bed.laptopProxy.stop();
    for (const { child } of bed.ring) child?.kill("SIGKILL");
    const starting = bed.laptopProxy.start();
    starting.catch(() => undefined);
    const status = await eventually("a status", 20_000, async () => {
      const { stdout } = await i3ctl(bed.laptopProxy, "status", "--json");
      const shown = stdout === "" ? undefined : (JSON.parse(stdout) as Status);
      return shown?.health.some(({ code }) => code === "no-server") === true ? shown : undefined;
    });
    expect(status.ring.state).toBe("down");
    const { status: exit, stdout } = await i3ctl(bed.laptopProxy, "status");
    expect(exit).toBe(1);
    expect(stdout).toContain("\n! no i3 server answers. ");
  }, 60_000);
});

describe("i3ctl status, where NATs let hosts meet", () => {
  let near: PairBed;
  beforeAll(async () => {
    near = await pairBed({ nat1: "port-restricted", nat2: "port-restricted" });
  }, 120_000);
  afterAll(() => near?.close());

  it("says that a peer is reached past the servers, and where", async () => {
    const path = await eventually("a direct path", 20_000, async () => {
      await pings(near.laptop, "home.i3");
      const { path: now } = peerOf(await statusOf(near.laptopProxy), "home.i3");
      return now?.kind === "direct" ? now : undefined;
    });
    expect(path.to).toMatch(new RegExp(`^${near.nat2.address4.replaceAll(".", "\\.")}:[0-9]+$`));
    expect((await i3ctl(near.laptopProxy, "status")).stdout).toContain(`direct ${path.to}`);
  }, 60_000);
});
