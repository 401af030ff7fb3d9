/**
 * A key file that cannot be used, of both daemons: status 1, one line that says what is wrong and what to do, nothing written. Above all no other key in the place of one
 * that was lost.
 */
import { chmod, chown, cp, readdir, readFile, rm, stat, truncate } from "node:fs/promises";

import { admitToRing, repositoryPath } from "@i3/demo";
import { Topology, type Host } from "@i3/netns";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

/** A user who is none here. */
const SOMEBODY = 12_345;

interface Daemon {
  readonly name: string;
  readonly keyFile: string;
  readonly configFile: string;
}
const DAEMONS: readonly Daemon[] = [{ name: "i3-proxy", keyFile: "host.key", configFile: "i3-proxy.xml" }, { name: "i3-server", keyFile: "server.key", configFile: "i3-server.xml" }];

let topology: Topology;
let host: Host;

/** With keys that both daemons made at their first start, and the proxy's journal. */
beforeAll(async () => {
  topology = await Topology.create();
  host = topology.host("one");
  const other = topology.host("two");
  topology.link(host, other, { subnet: "192.0.2.0/30" });
  await topology.up();
  await admitToRing([host]);
  await host.writeFile("i3-server.xml", `<i3-server version="1"><identity key-file="server.key"/><listen address="::" port="5611"/><advertise address="${host.address4}" port="5611"/><ring credential-file="server.credential"></ring></i3-server>`);
  await host.writeFile("i3-proxy.xml", `<i3-proxy version="1"><identity key-file="host.key"/><state directory="state"/><servers><server address="${host.address4}" port="5611"/></servers><rules><rule name=".*\\.i3" go="i3"/></rules></i3-proxy>`);
  for (const { name, configFile } of [...DAEMONS].reverse()) {
    const child = host.spawn(process.execPath, [repositoryPath(`packages/${name}/dist/main.js`), "--config", `${host.directory}/${configFile}`]);
    await child.waitForLine(/READY/, 20_000);
    if (name === "i3-proxy") await child.stop();
  }
  await host.exec("sh", ["-c", `cp -a '${host.directory}' '${host.directory}.good'`]);
}, 60_000);
afterAll(() => topology?.close());

const good = (): string => `${host.directory}.good`;
const at = (file: string): string => `${host.directory}/${file}`;

/** Names, modes, owners and contents of all files. */
async function contents(): Promise<readonly string[]> {
  const names = (await readdir(host.directory, { recursive: true })).filter((name) => /key|state|credential|xml/.test(name)).sort();
  return Promise.all(names.map(async (name) => {
    const { mode, uid, size } = await stat(at(name));
    return `${name} ${mode.toString(8)} ${uid} ${size} ${name === "state" ? "" : await readFile(at(name), "hex")}`;
  }));
}

/** The line of a daemon that must not come up, nor its check, and that must leave everything as it is. */
async function refusal({ name, configFile }: Daemon): Promise<string> {
  const before = await contents();
  const lines: string[] = [];
  for (const more of [[], ["--check"]]) {
    const { status, stdout, stderr } = await host.exec(process.execPath, [repositoryPath(`packages/${name}/dist/main.js`), "--config", at(configFile), ...more]);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    lines.push(...stderr.trim().split("\n").filter((line) => !line.startsWith('{"time":')));
  }
  expect(lines).toHaveLength(2);
  expect(lines[1]).toBe(lines[0]);
  expect(await contents()).toEqual(before);
  expect(lines[0]).toMatch(new RegExp(`^${name}: `));
  return lines[0] ?? "";
}

/** Restores what the first starts left. */
beforeEach(async () => {
  for (const name of ["host.key", "host.key.hit", "server.key", "server.key.hit", "state"]) {
    await rm(at(name), { recursive: true, force: true });
    await cp(`${good()}/${name}`, at(name), { recursive: true });
  }
});

const hitOf = async ({ keyFile }: Daemon): Promise<string> => (await readFile(`${good()}/${keyFile}.hit`, "utf8")).trim();

