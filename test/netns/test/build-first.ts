/**
 * Before the tests: the emulator is a process of its own and needs the compiled form of src/. Under `npm test` the build has
 * been done, and tsc finds nothing to do.
 */
import { spawnSync } from "node:child_process";

export default function buildFirst(): void {
  if (process.env["I3_NETNS_SANDBOX"] === undefined) {
    throw new Error("start this with: node test/netns/enter.mjs -- npx vitest run --root test/netns");
  }
  const root = new URL("../../../", import.meta.url);
  const compiler = ["node_modules/typescript/bin/tsc", "--project", "test/netns"];
  const { status, stdout } = spawnSync(process.execPath, compiler, { cwd: root, encoding: "utf8" });
  if (status !== 0) throw new Error(`tsc --project test/netns: status ${status} (packages/datapath must be built before)\n${stdout}`);
}
