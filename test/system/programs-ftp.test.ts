/**
 * FTP in active mode, in which the server connects back to the address that the client names inside the connection: it works
 * only because headers are preserved end to end. Then the same after a forced collision of virtual addresses, on each of the three
 * sides where one can happen. docs/collisions.md says what these tests show.
 */
import { rm } from "node:fs/promises";

import type { Host } from "@i3/netns";
import { beforeAll, describe, expect, test } from "vitest";

import { succeed } from "../demo/src/checks.js";
import type { Laptop } from "../demo/src/overlay.js";
import { startSshd, type Ssh } from "../demo/src/sshd.js";
import { dig, NAMES, output, programsBed, randomFile, sha256OfFile, startFtpServer, startWebServer } from "./programs-bed.js";

let ftpRoot = "";
let ssh: Ssh;
const bedOf = programsBed({
  prepare: async ({ laptop, home }) => {
    ftpRoot = await startFtpServer(home.host);
    await startWebServer(home.host);
    ssh = await startSshd(home.host, laptop.host);
  },
});

/** The client names its address and port to the server: EPRT (RFC 2428), or the older PORT. */
const ACTIVE = { EPRT: ["--ftp-port", "-"], PORT: ["--ftp-port", "-", "--disable-eprt"] } as const;
/** The server names a port (EPSV), or address and port (PASV); curl uses the address only when told to. */
const PASSIVE = { EPSV: [], "PASV, its address ignored": ["--disable-epsv"] } as const;
const PASV_LITERALLY = ["--disable-epsv", "--no-ftp-skip-pasv-ip"] as const;

const ftp = (host: Host, ...args: readonly string[]): ReturnType<Host["exec"]> => host.exec("curl", ["-sSv", "--max-time", "15", ...args]);
const list = async (host: Host, ...args: readonly string[]): Promise<string> => (await ftp(host, "--list-only", ...args, `ftp://${NAMES.home}/`)).stdout;

/** Puts a file and gets it back, both with checksums. */
async function roundTrip(host: Host, ...args: readonly string[]): Promise<void> {
  const { path, sha256 } = await randomFile(host, "out.bin", 2);
  const back = `${host.directory}/back.bin`;
  await succeed(host, "curl", ["-sS", "--max-time", "30", ...args, "-T", path, `ftp://${NAMES.home}/in.bin`]);
  expect(await sha256OfFile(`${ftpRoot}/in.bin`)).toBe(sha256);
  await succeed(host, "curl", ["-sS", "--max-time", "30", ...args, "-o", back, `ftp://${NAMES.home}/in.bin`]);
  expect(await sha256OfFile(back)).toBe(sha256);
  expect(await list(host, ...args)).toContain("in.bin");
  await Promise.all([path, back, `${ftpRoot}/in.bin`].map((file) => rm(file)));
}

describe("both ends use the same virtual addresses", () => {
  test.each(Object.entries(ACTIVE))("active mode by %s: list, put and get", async (command, args) => {
    const { laptop, home } = bedOf();
    await roundTrip(laptop.host, "-4", ...args);
    const { stderr } = await ftp(laptop.host, "-4", ...args, "--list-only", `ftp://${NAMES.home}/`);
    // Else this would show nothing: the client did say its virtual address, and the server came back to it.
    const said = command === "EPRT" ? `> EPRT |1|${laptop.address4}|` : `> PORT ${laptop.address4.replaceAll(".", ",")},`;
    expect(stderr).toContain(said);
    expect(stderr).not.toMatch(/> (PASV|EPSV)/);
    expect(stderr).toContain(`Connected to ${NAMES.home} (${home.address4}) port 21`);
  });

  test("active mode over IPv6, by HIT", async () => {
    const { laptop } = bedOf();
    await roundTrip(laptop.host, "-6", ...ACTIVE.EPRT);
    expect((await ftp(laptop.host, "-6", ...ACTIVE.EPRT, "--list-only", `ftp://${NAMES.home}/`)).stderr).toContain(`> EPRT |2|${laptop.hit}|`);
  });

  test.each(Object.entries({ ...PASSIVE, "PASV, taken literally": PASV_LITERALLY }))("passive mode by %s", async (_, args) => {
    await roundTrip(bedOf().laptop.host, "-4", ...args);
  });
});

/** The address in use, as the proxy said it. */
const ownAddress = (laptop: Laptop): string => /address=(\S+)/.exec(laptop.child?.lines.find(({ text }) => text.startsWith("READY"))?.text ?? "")?.[1] ?? "";

/** Both proxies forget what they know; `taken` is a real route of `where` when they start again. */
async function startWithCollision(where: Laptop, taken: string): Promise<void> {
  const { laptop, home } = bedOf();
  const gateway = where === home ? "192.168.2.1" : "192.168.1.1";
  await Promise.all([laptop, home].map((machine) => machine.stop()));
  await Promise.all([laptop, home].map(({ host }) => host.exec("ip", ["-4", "route", "flush", "proto", "static"])));
  await succeed(where.host, "ip", ["route", "add", `${taken}/32`, "via", gateway, "proto", "static"]);
  await Promise.all([laptop, home].map((machine) => machine.forget()));
  await Promise.all([laptop, home].map((machine) => machine.start()));
}