describe.each(DAEMONS)("$name with a key file that is", (daemon) => {
  const { keyFile } = daemon;

  it("lost", async () => {
    await rm(at(keyFile));
    const line = await refusal(daemon);
    expect(line).toContain(`the key file ${at(keyFile)} does not exist, and this machine was ${await hitOf(daemon)}. Restore it from a backup.`);
    expect(line).toContain(`remove ${at(`${keyFile}.hit`)}`);
  });

  it("lost, and the file beside it damaged", async () => {
    await rm(at(keyFile));
    await truncate(at(`${keyFile}.hit`), 5);
    // A proxy's journal still knows.
    expect(await refusal(daemon)).toContain(daemon.name === "i3-proxy" ? `does not exist, and this machine was ${await hitOf(daemon)}.` : "does not exist, and this machine had a key before.");
  });

  it("truncated", async () => {
    await truncate(at(keyFile), 100);
    expect(await refusal(daemon)).toMatch(new RegExp(`${at(keyFile)} is damaged.*Restore it from a backup`));
  });

  it("empty", async () => {
    await truncate(at(keyFile), 0);
    expect(await refusal(daemon)).toMatch(new RegExp(`${at(keyFile)} is damaged.*Restore it from a backup`));
  });

  it.each([["RSA", "rsa_keygen_bits:2048", "RSA"], ["P-384", "ec_paramgen_curve:P-384", "EC"]])("of another type: %s", async (_, option, kind) => {
    await rm(at(keyFile));
    expect((await host.exec("openssl", ["genpkey", "-algorithm", kind, "-pkeyopt", option, "-out", at(keyFile)])).status).toBe(0);
    await chmod(at(keyFile), 0o600);
    expect(await refusal(daemon)).toMatch(/holds a key for (rsa|ecdsa-p384), where ecdsa-p256 is configured\. .*algorithm="(rsa|ecdsa-p384)"/);
  });

  it("of no type that there is", async () => {
    await rm(at(keyFile));
    expect((await host.exec("openssl", ["genpkey", "-algorithm", "ED25519", "-out", at(keyFile)])).status).toBe(0);
    await chmod(at(keyFile), 0o600);
    expect(await refusal(daemon)).toMatch(/is damaged \(a key of type ed25519, where .* is expected\)\. Restore it from a backup/);
  });

  it("another machine's", async () => {
    await rm(at(keyFile));
    expect((await host.exec("openssl", ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", at(keyFile)])).status).toBe(0);
    await chmod(at(keyFile), 0o600);
    expect(await refusal(daemon)).toMatch(new RegExp(`holds the key of 2001:22:\\S+, and this machine was ${await hitOf(daemon)}\\. Restore it`));
  });

  it.each(["644", "640", "602"])("open to others, mode %s", async (mode) => {
    await chmod(at(keyFile), Number.parseInt(mode, 8));
    expect(await refusal(daemon)).toBe(`${daemon.name}: ${at(keyFile)} can be read by others (mode ${mode}). Run: chmod 600 ${at(keyFile)}`);
  });

  it("somebody else's", async (ctx) => {
    try {
      await chown(at(keyFile), SOMEBODY, SOMEBODY);
    } catch {
      // An ordinary user's namespace has one user.
      return ctx.skip("there is no other user in this namespace");
    }
    expect(await refusal(daemon)).toBe(`${daemon.name}: ${at(keyFile)} belongs to the user ${SOMEBODY}, who can read and change it. See whether it is the right key, then run: chown 0 ${at(keyFile)}`);
  });
});

it("of i3-proxy is not made anew when its journal or the file beside it is lost with it", async () => {
  const [proxy] = DAEMONS as [Daemon];
  for (const [lost, left] of [["state", "host.key.hit"], ["host.key.hit", "state/mappings.journal"]] as const) {
    await rm(at("host.key"), { force: true });
    await rm(at(lost), { recursive: true });
    expect(await refusal(proxy)).toContain(`and this machine was ${await hitOf(proxy)}. Restore it from a backup. If this machine shall be another host from now on, remove ${at(left)}, and change its HIT in all address books.`);
    await cp(`${good()}/${lost}`, at(lost), { recursive: true });
  }
});
