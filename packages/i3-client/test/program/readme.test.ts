/** The first program of README.md, as a reader copies it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { expect, it, onTestFinished } from "vitest";

import { LoopbackServer } from "./loopback-server.js";

const PACKAGE = fileURLToPath(new URL("../../", import.meta.url));

it("the first program of README.md prints what it says, and ends by itself", async () => {
  const [, program = ""] = /^```js\n(.*?)^```$/ms.exec(readFileSync(`${PACKAGE}README.md`, "utf8")) ?? [];
  const [, printed] = /prints: (.*)$/m.exec(program) ?? [];
  expect(printed).toMatch(/^\S/);
  const server = await LoopbackServer.open();
  onTestFinished(() => server.close());
  // It imports @i3/i3-client by its name, from a folder where that is installed.
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program.replaceAll(/"192\.0\.2\.\d+"/g, JSON.stringify(server.address))], { cwd: PACKAGE, stdio: ["ignore", "pipe", "pipe"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  const said = { out: "", wrong: "" };
  child.stdout.on("data", (bytes: Buffer) => (said.out += bytes.toString()));
  child.stderr.on("data", (bytes: Buffer) => (said.wrong += bytes.toString()));
  const [status] = (await once(child, "close")) as [number | null];
  expect([status, said]).toEqual([0, { out: `${printed}\n`, wrong: "" }]);
}, 30_000);
