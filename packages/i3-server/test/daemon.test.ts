/** The daemon as a process: three on loopback make a ring that delivers; what goes wrong is said in one line. */
import { appendFileSync, chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { OFFLOAD_NAMES, TRIGGER_ACTION, type TriggerMessage } from "@i3/common";
import { DATA_FLAG } from "@i3/datapath";
import { generateTriggerKey, refreshChain, signTrigger, type TriggerKey } from "@i3/hip";

import { readRingCredential } from "../src/io/ring-credential.js";
import { authorityOf } from "../src/ring/ring-files.js";
import { at, DaemonProcess, Folder, freePort, serverXml, UdpClient, until } from "./daemon-process.js";

const idOf = (key: TriggerKey): Uint8Array => Uint8Array.from([...key.prefix, ...new Uint8Array(16)]);

/** Finds the responsible server through `port` and inserts there; returns its port. */
async function insert(client: UdpClient, key: TriggerKey, port: number, counter: number): Promise<number> {
  const id = idOf(key);
  const { node } = await client.ask(port, { type: "LOCATE", ringKey: id.slice(0, 16) }, "LOCATED");
  const challenge = await client.ask(node.locator.port, { type: "CHALLENGE_REQUEST", ringKey: id.slice(0, 16), flags: 0 }, "CHALLENGE");
  expect(challenge.observed).toEqual(client.locator);
  const commitment = refreshChain(new Uint8Array(16)).at(-1) as Uint8Array;
  const unsigned = { action: TRIGGER_ACTION.insert, id, target: client.locator, flags: 0, counter, commitment, cookie: challenge.cookie } as const;
  const message: TriggerMessage = signTrigger({ kind: "private", key }, unsigned, challenge.nodeKey);
  await client.ask(node.locator.port, message, "TRIGGER_OK");
  return node.locator.port;
}

describe("three daemons", () => {
  const folder = new Folder();
  let ports: number[] = [];
  let daemons: DaemonProcess[] = [];
  let receiver: UdpClient;
  let sender: UdpClient;
  const start = (i: number): DaemonProcess => new DaemonProcess(["--config", join(folder.path, `s${i}.xml`)]);

  beforeAll(async () => {
    ports = [await freePort(), await freePort(), await freePort()];
    for (const [i, port] of ports.entries()) {
      folder.file(`s${i}.xml`, serverXml(join(folder.path, `s${i}.key`), port, { credentialFile: folder.credential(`s${i}.credential`), members: ports }, i === 2 ? "reference" : "auto"));
    }
    daemons = ports.map((_, i) => start(i));
    await Promise.all(daemons.map((daemon) => daemon.ready()));
    receiver = await UdpClient.open();
    sender = await UdpClient.open();
    await until(async () => {
      const key = generateTriggerKey();
      const found = await Promise.all(ports.map((port) => sender.ask(port, { type: "LOCATE", ringKey: idOf(key).slice(0, 16) }, "LOCATED", 5_000)));
      return daemons.every((daemon) => daemon.logged("responsibility").at(-1)?.["from"] !== undefined) && new Set(found.map(({ node }) => node.locator.port)).size === 1;
    }, 10_000);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
  }, 30_000);

  afterAll(async () => {
    receiver.close();
    sender.close();
    await Promise.all(daemons.map((daemon) => daemon.kill("SIGKILL")));
    folder.remove();
  });

  it("agree who is responsible, deliver what is sent through each of them, and tell the way", async () => {
    const key = generateTriggerKey();
    const home = await insert(receiver, key, ports[0] as number, 1);
    for (const port of ports) {
      const nonce = sender.nonce();
      const payload = `through ${port}, long enough that a CACHE message may answer it without being larger than it`;
      sender.sendData(port, idOf(key), payload, DATA_FLAG.cacheRequest, nonce);
      await until(() => receiver.payloads().includes(payload), 5_000, () => daemons.map((daemon) => daemon.stderr).join("\n"));
      await until(() => sender.answers(nonce).length > 0, 2_000);
      expect(sender.answers(nonce)[0]).toMatchObject({ type: "CACHE", node: { locator: at(home) } });
    }
  });

  it("tell a sender that nobody is there, also when another server forwarded the packet", async () => {
    const id = idOf(generateTriggerKey());
    // A server that has just joined does not say so yet: its successor may have the trigger (CLAIM_AFTER_JOIN_MS).
    await until(() => daemons.every((daemon) => daemon.logged("claims").length > 0), 12_000);
    for (const port of ports) {
      const nonce = sender.nonce();
      // As large as both answers together: of what a packet brought no more goes back.
      sender.sendData(port, id, "is anybody there? ".repeat(10), DATA_FLAG.cacheRequest, nonce);
      await until(() => sender.answers(nonce).some(({ type }) => type === "NOT_PRESENT"), 2_000);
    }
  });

  it("say which engine they run on", () => {
    const [first, , third] = daemons as [DaemonProcess, DaemonProcess, DaemonProcess];
    const offloads = OFFLOAD_NAMES.filter((name) => !name.startsWith("tun"));
    expect(first.stdout).toMatch(/^READY i3-server .* engine=native io=native$/m);
    expect(first.logged("engine")).toMatchObject([{ level: "info", engine: "native", io: "native", workers: 1, offloads: Object.fromEntries(offloads.map((name) => [name, expect.any(Boolean) as boolean])) }]);
    expect(Object.keys(first.logged("engine")[0]?.["offloads"] as object)).toEqual(offloads);
    expect(third.stdout).toMatch(/^READY i3-server .* engine=reference io=dgram$/m);
    expect(third.logged("engine")).toMatchObject([{ level: "info", engine: "reference", io: "dgram", workers: 0 }]);
    expect(daemons.flatMap((daemon) => daemon.logged("no-native-engine"))).toEqual([]);
  });

  it("log counters on SIGUSR1 without anything secret", async () => {
    const [daemon] = daemons as [DaemonProcess];
    daemon.child.kill("SIGUSR1");
    await until(() => daemon.logged("counters").length > 0, 3_000);
    const engine = { udpIn: expect.any(Number) as number, drops: {}, offloads: { udpSegment: expect.any(Boolean) as boolean }, packetsPerCall: { udpRead: expect.any(Number) as number } };
    expect(daemon.logged("counters")[0]).toMatchObject({ level: "info", engine, ring: { successors: expect.any(Array) as unknown[] } });
    expect(daemon.stderr).not.toContain("Debugger");
    for (const secret of [...readFileSync(join(folder.path, "s0.credential"), "utf8").matchAll(/[0-9a-f]{64}/g)]) expect(daemon.stderr).not.toContain(secret[0]);
  });

  it("go on without one that is killed, within 10 s, and take it back", async () => {
    const key = generateTriggerKey();
    const home = await insert(receiver, key, ports[0] as number, 1);
    const dead = ports.indexOf(home);
    await daemons[dead]?.kill("SIGKILL");
    const left = ports.filter((port) => port !== home);
    const fromMs = Date.now();
    const delivered = async (payload: string, counter: number): Promise<boolean> => {
      try {
        await insert(receiver, key, left[0] as number, counter);
      } catch {
        return false; // still on the dead server
      }
      for (const port of left) sender.sendData(port, idOf(key), `${payload} ${port}`);
      await new Promise((resolve) => setTimeout(resolve, 200));
      return left.every((port) => receiver.payloads().includes(`${payload} ${port}`));
    };
    let counter = 1;
    await until(() => delivered("after the crash", (counter += 1)), 20_000);
    expect(Date.now() - fromMs).toBeLessThan(10_000);
    daemons[dead] = start(dead);
    await daemons[dead]?.ready();
    await until(() => delivered("after the restart", (counter += 1)), 10_000);
  }, 60_000);

  it("one that gets SIGTERM leaves the ring, ends with status 0, and the others know at once", async () => {
    const [first] = daemons as [DaemonProcess];
    expect(await first.kill("SIGTERM")).toBe(0);
    await until(() => daemons.slice(1).some((daemon) => daemon.logged("node-left").length > 0), 1_000);
  });
});

describe("one daemon", () => {
  let folder: Folder;
  let running: DaemonProcess[] = [];
  beforeEach(() => {
    folder = new Folder();
  });
  afterEach(async () => {
    await Promise.all(running.map((daemon) => daemon.kill("SIGKILL")));
    running = [];
    folder.remove();
  });

  const run = (...args: readonly string[]): DaemonProcess => {
    const daemon = new DaemonProcess(args);
    running.push(daemon);
    return daemon;
  };
  const config = (xml: string): string => folder.file("server.xml", xml);
  const keyFile = (): string => join(folder.path, "server.key");

  /** Status and the one line that says why. */
  async function failure(...args: readonly string[]): Promise<{ readonly status: number | null; readonly line: string }> {
    const daemon = run(...args);
    const status = await daemon.exited;
    const lines = daemon.stderr.split("\n").filter((line) => line !== "" && !line.startsWith("{"));
    expect(lines, daemon.stderr).toHaveLength(1);
    return { status, line: lines[0] ?? "" };
  }

  it("makes its key with mode 0600 at the first start and has the same node key at the next, on the port that READY names", async () => {
    const file = config(serverXml(keyFile(), 1));
    const nodes: (string | undefined)[] = [];
    for (let i = 0; i < 2; i += 1) {
      const daemon = run("--config", file, "--port", "0");
      const port = await daemon.ready();
      const client = await UdpClient.open();
      await client.ask(port, { type: "PING" }, "PONG");
      client.close();
      nodes.push(/node=([0-9a-f]{32})/.exec(daemon.stdout)?.[1]);
      expect(daemon.logged("key-created")).toHaveLength(i === 0 ? 1 : 0);
      expect(await daemon.kill("SIGTERM")).toBe(0);
    }
    expect(statSync(keyFile()).mode & 0o777).toBe(0o600);
    expect(nodes[0]).toMatch(/^[0-9a-f]{32}$/);
    expect(nodes[1]).toBe(nodes[0]);
  });

  it("says that a damaged key is damaged, and leaves it as it is", async () => {
    folder.file("server.key", "-----BEGIN PRIVATE KEY-----\nnonsense\n");
    const { status, line } = await failure("--config", config(serverXml(keyFile(), 1)), "--port", "0");
    expect(status).toBe(1);
    expect(line).toMatch(/^i3-server: .*server\.key is damaged.*backup/);
    expect(readFileSync(keyFile(), "utf8")).toContain("nonsense");
  });

  it("says that a key is lost, and makes no other", async () => {
    const file = config(serverXml(keyFile(), 1));
    const first = run("--config", file, "--port", "0");
    await first.ready();
    await first.kill("SIGTERM");
    rmSync(keyFile());
    for (const more of [[], ["--check"]]) {
      const { status, line } = await failure("--config", file, "--port", "0", ...more);
      expect(status).toBe(1);
      expect(line).toMatch(/^i3-server: the key file .*server\.key does not exist, and this machine was 2001:22:\S+\. Restore it from a backup\..* remove \S+server\.key\.hit\.$/);
    }
    expect(existsSync(keyFile())).toBe(false);
  });

  it.each<[string, (credentialFile: string) => void, RegExp]>([
    ["missing", (file) => rmSync(file), /cannot read the ring credential.*i3-server ring admit/],
    ["readable by others", (file) => chmodSync(file, 0o644), /mode 644.*chmod 600/],
    ["damaged", (file) => appendFileSync(file, "credential 00\n"), /is damaged.*i3-server ring admit/],
    ["past its end", (file) => (rmSync(file), folder.credential("server.credential", undefined, -1)), /has ended on .*i3-server ring admit/],
  ])("refuses a ring credential that is %s", async (_name, prepare, expected) => {
    const credentialFile = folder.credential("server.credential");
    prepare(credentialFile);
    const file = config(serverXml(keyFile(), 1, { credentialFile, members: [] }));
    for (const more of [[], ["--check"]]) {
      const { status, line } = await failure("--config", file, ...more);
      expect(status).toBe(1);
      expect(line).toMatch(expected);
    }
    expect(existsSync(keyFile())).toBe(false);
  });

  it("makes rings and admits servers, and has the place that the credential says", async () => {
    const [authority, credentialFile] = [join(folder.path, "authority"), join(folder.path, "credential")];
    for (const args of [["make", authority], ["admit", authority, credentialFile, "--days", "3"]]) expect(await run("ring", ...args).exited).toBe(0);
    expect(await failure("ring", "make", authority)).toMatchObject({ status: 1, line: expect.stringMatching(/^i3-server: .*there already/) as string });
    expect(await run("ring", "--help").exited).toBe(0);
    expect(await failure("ring", "admit", authority)).toMatchObject({ status: 2, line: expect.stringMatching(/--help/) as string });
    const file = config(serverXml(keyFile(), 1, { credentialFile, members: [] }));
    const check = run("--config", file, "--check");
    expect(await check.exited).toBe(0);
    expect(check.stderr).toMatch(/warning: the ring credential ends on/);
    const daemon = run("--config", file, "--port", "0");
    await daemon.ready();
    const { nodeKey } = readRingCredential(credentialFile, Date.now()).credential;
    expect(daemon.stdout).toContain(` node=${Buffer.from(nodeKey).toString("hex")} `);
    expect(daemon.logged("credential-ends")).toHaveLength(1);
  });

  it("says who could have the port", async () => {
    const port = await freePort();
    const file = config(serverXml(keyFile(), port));
    await run("--config", file).ready();
    const { status, line } = await failure("--config", file);
    expect(status).toBe(1);
    expect(line).toMatch(/^i3-server: UDP port \d+ is in use.*choose another port.*stopped.* for up to 4 s\.$/);
  });

  it("names file and line of a bad configuration, and refuses wrong arguments", async () => {
    const bad = await failure("--config", config(serverXml(keyFile(), 1).replace("<listen", "<lissten")));
    expect(bad.status).toBe(2);
    expect(bad.line).toMatch(/^i3-server: .*server\.xml:1/);
    expect(await failure("--confg", "x")).toMatchObject({ status: 2, line: expect.stringMatching(/--help/) as string });
    expect(await failure()).toMatchObject({ status: 2, line: expect.stringMatching(/--config/) as string });
    expect(await failure("--config", join(folder.path, "nothing.xml"))).toMatchObject({ status: 2, line: expect.stringMatching(/^i3-server: \S+\/nothing\.xml: cannot be read; .*\(ENOENT.*\)\. Write it after deploy\/examples\/i3-server\.xml/) as string });
  });

  it("checks without changing anything", async () => {
    const daemon = run("--config", config(serverXml(keyFile(), 1)), "--check");
    expect(await daemon.exited).toBe(0);
    expect(daemon.stdout).toMatch(/server\.xml: ok\n$/);
    expect(daemon.stderr).toMatch(/^i3-server: note: there is no key file \S+server\.key yet; the first start makes it\n$/);
    expect(existsSync(keyFile())).toBe(false);
    folder.file("server.key", "nonsense");
    expect((await failure("--config", config(serverXml(keyFile(), 1)), "--check")).status).toBe(1);
  });

  it("says that it makes the folder of its key, and that members elsewhere cannot reach loopback", async () => {
    const nested = join(folder.path, "new", "server.key");
    const xml = serverXml(nested, 1, { credentialFile: folder.credential("a"), members: [] }).replace("</ring>", '<member address="192.0.2.7"/></ring>');
    const check = run("--config", config(xml), "--check");
    expect(await check.exited).toBe(0);
    expect(check.stderr).toMatch(/warning: <listen address="127\.0\.0\.1"> is for this machine alone, and the member 192\.0\.2\.7 is elsewhere\. Listen at/);
    expect(check.stderr).toMatch(/note: .*the first start makes it, and its folder \S+new\n/);
    const daemon = run("--config", config(xml), "--port", "0");
    await daemon.ready();
    expect(daemon.logged("loopback-only")).toMatchObject([{ level: "warn", remedy: expect.stringMatching(/Listen at/) as string }]);
    expect(daemon.logged("key-created")).toMatchObject([{ file: nested, folder: join(folder.path, "new") }]);
  });

  it("tells help and version", async () => {
    const help = run("--help");
    expect(await help.exited).toBe(0);
    expect(help.stdout).toMatch(/^Usage: i3-server/);
    const version = run("--version");
    expect(await version.exited).toBe(0);
    expect(version.stdout).toMatch(/^i3-server \d+\.\d+\.\d+\n$/);
  });

  it("serves alone when no member answers, warning once, and joins when one comes", async () => {
    const [port, later] = [await freePort(), await freePort()];
    const daemon = run("--config", config(serverXml(keyFile(), port, { credentialFile: folder.credential("a"), members: [later] })));
    await daemon.ready();
    await until(() => daemon.logged("alone").length > 0, 5_000);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(daemon.logged("alone")).toHaveLength(1);
    expect(daemon.logged("alone")[0]).toMatchObject({ level: "warn", remedy: expect.any(String) as string });
    const client = await UdpClient.open();
    await client.ask(port, { type: "LOCATE", ringKey: new Uint8Array(16) }, "LOCATED");
    client.close();
    await run("--config", folder.file("other.xml", serverXml(join(folder.path, "other.key"), later, { credentialFile: folder.credential("b"), members: [] }))).ready();
    await until(() => daemon.logged("joined").length > 0, 5_000);
  });

  it("starts although a member's name means nothing, and says so", async () => {
    const xml = serverXml(keyFile(), 1, { credentialFile: folder.credential("a"), members: [] }).replace("</ring>", '<member address="nobody.invalid"/></ring>');
    const daemon = run("--config", config(xml), "--port", "0");
    await daemon.ready();
    await until(() => daemon.logged("member-unknown").length > 0, 15_000);
    expect(daemon.logged("member-unknown")[0]).toMatchObject({ level: "warn", names: ["nobody.invalid"] });
  }, 30_000);

  it("claims nothing before its members had their time though their names mean nothing yet, and joins when they do", async () => {
    const [port, later] = [await freePort(), await freePort()];
    const names = join(folder.path, "names");
    const xml = serverXml(keyFile(), port, { credentialFile: folder.credential("a"), members: [] }).replace("</ring>", `<member address="later.example" port="${later}"/></ring>`);
    const daemon = new DaemonProcess(["--config", config(xml)], { NODE_OPTIONS: `--import=${new URL("late-resolver.mjs", import.meta.url).href}`, I3_TEST_NAMES: names });
    running.push(daemon);
    await daemon.ready();
    await until(() => daemon.logged("claims").length > 0, 10_000);
    const timesMs = ["started", "alone", "claims"].map((event) => Date.parse(String(daemon.logged(event)[0]?.["time"])));
    const [startedMs = NaN, aloneMs = NaN, claimsMs = NaN] = timesMs;
    expect(aloneMs - startedMs).toBeGreaterThan(1_500);
    expect(claimsMs).toBeGreaterThanOrEqual(aloneMs);
    expect(daemon.logged("member-unknown")).toMatchObject([{ level: "warn", names: ["later.example"] }]);
    await run("--config", folder.file("other.xml", serverXml(join(folder.path, "other.key"), later, { credentialFile: folder.credential("b"), members: [] }))).ready();
    writeFileSync(names, "later.example 127.0.0.1\n");
    await until(() => daemon.logged("joined").length > 0, 10_000);
  }, 30_000);

  it("keeps out a server of another ring, and says who it is", async () => {
    const [port, other] = [await freePort(), await freePort()];
    const foreign = folder.credential("foreign", authorityOf(new Uint8Array(32).fill(0x77)));
    const daemon = run("--config", config(serverXml(keyFile(), port, { credentialFile: folder.credential("a"), members: [other] })));
    await daemon.ready();
    await run("--config", folder.file("other.xml", serverXml(join(folder.path, "other.key"), other, { credentialFile: foreign, members: [port] }))).ready();
    await until(() => daemon.logged("foreign-ring").length > 0 && daemon.logged("alone").length > 0, 10_000);
    expect(daemon.logged("foreign-ring")[0]).toMatchObject({ level: "warn", from: `127.0.0.1:${other}`, remedy: expect.stringMatching(/ring admit/) as string });
    expect(daemon.logged("joined")).toHaveLength(0);
    expect(daemon.logged("alone")[0]).toMatchObject({ remedy: expect.stringMatching(/foreign-ring/) as string });
  });
});
