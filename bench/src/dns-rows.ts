/**
 * Our processing per DNS question (paper §8.1: 74 µs the first time of a name, 15 µs later; §8.2: 40 µs added to a question that is not
 * ours), beside dnsmasq answering a local name in the same run. Inside the sandbox (test/netns/enter.mjs), on its loopback.
 *
 * Processing is what the paper's figures are about: from the question's arrival in the program to its answer's departure, system calls
 * included, the median of all questions (not ours: question and answer together). On processor is all that a process used, its other
 * threads and what it does after the answer too (/proc/PID/task/N/schedstat), divided by the questions. The round trip is what a UDP
 * client sees that asks one question after the other.
 */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { loadNativeIo, type NativeIo } from "@i3/datapath/native-io";

import { makeRow, median, type Row } from "./report.js";

/** The paper's figures, on a machine of 2003; they are also ours to meet. */
const PAPER_US = { first: 74, repeated: 15, added: 40 } as const;
const OUR_PORT = 5_300;
const DNSMASQ_PORT = 5_399;
const RUNS = 5;
const QUESTIONS = 2_000;
const WARM_UP = 3_000;
/** Of names never asked before: each stays, and nobody has many thousands. */
const FIRST_QUESTIONS = 300;
const ANSWER_MS = 1_000;
const START_MS = 10_000;
const SUBJECT = fileURLToPath(new URL("dns-subject.js", import.meta.url));

interface Sample {
  /** Median of the handlers' calls; NaN for a program that does not tell. */
  readonly handlerUs: number;
  readonly cpuUs: number;
  readonly roundTripUs: number;
}

/** Rows for `npm run bench -- micro`. */
export async function dnsRows(): Promise<readonly Row[]> {
  const dnsmasq = await start("dnsmasq", [
    "--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--pid-file=", "--listen-address=127.0.0.2", "--bind-interfaces", `--port=${DNSMASQ_PORT}`,
    "--address=/local.example/192.0.2.1",
  ], "started");
  const ours = await start(process.execPath, [SUBJECT, String(OUR_PORT), String(DNSMASQ_PORT)], "ready");
  const client = new Client(loadNativeIo());
  try {
    return rowsOf(await measure(client, new Subject(ours), dnsmasq.pid ?? 0));
  } finally {
    client.close();
    ours.kill("SIGKILL");
    dnsmasq.kill("SIGKILL");
  }
}

type Kind = "first" | "repeated" | "elsewhere" | "dnsmasq";
type Samples = Record<Kind, Sample[]>;

async function measure(client: Client, subject: Subject, dnsmasqPid: number): Promise<Samples> {
  const samples: Samples = { first: [], repeated: [], elsewhere: [], dnsmasq: [] };
  let fresh = 0;
  const names: Record<Kind, () => string> = { first: () => `n${(fresh += 1)}.i3`, repeated: () => "n0.i3", elsewhere: () => "local.example", dnsmasq: () => "local.example" };
  const ask = async (kind: Kind, count: number): Promise<Sample> => {
    if (kind === "dnsmasq") return { handlerUs: NaN, ...client.sample(dnsmasqPid, DNSMASQ_PORT, names.dnsmasq, count) };
    await subject.handlerUs();
    const sample = client.sample(subject.pid, OUR_PORT, names[kind], count);
    // A question that is not ours takes two calls: its own and its answer's.
    const calls = await subject.handlerUs();
    return { ...sample, handlerUs: kind === "elsewhere" ? 2 * median(calls) : median(calls) };
  };
  const kinds: readonly Kind[] = ["dnsmasq", "first", "repeated", "elsewhere"];
  for (const kind of kinds) await ask(kind, kind === "first" ? FIRST_QUESTIONS : WARM_UP);
  for (let run = 0; run < RUNS; run += 1) for (const kind of kinds) samples[kind].push(await ask(kind, kind === "first" ? FIRST_QUESTIONS : QUESTIONS));
  return samples;
}

