/**
 * ip-to-i3 with real programs: a neighbour on the laptop's LAN that runs nothing reaches the home machine, behind its own NAT, by way of the laptop.
 *
 *     neighbour ──LAN── laptop (ip-to-i3) ──NAT── i3 ──NAT── home (i3-proxy): web server, TLS, sshd
 */
import { repositoryPath } from "@i3/demo";
import type { Child, RunResult } from "@i3/netns";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { succeed } from "../demo/src/checks.js";
import { startSshd } from "../demo/src/sshd.js";
import { eventually, pairBed, type PairBed } from "./pair-bed.js";

const GATEWAY = "192.168.1.10";
const NEIGHBOUR = "192.168.1.11";
const PUBLISH = (more = ""): string => `<publish listen="${GATEWAY}">
  <shared port="443" by="sni"/><shared port="80" by="host"/>
  <port listen="2222" to="home.i3" port="22"/><port listen="2525" to="home.i3" port="25" proxy-protocol="v2"/>
  <name name="home.example.org" to="home.i3" http="8080"/><name name="*.shop.example.org" to="home.i3" http="8081"/>
  <name name="self.example.org" to="laptop.i3"/><name name="nobody.example.org" to="nobody.i3"/>${more}
</publish>`;

/** TLS on 443; on 8080 what it got as JSON, or a slow page; on 8081 another site; on 25 the first 33 bytes in hexadecimal. */
const SERVE = `
  const fs = require("node:fs"), dir = process.argv[1];
  require("node:https").createServer({ key: fs.readFileSync(dir + "/tls.key"), cert: fs.readFileSync(dir + "/tls.crt") }, (q, s) => s.end("tls for " + q.headers.host)).listen(443, "::");
  const page = (q, s) => {
    if (q.url !== "/slow") return s.end(JSON.stringify({ url: q.url, from: q.socket.remoteAddress, headers: q.headers }));
    s.write("begun ");
    setTimeout(() => s.end("ended"), 3000);
  };
  require("node:http").createServer(page).listen(8080, "0.0.0.0");
  require("node:http").createServer((q, s) => s.end("the shop")).listen(8081, "::", () => console.log("serving"));
  require("node:net").createServer((c) => {
    let hex = "";
    c.on("error", () => undefined).on("data", (d) => (hex += d.toString("hex")).length === 2 * 33 && c.end(hex));
  }).listen(25, "::");
`;
const SEND = 'let t = ""; const c = require("node:net").connect({ host: process.argv[1], port: Number(process.argv[2]) }, () => c.write("hello")); c.on("data", (d) => (t += d)).on("end", () => console.log(c.localPort, t))';

let bed: PairBed;
let gateway: Child;

beforeAll(async () => {
  bed = await pairBed({ start: false });
  const { laptop, home, laptopProxy, homeProxy } = bed;
  await laptopProxy.writeConfig({ access: PUBLISH() });
  gateway = laptop.spawn(process.execPath, [repositoryPath("packages/ip-to-i3/dist/main.js"), "--config", laptopProxy.configFile]);
  await succeed(home, "openssl", [
    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=home.example.org", "-addext", "subjectAltName=DNS:home.example.org,DNS:www.shop.example.org",
    "-keyout", `${home.directory}/tls.key`, "-out", `${home.directory}/tls.crt`,
  ]);
  const serving = home.spawn(process.execPath, ["-e", SERVE, home.directory]);
  await Promise.all([homeProxy.start(), serving.waitForLine(/serving/), gateway.waitForLine(/READY ip-to-i3 .* published=6$/, 20_000)]);
}, 120_000);
afterAll(() => bed?.close());

/** curl on the neighbour, to whom DNS would say that all these names are the gateway. */
const curl = async (...args: readonly string[]): Promise<RunResult> => {
  const names = ["home", "www.shop", "self", "nobody", "other", "new"].flatMap((name) => [80, 443].flatMap((port) => ["--resolve", `${name}.example.org:${port}:${GATEWAY}`]));
  return await bed.neighbour.exec("curl", ["-sS", "--max-time", "20", "--cacert", `${bed.home.directory}/tls.crt`, ...names, ...args]);
};
const status = async (url: string): Promise<string> => (await curl("-o", "/dev/null", "-w", "%{http_code}", url)).stdout;

interface Page {
  readonly url: string;
  readonly from: string;
  readonly headers: Readonly<Record<string, string>>;
}

