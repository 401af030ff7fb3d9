/**
 * Our processing per DNS question (paper §8.1: 74 µs the first time of a name, 15 µs later; §8.2: 40 µs added to a question that is not
 * ours), beside dnsmasq answering a local name in the same run. Inside the sandbox (test/netns/enter.mjs), on its loopback.
 *
 * Processing is the time that the process was on a processor, all its threads, system calls included (/proc/PID/task/N/schedstat),
 * divided by the questions; the round trip is what a UDP client sees that asks one question after the other.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { loadNativeIo, type NativeIo } from "@i3/datapath/native-io";

export interface DnsRow {
  readonly name: string;
  /** Median of `runs`. */
  readonly ours: number;
  readonly unit: "µs";
  readonly better: "lower";
  readonly runs: readonly number[];
  readonly baselines: Readonly<Record<string, number>>;
  /** baseline/ours: more than 1 is good. */
  readonly ratios: Readonly<Record<string, number>>;
}

/** The paper's figures, on a machine of 2003; they are also ours to meet. */
const PAPER_US = { first: 74, repeated: 15, added: 40 } as const;
const OUR_PORT = 5_300;
const DNSMASQ_PORT = 5_399;
const RUNS = 5;
const QUESTIONS = 2_000;
const WARM_UP = 3_000;
const ANSWER_MS = 1_000;
const START_MS = 10_000;
const SUBJECT = "bench/dns/subject.mjs";

interface Sample {
  readonly cpuUs: number;
  readonly roundTripUs: number;
}

/** Rows for `npm run bench -- micro`. The working directory is the repository's root. */
export async function dnsRows(): Promise<readonly DnsRow[]> {
  const dnsmasq = await start("dnsmasq", [
    "--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--pid-file=", "--listen-address=127.0.0.2", "--bind-interfaces", `--port=${DNSMASQ_PORT}`,
    "--address=/local.example/192.0.2.1",
  ], "started");
  const ours = await start(process.execPath, [resolve(SUBJECT), String(OUR_PORT), String(DNSMASQ_PORT)], "ready");
  const client = new Client(loadNativeIo());
  try {
    return measure(client, ours.pid ?? 0, dnsmasq.pid ?? 0);
  } finally {
    client.close();
    ours.kill("SIGKILL");
    dnsmasq.kill("SIGKILL");
  }
}

function measure(client: Client, ourPid: number, dnsmasqPid: number): DnsRow[] {
  const samples = { first: [] as Sample[], repeated: [] as Sample[], dnsmasq: [] as Sample[], elsewhere: [] as Sample[], direct: [] as Sample[] };
  let fresh = 0;
  const ask = (pid: number, port: number, name: (i: number) => string, count = QUESTIONS): Sample => client.sample(pid, port, name, count);
  const firstTime = (): string => `n${(fresh += 1)}.i3`;
  ask(ourPid, OUR_PORT, () => "n0.i3", WARM_UP);
  ask(ourPid, OUR_PORT, () => "local.example", WARM_UP);
  ask(ourPid, OUR_PORT, firstTime, WARM_UP);
  ask(dnsmasqPid, DNSMASQ_PORT, () => "local.example", WARM_UP);
  for (let run = 0; run < RUNS; run += 1) {
    samples.dnsmasq.push(ask(dnsmasqPid, DNSMASQ_PORT, () => "local.example"));
    samples.first.push(ask(ourPid, OUR_PORT, firstTime));
    samples.repeated.push(ask(ourPid, OUR_PORT, () => "n0.i3"));
    samples.direct.push(ask(dnsmasqPid, DNSMASQ_PORT, () => "local.example"));
    samples.elsewhere.push(ask(ourPid, OUR_PORT, () => "local.example"));
  }
  const cpu = (rows: readonly Sample[]): number[] => rows.map(({ cpuUs }) => cpuUs);
  const trip = (rows: readonly Sample[]): number[] => rows.map(({ roundTripUs }) => roundTripUs);
  const dnsmasqCpu = { "dnsmasq, local name": median(cpu(samples.dnsmasq)) };
  const dnsmasqTrip = { "dnsmasq, local name": median(trip(samples.dnsmasq)) };
  const added = samples.elsewhere.map(({ roundTripUs }, i) => roundTripUs - (samples.direct[i]?.roundTripUs ?? 0));
  return [
    row("DNS, first time of a name: processing", cpu(samples.first), { paper: PAPER_US.first, ...dnsmasqCpu }),
    row("DNS, repeated: processing", cpu(samples.repeated), { paper: PAPER_US.repeated, ...dnsmasqCpu }),
    row("DNS, not ours: processing", cpu(samples.elsewhere), { paper: PAPER_US.added }),
    row("DNS, not ours: added to the round trip", added, { paper: PAPER_US.added }),
    row("DNS, first time of a name: round trip", trip(samples.first), dnsmasqTrip),
    row("DNS, repeated: round trip", trip(samples.repeated), dnsmasqTrip),
  ];
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

  sample(pid: number, port: number, name: (i: number) => string, count: number): Sample {
    const queries = Array.from({ length: count }, (_, i) => queryBytes((this.#id = (this.#id + 1) & 0xffff), name(i)));
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

function start(program: string, args: readonly string[], readyWord: string): Promise<ChildProcess> {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  return new Promise((fulfil, reject) => {
    let text = "";
    const timer = setTimeout(() => reject(new Error(`${program} is not ready: ${text}`)), START_MS);
    const onData = (chunk: Buffer): void => {
      text = (text + chunk.toString()).slice(-2_000);
      if (!text.includes(readyWord)) return;
      clearTimeout(timer);
      fulfil(child);
    };
    child.stdout.on("data", onData);
    child.stderr.on("data", onData);
    child.on("error", reject);
    child.on("exit", (status) => reject(new Error(`${program} ended with status ${status}: ${text}`)));
  });
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return ((sorted[(sorted.length - 1) >> 1] ?? NaN) + (sorted[sorted.length >> 1] ?? NaN)) / 2;
}

function row(name: string, runs: readonly number[], baselines: Readonly<Record<string, number>>): DnsRow {
  const ours = median(runs);
  const ratios = Object.fromEntries(Object.entries(baselines).map(([baseline, value]) => [baseline, value / ours]));
  return { name, ours, unit: "µs", better: "lower", runs, baselines, ratios };
}