function rowsOf({ first, repeated, elsewhere, dnsmasq }: Samples): Row[] {
  const pick = (samples: readonly Sample[], what: keyof Sample): number[] => samples.map((sample) => sample[what]);
  const cpu = { "dnsmasq, local name": median(pick(dnsmasq, "cpuUs")) };
  const trip = { "dnsmasq, local name": median(pick(dnsmasq, "roundTripUs")) };
  const added = elsewhere.map(({ roundTripUs }, i) => roundTripUs - (dnsmasq[i]?.roundTripUs ?? NaN));
  return [
    row("DNS, first time of a name: processing", pick(first, "handlerUs"), { paper: PAPER_US.first }),
    row("DNS, repeated: processing", pick(repeated, "handlerUs"), { paper: PAPER_US.repeated }),
    row("DNS, not ours: processing", pick(elsewhere, "handlerUs"), { paper: PAPER_US.added }),
    row("DNS, first time of a name: on processor", pick(first, "cpuUs"), cpu),
    row("DNS, repeated: on processor", pick(repeated, "cpuUs"), cpu),
    row("DNS, not ours: on processor", pick(elsewhere, "cpuUs"), cpu),
    row("DNS, not ours: added to the round trip", added, { paper: PAPER_US.added }),
    row("DNS, first time of a name: round trip", pick(first, "roundTripUs"), trip),
    row("DNS, repeated: round trip", pick(repeated, "roundTripUs"), trip),
  ];
}

/** Our process, which tells how long its handlers took. */
class Subject {
  readonly pid: number;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;

  constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child;
    this.pid = child.pid ?? 0;
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  /** Each call since the last time, in µs. */
  async handlerUs(): Promise<readonly number[]> {
    this.#child.stdin.write("\n");
    const line = await this.#lines.next();
    return JSON.parse(String(line.value)) as readonly number[];
  }
}

/** Asks one question after the other and spins for the answers, so that its own turn costs the same for everybody. */
class Client {
  readonly #io: NativeIo;
  readonly #fd: number;
  readonly #answer = new Uint8Array(4_096);
  readonly #lengths = new Int32Array(1);
  readonly #address = new Uint8Array(18);
  #id = 0;

  constructor(io: NativeIo) {
    this.#io = io;
    this.#fd = io.openUdp({ family: 4, address: "127.0.0.1", port: 0, mark: 0, bufferBytes: 0 }).fd;
  }

  sample(pid: number, port: number, name: () => string, count: number): Omit<Sample, "handlerUs"> {
    const queries = Array.from({ length: count }, () => queryBytes((this.#id = (this.#id + 1) & 0xffff), name()));
    const target = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, port === OUR_PORT ? 1 : 2, port >> 8, port & 0xff);
    const cpuBefore = onProcessorUs(pid);
    const startMs = performance.now();
    for (const query of queries) this.#ask(query, target);
    const roundTripUs = ((performance.now() - startMs) * 1_000) / count;
    return { cpuUs: (onProcessorUs(pid) - cpuBefore) / count, roundTripUs };
  }

  close(): void {
    this.#io.closeFd(this.#fd);
  }

  #ask(query: Uint8Array, target: Uint8Array): void {
    this.#lengths[0] = query.length;
    this.#io.sendBatch(this.#fd, query, query.length, this.#lengths, target, 1);
    const endMs = performance.now() + ANSWER_MS;
    while (this.#io.receiveBatch(this.#fd, this.#answer, this.#answer.length, this.#lengths, this.#address) === 0) {
      if (performance.now() > endMs) throw new Error("no answer to a DNS question");
    }
    const answers = ((this.#answer[6] ?? 0) << 8) | (this.#answer[7] ?? 0);
    if (this.#answer[0] !== query[0] || this.#answer[1] !== query[1] || answers !== 1) throw new Error("a wrong answer to a DNS question");
  }
}

/** A query for A with EDNS, as glibc and dig send it. */
function queryBytes(id: number, name: string): Uint8Array {
  const labels = name.split(".").flatMap((label) => [label.length, ...Buffer.from(label)]);
  const opt = [0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0];
  return Uint8Array.from([id >> 8, id & 0xff, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, ...labels, 0, 0, 1, 0, 1, ...opt]);
}

/** Time that all threads of a process have been on a processor. */
function onProcessorUs(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).reduce((sum, task) => sum + Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0]), 0) / 1_000;
}

function start(program: string, args: readonly string[], readyWord: string): Promise<ChildProcessWithoutNullStreams> {
  const child = spawn(program, args, { stdio: "pipe" });
  return new Promise((fulfil, reject) => {
    let text = "";
    const timer = setTimeout(() => reject(new Error(`${program} is not ready: ${text}`)), START_MS);
    const onData = (chunk: Buffer): void => {
      text = (text + chunk.toString()).slice(-2_000);
      if (!text.includes(readyWord)) return;
      clearTimeout(timer);
      child.stdout.off("data", onData);
      fulfil(child);
    };
    child.stdout.on("data", onData);
    child.stderr.on("data", onData);
    child.on("error", reject);
    child.on("exit", (status) => reject(new Error(`${program} ended with status ${status}: ${text}`)));
  });
}

const row = (name: string, runs: readonly number[], baselines: Readonly<Record<string, number>>): Row =>
  makeRow({ name, unit: "µs", better: "lower", runs, baselines });
