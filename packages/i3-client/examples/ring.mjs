// @ts-check
/**
 * The ring that an example runs on: a given one (--servers), or three servers on this machine that end with the example.
 * Run by itself it starts such a ring, prints its servers, and stays until Ctrl-C:
 *
 *     node packages/i3-client/examples/ring.mjs
 */
import { execFile, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";

import { I3Error } from "@i3/i3-client";

import { readArguments } from "./arguments.mjs";
import "./ending.mjs";

const SERVER = fileURLToPath(new URL("../../i3-server/dist/main.js", import.meta.url));
const SIZE = 3;
const run = promisify(execFile);

/**
 * @typedef {object} Ring
 * @property {string[]} servers for connect()
 * @property {() => void} close
 */

/** `given`: what --servers says, with commas between. @param {string | undefined} given @returns {Promise<Ring>} */
export async function openRing(given) {
  if (given !== undefined) return { servers: given.split(","), close: () => undefined };
  if (!existsSync(SERVER)) throw new I3Error("ERR_I3_USAGE", "there is no built i3-server beside this package", { remedy: "Name servers of a ring, --servers ADDRESS[,ADDRESS]; or build the repository: npm run build." });
  const folder = mkdtempSync(join(tmpdir(), "i3-ring-"));
  /** @type {import("node:child_process").ChildProcess[]} */
  const children = [];
  const close = () => {
    for (const child of children) child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  };
  process.once("exit", close); // signals: ending.mjs
  console.log("starting a ring of three on this machine, which takes some eight seconds …");
  const ports = await freePorts(SIZE);
  const authority = join(folder, "authority");
  await run(process.execPath, [SERVER, "ring", "make", authority]);
  await Promise.all(ports.map(async (port) => {
    const credential = join(folder, `${port}.credential`);
    await run(process.execPath, [SERVER, "ring", "admit", authority, credential]);
    const config = join(folder, `${port}.xml`);
    const members = ports.map((member) => `<member address="127.0.0.1" port="${member}"/>`).join("");
    writeFileSync(config, `<i3-server version="1"><identity key-file="${join(folder, `${port}.key`)}"/><listen address="127.0.0.1" port="${port}"/>
      <ring credential-file="${credential}">${members}</ring></i3-server>`);
  }));
  await Promise.all(ports.map(async (port) => {
    const child = spawn(process.execPath, [SERVER, "--config", join(folder, `${port}.xml`)], { stdio: ["ignore", "ignore", "pipe"] });
    children.push(child);
    console.log(`server 127.0.0.1:${port} is process ${child.pid}`);
    await claims(child);
  }));
  // The servers have read their files: whatever ends this process now leaves no keys behind.
  rmSync(folder, { recursive: true, force: true });
  return { servers: ports.map((port) => `127.0.0.1:${port}`), close };
}

/** Resolves when a server says that it has taken its part of the ring. @param {import("node:child_process").ChildProcess} child */
async function claims(child) {
  if (child.stderr === null) throw new Error("no stderr");
  /** @type {string[]} */
  const said = [];
  for await (const line of createInterface({ input: child.stderr })) {
    said.push(line);
    if (!line.includes('"claims"')) continue;
    child.stderr.resume();
    return;
  }
  throw new Error(`a server ended:\n${said.join("\n")}`);
}

/** UDP ports of loopback that nobody has now. @param {number} count */
async function freePorts(count) {
  const sockets = Array.from({ length: count }, () => createSocket("udp4").bind(0, "127.0.0.1"));
  await Promise.all(sockets.map((socket) => once(socket, "listening")));
  const ports = sockets.map((socket) => socket.address().port);
  await Promise.all(sockets.map((socket) => once(socket.close(), "close")));
  return ports;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  readArguments("A ring of three servers on this machine, until Ctrl-C.", {});
  const { servers } = await openRing(undefined);
  console.log(`ready: --servers ${servers.join(",")}`);
  setInterval(() => undefined, 60_000);
}
