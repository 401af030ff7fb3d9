import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request, type IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { ControlSocket, openControl } from "../../src/io/control-socket.js";

let directory: string;
let file: string;
const open: { close(): Promise<void> | void }[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "i3-control-"));
  file = join(directory, "run", "control.sock");
});
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
  rmSync(directory, { recursive: true });
});

async function start(): Promise<ControlSocket> {
  const control = await ControlSocket.open({ file, answers: { "/v1/status": () => ({ version: 1 }) } });
  open.push(control);
  return control;
}

async function ask(path: string, method = "GET"): Promise<{ readonly status: number; readonly body: unknown }> {
  const asked = request({ socketPath: file, path, method, agent: false }).end();
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  let text = "";
  for await (const part of response) text += String(part);
  return { status: response.statusCode ?? 0, body: JSON.parse(text) };
}

/** What comes back until the other side closes. */
async function send(bytes: string | Uint8Array): Promise<string> {
  const socket = connect(file);
  let text = "";
  socket.on("data", (part: Buffer) => (text += part.toString("latin1")));
  socket.on("error", () => undefined);
  socket.write(bytes);
  await once(socket, "close");
  return text;
}

describe("the control socket", () => {
  it("answers its owner and group, nobody else, and is gone afterwards", async () => {
    const before = process.umask();
    const control = await start();
    expect(process.umask()).toBe(before);
    expect(statSync(file).mode & 0o777).toBe(0o660);
    expect(await ask("/v1/status?x=1")).toEqual({ status: 200, body: { version: 1 } });
    await control.close();
    expect(existsSync(file)).toBe(false);
  });

  it("has nothing else, and takes nothing", async () => {
    await start();
    expect((await ask("/v1/other")).status).toBe(404);
    expect((await ask("/constructor")).status).toBe(404);
    expect((await ask("/v1/status", "POST")).status).toBe(405);
    expect((await ask("/v1/status", "DELETE")).status).toBe(405);
  });

  it.each([["bytes that are no HTTP", new Uint8Array(512).fill(0xff)], ["a header that is too long", `GET / HTTP/1.1\r\nhost: x\r\nx: ${"a".repeat(8_000)}\r\n\r\n`], ["a smuggled second length", "GET /v1/status HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n"]])("ends %s, and goes on", async (_, bytes) => {
    await start();
    expect(await send(bytes)).toMatch(/^HTTP\/1\.1 4\d\d /);
    expect((await ask("/v1/status")).status).toBe(200);
  });

  it("keeps no more than 32 connections", async () => {
    await start();
    const sockets: Socket[] = Array.from({ length: 40 }, () => connect(file));
    let closed = 0;
    await new Promise<void>((resolve) => {
      for (const socket of sockets) {
        socket.on("error", () => undefined);
        socket.on("close", () => {
          closed += 1;
          if (closed === 8) resolve();
        });
        socket.resume();
      }
    });
    expect(sockets.filter(({ destroyed }) => !destroyed)).toHaveLength(32);
    sockets[0]?.destroy();
    for (const socket of sockets) socket.destroy();
  });

  it("takes the place of one that nobody listens at", async () => {
    await start();
    const control = open.splice(0)[0] as ControlSocket;
    await control.close();
    // As a process leaves it that was killed.
    spawnSync(process.execPath, ["-e", `require("net").createServer().listen(${JSON.stringify(file)}, () => process.kill(process.pid, "SIGKILL"))`]);
    expect(existsSync(file)).toBe(true);
    await start();
    expect((await ask("/v1/status")).status).toBe(200);
  });

  it("leaves one at which somebody listens, and a file that is no socket; the proxy goes on without, and the log says why", async () => {
    await start();
    const lines: string[] = [];
    const log = (level: string, event: string, fields: object): void => void lines.push(`${level} ${event} ${JSON.stringify(fields)}`);
    expect(await openControl(file, log, {})).toBe(null);
    expect(lines[0]).toMatch(/^error control-failed .*another daemon listens at/);
    expect((await ask("/v1/status")).status).toBe(200);
    const other = join(directory, "notes.txt");
    writeFileSync(other, "mine");
    expect(await openControl(other, log, {})).toBe(null);
    expect(lines[1]).toContain("is no socket");
    expect(statSync(other).size).toBe(4);
    expect(await openControl(undefined, log, {})).toBe(null);
    expect(lines).toHaveLength(2);
  });
});
