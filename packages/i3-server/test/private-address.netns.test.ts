/**
 * A machine with a private address alone, as those of most clouds have, and members of its ring outside:
 *
 *   i3-server ── i3lan (veth) 10.77.0.5/24 ── default route ── 198.51.100.7, a member that never answers
 */
import { execFileSync } from "node:child_process";
import { join } from "node:path";

import { afterEach, beforeEach, expect, it } from "vitest";

import { DaemonProcess, Folder, until } from "./daemon-process.js";

const ip = (...args: readonly string[]): void => void execFileSync("ip", [...args]);

let folder: Folder;
let daemon: DaemonProcess | undefined;
beforeEach(() => {
  folder = new Folder();
  ip("link", "add", "i3lan", "type", "veth", "peer", "name", "i3wan");
  ip("address", "add", "10.77.0.5/24", "dev", "i3lan");
  for (const end of ["i3lan", "i3wan"]) ip("link", "set", end, "up");
  ip("route", "add", "default", "dev", "i3lan");
});
afterEach(async () => {
  await daemon?.kill("SIGKILL");
  ip("link", "del", "i3lan");
  folder.remove();
});

/** `more`: elements beside the usual ones. */
function run(more: string, ...args: readonly string[]): DaemonProcess {
  const xml = `<i3-server version="1"><identity key-file="${join(folder.path, "server.key")}"/>${more}<ring credential-file="${folder.credential("server.credential")}"><member address="198.51.100.7"/></ring></i3-server>`;
  return (daemon = new DaemonProcess(["--config", folder.file("server.xml", xml), ...args]));
}

it("is told of at the start, once, and alone says where others look for it", async () => {
  const server = run("");
  await server.ready();
  expect(server.stdout).toContain(" locator=10.77.0.5:5610 ");
  expect(server.logged("private-address")).toMatchObject([{ level: "warn", message: expect.stringMatching(/at 10\.77\.0\.5:5610.*198\.51\.100\.7:5610/) as string, remedy: expect.stringContaining("<advertise") as string }]);
  await until(() => server.logged("alone").length > 0, 10_000);
  expect(server.logged("alone")).toMatchObject([{ remedy: expect.stringMatching(/reach this server at 10\.77\.0\.5:5610.*<advertise>/) as string }]);
  expect(server.logged("private-address")).toHaveLength(1);
});

it("is told of by --check", async () => {
  const check = run("", "--check");
  expect(await check.exited).toBe(0);
  expect(check.stderr).toMatch(/warning: others are told to reach this server at 10\.77\.0\.5:5610/);
});

it("is not told of when it advertises another", async () => {
  const server = run('<advertise address="203.0.113.9"/>');
  await server.ready();
  await until(() => server.logged("alone").length > 0, 10_000);
  expect(server.logged("private-address")).toEqual([]);
});
