/** The sandbox itself, entered once more from inside: as root of the machine or of a user namespace alike. */
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";

const ENTER = fileURLToPath(new URL("../enter.mjs", import.meta.url));

interface End {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(command: readonly string[], env: NodeJS.ProcessEnv = {}): { child: ChildProcessWithoutNullStreams; ready: Promise<void>; end: Promise<End> } {
  const child = spawn(process.execPath, [ENTER, ...command], { env: { ...process.env, ...env } });
  onTestFinished(() => void child.kill("SIGKILL"));
  const output = { stdout: "", stderr: "" };
  const ready = new Promise<void>((resolve) => {
    child.stdout.on("data", (chunk: Buffer) => {
      output.stdout += chunk.toString();
      if (output.stdout.includes("ready")) resolve();
    });
  });
  child.stderr.on("data", (chunk: Buffer) => (output.stderr += chunk.toString()));
  // "close" comes only when every process that holds the pipes has ended.
  const end = new Promise<End>((resolve) => child.on("close", (status) => resolve({ status, ...output })));
  return { child, ready, end };
}

function run(command: readonly string[], env?: NodeJS.ProcessEnv): Promise<End> {
  const { child, end } = start(command, env);
  child.stdin.end();
  return end;
}

test.each([
  ["sh -c 'exit 7'", ["--", "sh", "-c", "exit 7"], 7],
  ["a program ended by SIGKILL", ["--", "sh", "-c", "kill -9 $$"], 137],
  ["no such program", ["--", "no-such-program"], 127],
  ["no command", ["--"], 125],
  ["no --", ["true"], 125],
  ["an unknown option", ["--fast", "--", "true"], 125],
])("the exit status for %s", async (_, command, status) => {
  expect((await run(command)).status).toBe(status);
});

test("arguments and standard input arrive as they are", async () => {
  const { child, end } = start(["--", process.execPath, "-e", "process.stdin.pipe(process.stdout); console.error(process.argv.slice(1))", "$x", "a b", "--"]);
  child.stdin.end("input");
  expect(await end).toMatchObject({ status: 0, stdout: "input", stderr: "[ '$x', 'a b', '--' ]\n" });
});

test("inside are only a loopback that is up, an empty /run, and root", async () => {
  const { stdout } = await run(["--", "sh", "-c", "ip -br addr; ls -A /run | grep -v -x mount; id -u; echo $I3_NETNS_SANDBOX; echo 1 > /proc/sys/net/ipv4/ip_forward"]);
  expect(stdout).toMatch(/^lo\s+UNKNOWN\s+127\.0\.0\.1\/8 ::1\/128\s*\n0\n(root|user)\n$/);
});

test("two sandboxes at once may use one name", async () => {
  const script = "ip netns add same && echo ready && read -r line && ip netns list";
  const [one, two] = [start(["--", "sh", "-c", script]), start(["--", "sh", "-c", script])];
  await Promise.all([one.ready, two.ready]);
  for (const { child } of [one, two]) child.stdin.end("go\n");
  expect(await Promise.all([one.end, two.end])).toMatchObject([{ status: 0, stdout: "ready\nsame\n" }, { status: 0, stdout: "ready\nsame\n" }]);
});

test.each<NodeJS.Signals>(["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR2"])("%s reaches the program once, which may take its time", async (signal) => {
  const script = `trap 'echo caught; exit 3' ${signal.slice(3)}; echo ready; while :; do sleep 0.05; done`;
  const { child, ready, end } = start(["--", "sh", "-c", script]);
  await ready;
  child.kill(signal);
  expect(await end).toMatchObject({ status: 3, stdout: "ready\ncaught\n" });
});

test("everything ends with the program, daemons and those deaf to signals too", async () => {
  const { end } = start(["--", "sh", "-c", "trap '' TERM INT HUP; setsid sleep 1000 & (setsid sh -c 'sleep 1001; true' &); echo ready"]);
  expect((await end).status).toBe(0);
});

test("everything ends when the outermost process is killed with SIGKILL", async () => {
  const { child, ready, end } = start(["--", "sh", "-c", "setsid sleep 1000 & echo ready; sleep 1001; true"]);
  await ready;
  child.kill("SIGKILL");
  expect((await end).stdout).toBe("ready\n");
});

test("orphans are reaped: none is left as a zombie", async () => {
  const script = "(sh -c 'sleep 0.05' &); while pgrep -x sleep > /dev/null; do :; done; cat /proc/[0-9]*/stat | grep -c ') Z ' ; true";
  expect((await run(["--", "sh", "-c", script])).stdout).toBe("0\n");
});

/** Makes some tools invisible to enter.mjs, on a machine that has them all. */
const HIDE_TOOLS = `
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
const real = fs.accessSync;
fs.accessSync = (file, mode) => {
  if (/[/](nft|ip)$/.test(String(file))) throw new Error("hidden");
  return real(file, mode);
};
syncBuiltinESMExports();
`;

test("a missing tool gives one line that names the package", async () => {
  const result = await run(["--", "true"], { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(HIDE_TOOLS)}` });
  expect(result).toEqual({ status: 125, stdout: "", stderr: "netns: ip, nft not found. Install with: apt-get install iproute2 nftables\n" });
});