describe("a host that runs nothing reaches the home machine", () => {
  it("by https, whose certificate is home's own", async () => {
    expect(await curl("https://home.example.org/")).toMatchObject({ status: 0, stdout: "tls for home.example.org" });
    expect(await curl("--tls-max", "1.2", "https://www.shop.example.org/")).toMatchObject({ status: 0, stdout: "tls for www.shop.example.org" });
  });

  it("by http, where every request of a connection says who asks", async () => {
    const { stdout } = await curl("-H", "X-Forwarded-For: 6.6.6.6", "-d", "a body", "http://home.example.org/one", "http://home.example.org/two");
    const pages = stdout.replace("}{", "}\n{").split("\n").map((line) => JSON.parse(line) as Page);
    for (const [i, { url, from, headers }] of pages.entries()) {
      expect([url, from]).toEqual([["/one", "/two"][i], bed.laptopProxy.address4]);
      expect(headers).toMatchObject({ host: "home.example.org", "x-forwarded-for": NEIGHBOUR, "x-forwarded-proto": "http", "x-forwarded-host": "home.example.org" });
    }
    expect(pages).toHaveLength(2);
    expect((await curl("http://www.shop.example.org/")).stdout).toBe("the shop");
  });

  it("by ssh, through a port of its own", async () => {
    const { options } = await startSshd(bed.home, bed.neighbour);
    const { stdout } = await bed.neighbour.exec("ssh", [...options, "-p", "2222", GATEWAY, "echo $SSH_CONNECTION"]);
    expect(stdout.trim().split(" ").filter((_, i) => i !== 1)).toEqual([bed.laptopProxy.address4, bed.homeProxy.address4, "22"]);
  });

  it("and home hears by the PROXY protocol who it is", async () => {
    const { stdout } = await bed.neighbour.exec(process.execPath, ["-e", SEND, GATEWAY, "2525"]);
    const [port = "", hex = ""] = stdout.trim().split(" ");
    const bytes = Buffer.from(hex, "hex");
    expect(bytes.subarray(0, 16).toString("hex")).toBe("0d0a0d0a000d0a515549540a2111000c");
    expect([bytes.subarray(16, 20).join("."), bytes.subarray(20, 24).join("."), bytes.readUInt16BE(24), bytes.readUInt16BE(26)]).toEqual([NEIGHBOUR, GATEWAY, Number(port), 2525]);
    expect(bytes.subarray(28).toString()).toBe("hello");
  });
});

describe("nobody reaches", () => {
  it("what is not published", async () => {
    const { status: code, stderr } = await curl("https://other.example.org/");
    expect([code, stderr]).toEqual([35, expect.stringMatching(/unrecognized name/)]);
    expect(await curl("http://other.example.org/")).toMatchObject({ stdout: "Nothing is published under this name.\n" });
    expect(await status(`http://${GATEWAY}/`)).toBe("404");
    expect(await gateway.waitForLine(/"publish-refused".*"not-published"/)).not.toBeNull();
  });

  it("the gateway itself, though a rule names it, nor a host that is in no address book", async () => {
    expect(await status("http://self.example.org/")).toBe("502");
    await gateway.waitForLine(/"publish-unreachable".*"laptop\.i3".*"why":"refused"/);
    expect(await status("http://nobody.example.org/")).toBe("502");
    await gateway.waitForLine(/"publish-unreachable".*"nobody\.i3".*"why":"unknown"/);
    expect((await curl("https://self.example.org/")).status).toBe(35);
  });
});

it("names of a changed configuration are published at once, beside a change that needs a restart", async () => {
  expect(await status("http://new.example.org/")).toBe("404");
  await bed.laptopProxy.writeConfig({ access: PUBLISH('<name name="new.example.org" to="home.i3" http="8081"/>'), logLevel: "info" });
  await eventually("the name", 10_000, async () => ((await curl("http://new.example.org/")).stdout === "the shop" ? true : undefined));
});

it("counters say what was passed and what not", async () => {
  gateway.kill("SIGUSR1");
  const [line] = await gateway.waitForLine(/"event":"counters".*/);
  expect(JSON.parse(`{${line}`)).toMatchObject({ publish: { waiting: 0, passed: expect.any(Number) as unknown, "not-published": expect.any(Number) as unknown } });
});

it("a stop waits for an answer that is under way, and then ends", async () => {
  const slow = bed.neighbour.spawn("curl", ["-sSN", "--resolve", `home.example.org:80:${GATEWAY}`, "http://home.example.org/slow"]);
  const read: string[] = [];
  slow.on("line", ({ text }) => read.push(text));
  await eventually("the request", 10_000, async () => ((await bed.laptop.exec("ss", ["-Htn", "state", "established", `sport = :80`])).stdout.includes(NEIGHBOUR) ? true : undefined));
  gateway.kill("SIGTERM");
  expect((await slow.ended).status).toBe(0);
  expect(read).toEqual(["begun ended"]);
  expect((await gateway.ended).status).toBe(0);
}, 60_000);