/** What does not carry addresses inside works, whatever the addresses are. */
async function expectOrdinaryPrograms(seenAtHome: string): Promise<void> {
  const { laptop, home } = bedOf();
  expect(await output(laptop.host, "curl", ["-sS", "-4", "-m", "10", `http://${NAMES.home}/`])).toBe(seenAtHome);
  expect(await output(laptop.host, "curl", ["-sS", "-6", "-m", "10", `http://${NAMES.home}/`])).toBe(laptop.hit);
  expect((await output(laptop.host, "ssh", [...ssh.options, "-4", NAMES.home, "echo $SSH_CONNECTION"])).split(" ")[0]).toBe(seenAtHome);
  await succeed(laptop.host, "ping", ["-4", "-c1", "-W3", "-s", "1200", NAMES.home]);
  await succeed(home.host, "ping", ["-4", "-c1", "-W3", NAMES.laptop]);
  await roundTrip(laptop.host, "-6", ...ACTIVE.EPRT);
  for (const args of Object.values(PASSIVE)) await roundTrip(laptop.host, "-4", ...args);
}

/** The server does not connect to an address that is not the client's (a bounce attack, RFC 2577 §3). */
async function expectActiveRefused(): Promise<void> {
  const { laptop } = bedOf();
  for (const [command, args] of Object.entries(ACTIVE)) {
    const { status, stderr } = await ftp(laptop.host, "-4", ...args, "--list-only", `ftp://${NAMES.home}/`);
    expect(status, command).toBe(30); // CURLE_FTP_PORT_FAILED
    expect(stderr).toContain(`500 Illegal ${command} command`);
  }
}

describe("home's address is taken on the laptop", () => {
  beforeAll(async () => {
    const { laptop, home } = bedOf();
    await startWithCollision(laptop, home.address4);
  });

  test("the laptop knows home by another address; the proxy says what is taken", async () => {
    const { laptop, home } = bedOf();
    const address = await dig(laptop.host, NAMES.home, "A");
    expect(address).toMatch(/^10\./);
    expect(address).not.toBe(home.address4);
    expect(await dig(laptop.host, "-x", address)).toBe(`${NAMES.home}.`);
    await laptop.child?.waitForLine(new RegExp(`"overlap".*${home.address4}/32`));
  });

  test("curl, ssh, ping, passive FTP and FTP by HIT work", async () => {
    await expectOrdinaryPrograms(bedOf().laptop.address4);
  });

  test("active FTP works: the address that the client names is right at home", async () => {
    for (const args of Object.values(ACTIVE)) await roundTrip(bedOf().laptop.host, "-4", ...args);
  });

  test("passive FTP fails in a client that takes the server's own address literally: it means something else here", async () => {
    const { laptop, home } = bedOf();
    const { status, stderr } = await ftp(laptop.host, "-4", ...PASV_LITERALLY, "--list-only", `ftp://${NAMES.home}/`);
    expect(stderr).toContain(`227 Entering Passive Mode (${home.address4.replaceAll(".", ",")},`);
    expect(status).not.toBe(0);
  });
});

describe("the laptop's address is taken at home", () => {
  beforeAll(async () => {
    const { laptop, home } = bedOf();
    await startWithCollision(home, laptop.address4);
  });

  test("curl, ssh, ping, passive FTP and FTP by HIT work; home sees the laptop by another address", async () => {
    const { laptop, home } = bedOf();
    const seen = await output(laptop.host, "curl", ["-sS", "-4", "-m", "10", `http://${NAMES.home}/`]);
    expect(seen).toMatch(/^10\./);
    expect(seen).not.toBe(laptop.address4);
    expect(await dig(home.host, NAMES.laptop, "A")).toBe(seen);
    await expectOrdinaryPrograms(seen);
  });

  test("active FTP fails: the server is told an address that is not the client's there", expectActiveRefused);

  test("passive FTP works in a client that takes the server's address literally", async () => {
    await roundTrip(bedOf().laptop.host, "-4", ...PASV_LITERALLY);
  });
});

describe("the laptop's own address is taken on the laptop", () => {
  beforeAll(async () => {
    const { laptop } = bedOf();
    await startWithCollision(laptop, laptop.address4);
  });

  test("it calls itself otherwise; home knows it by the address of its id all the same", async () => {
    const { laptop } = bedOf();
    expect(ownAddress(laptop)).toMatch(/^10\./);
    expect(ownAddress(laptop)).not.toBe(laptop.address4);
    await expectOrdinaryPrograms(laptop.address4);
  });

  test("active FTP fails", expectActiveRefused);
});
