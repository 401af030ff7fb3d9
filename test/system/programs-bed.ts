/**
 * What the tests with real programs share: a ring of three servers, proxies on `laptop` (behind a port-restricted NAT), on `home`
 * (behind a symmetric one) and, when asked for, on the laptop's `neighbour`; and ordinary servers on `home`.
 *
 *     laptop, neighbour ── nat1 ── core ── nat2 ── home
 *                                 / | \
 *                               s1  s2  s3
 */
import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { pipeline } from "node:stream/promises";

import { standardTopology, type Child, type Host, type StandardTopology } from "@i3/netns";
import { afterAll, afterEach, beforeAll } from "vitest";

import { succeed } from "../demo/src/checks.js";
import { Laptop, startRing } from "../demo/src/overlay.js";

export interface ProgramsBed {
  readonly net: StandardTopology;
  readonly laptop: Laptop;
  readonly home: Laptop;
  /** Runs a proxy only when the bed was asked for it. */
  readonly neighbour: Laptop;
}

/** Names in every address book. */
export const NAMES = { laptop: "laptop.i3", neighbour: "neighbour.i3", home: "home.i3" } as const;

/** Starts the bed once for a test file; a failed test is followed by what the proxies said last. */
export function programsBed(options: { readonly neighbour?: boolean; readonly prepare?: (bed: ProgramsBed) => Promise<void> } = {}): () => ProgramsBed {
  let net: StandardTopology | undefined;
  let bed: ProgramsBed | undefined;
  const isRunning = (): readonly Laptop[] => (bed === undefined ? [] : [bed.laptop, bed.home, bed.neighbour].filter(({ child }) => child !== null));
  beforeAll(async () => {
    net = await standardTopology({ seed: 1 });
    await startRing(net.servers);
    const serverAddresses = net.servers.map(({ address4 }) => address4);
    const [laptop, home, neighbour] = await Promise.all([
      Laptop.make(net.laptop, { serverAddresses }), Laptop.make(net.home, { serverAddresses }), Laptop.make(net.neighbour, { serverAddresses }),
    ]);
    const book = { [NAMES.laptop]: laptop, [NAMES.home]: home, [NAMES.neighbour]: neighbour };
    await Promise.all([laptop, home, neighbour].map((machine) => machine.writeBook(book)));
    bed = { net, laptop, home, neighbour };
    await Promise.all([laptop, home, ...(options.neighbour === true ? [neighbour] : [])].map((machine) => machine.start()));
    await options.prepare?.(bed);
  });
  afterEach(async ({ task }) => {
    if (task.result?.state !== "fail" || net === undefined) return;
    const tails = isRunning().map(({ host, child }) => `--- proxy of ${host.name}\n${child?.tail(25) ?? ""}`);
    process.stderr.write(`${tails.join("\n")}\n${await net.topology.diagnose()}\n`);
  });
  afterAll(() => net?.topology.close());
  return () => {
    if (bed === undefined) throw new Error("the bed is there only while tests run");
    return bed;
  };
}

/** Standard output, trimmed, of a program that must end with status 0. */
export async function output(host: Host, program: string, args: readonly string[], timeoutMs?: number): Promise<string> {
  return (await succeed(host, program, args, timeoutMs)).stdout.trim();
}

/** Answers of the machine's own resolver. */
export async function dig(host: Host, ...args: readonly string[]): Promise<string> {
  return output(host, "dig", ["+short", "+time=3", ...args]);
}

/** A file of random bytes in the host's directory, and its SHA-256. */
export async function randomFile(host: Host, name: string, megabytes: number): Promise<{ readonly path: string; readonly sha256: string }> {
  const bytes = randomBytes(megabytes * 1_000_000);
  return { path: await host.writeFile(name, bytes), sha256: createHash("sha256").update(bytes).digest("hex") };
}

export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}

/** GET /NAME: the file; GET / : who is asking; PUT: the SHA-256 of what came. */
const WEB_SERVER = `
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { createServer } from "node:http";
import { pipeline } from "node:stream/promises";
const [, , directory, port] = process.argv;
createServer(async (request, response) => {
  if (request.method === "PUT") {
    const hash = createHash("sha256");
    await pipeline(request, hash);
    response.end(hash.digest("hex"));
  } else if (request.url === "/") response.end(request.socket.remoteAddress.replace("::ffff:", ""));
  else await pipeline(createReadStream(directory + request.url), response).catch(() => response.destroy());
}).listen(Number(port), "::", () => console.log("serving"));
`;

/** A web server on every address of `host`, for the files in its directory. */
export async function startWebServer(host: Host, port = 80): Promise<Child> {
  const child = host.spawn(process.execPath, [await host.writeFile("web-server.mjs", WEB_SERVER), host.directory, String(port)]);
  await child.waitForLine(/serving/);
  return child;
}

/** Waits until `server`, which prints nothing when it is ready, listens on a TCP port. Rejects when it ends instead. */
export async function waitForPort(host: Host, port: number, server: Child): Promise<void> {
  const ended = server.ended.then(({ status }) => {
    throw new Error(`${server.title} ended with status ${status}\n${server.tail()}`);
  });
  await Promise.race([ended, succeed(host, "sh", ["-c", `until ss -Hltn "sport = :${port}" | grep -q .; do sleep 0.05; done`], 15_000)]);
}

/** vsftpd for anonymous users, with leave to write, on port 21. Resolves with the directory it serves. */
export async function startFtpServer(host: Host): Promise<string> {
  const root = `${host.directory}/ftp`;
  await mkdir(root, { recursive: true });
  // As an ordinary user's namespace has one user only, it never changes users.
  const config = await host.writeFile("vsftpd.conf", [
    "listen=NO", "listen_ipv6=YES", "background=NO", "anonymous_enable=YES", "local_enable=NO", "write_enable=YES", "anon_upload_enable=YES", "anon_world_readable_only=NO",
    `anon_root=${root}`, "no_anon_password=YES", "port_enable=YES", "pasv_enable=YES", "connect_from_port_20=YES", "secure_chroot_dir=/run", "run_as_launching_user=YES", "one_process_model=YES",
    "isolate=NO", "isolate_network=NO", "seccomp_sandbox=NO", "xferlog_enable=NO", "",
  ].join("\n"));
  await waitForPort(host, 21, host.spawn("/usr/sbin/vsftpd", [config]));
  return root;
}
