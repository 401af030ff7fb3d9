/** What i3ctl is run with, and its exit statuses. */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

import { argumentProblem, errorLine, I3Error } from "@i3/common/command-line";
import type { ProxyStatus } from "@i3/i3-proxy";

import { isUp, statusText } from "../status/status-text.js";
import { askControl, DEFAULT_SOCKET } from "./control-client.js";

const HELP = `Usage: i3ctl [--socket FILE] COMMAND

  status [--json]   what this machine's daemon is, the servers of its ring, and a line for each peer: virtual address, name, how it is
                    reached ("direct" and its address, "relay" and the server), protection, what came and went, since when nothing;
                    under them what is not as it should be, and what to do

  --socket FILE     of the daemon's <control>; without it $I3_CONTROL, or ${DEFAULT_SOCKET}
  --json            as JSON, of a form that stays (docs/control.md)
  --help            this text
  --version         the version

Exit status: 0; 1 when it could not be done: for status, no daemon answers, it still starts, or no server of its ring answers; 2 for wrong arguments.
`;

const FAILED = 1;
const USAGE = 2;

interface Options {
  readonly socket: string;
  readonly json: boolean;
}

type Command = (options: Options) => Promise<number>;

const COMMANDS: Readonly<Record<string, Command>> = {
  status: async ({ socket, json }) => {
    const status = (await askControl(socket, "/v1/status")) as ProxyStatus;
    print(json ? `${JSON.stringify(status, null, 2)}\n` : statusText(status));
    return isUp(status) ? 0 : FAILED;
  },
};

/** @returns the exit status */
export async function runCommand(args: readonly string[]): Promise<number> {
  try {
    return await run(args);
  } catch (error) {
    if (!(error instanceof I3Error)) throw error;
    process.stderr.write(`i3ctl: ${errorLine(error)}\n`);
    return error.code === "ERR_I3_USAGE" ? USAGE : FAILED;
  }
}

async function run(args: readonly string[]): Promise<number> {
  const { values, positionals: [name, ...more] } = parse(args);
  if (values.help) return print(HELP);
  if (values.version) return print(`i3ctl ${(JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { readonly version: string }).version}\n`);
  const command = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) throw usage(name === undefined ? "no command" : `"${name}" is no command`);
  if (more.length > 0) throw usage(`${name} takes no "${more.join(" ")}"`);
  return await command({ socket: values.socket ?? process.env["I3_CONTROL"] ?? DEFAULT_SOCKET, json: values.json });
}

function parse(args: readonly string[]) {
  const no = { type: "boolean", default: false } as const;
  try {
    return parseArgs({ args: [...args], options: { socket: { type: "string" }, json: no, help: no, version: no }, allowPositionals: true });
  } catch (error) {
    throw usage(argumentProblem(error));
  }
}

const usage = (what: string): I3Error => new I3Error("ERR_I3_USAGE", what, { remedy: "i3ctl --help lists the commands." });

function print(text: string): 0 {
  process.stdout.write(text);
  return 0;
}
