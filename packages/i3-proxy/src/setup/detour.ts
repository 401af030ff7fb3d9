/**
 * The way to the ring by TCP, for networks that let no UDP through, without I/O (docs/wire.md §10). Peers past the ring are reached by UDP or not at all.
 *
 *     udp ── no server answers for 3 s ──► trying ── a WebSocket opens, and still none does ──► detour
 *      ▲ ▲                                  │  ▲                                                  │
 *      │ └─ one answers ────────────────────┘  └────────── the WebSocket ends, or is silent ──────┤
 *      └── a server answers a PING over UDP, and then takes a trigger: the WebSocket stays for a while┤
 *                                                          a move: a WebSocket from there ◄───────┘
 *
 * While it stays and no server answers over UDP for 3 s, or has taken no trigger within the first 3 s and three round trips, the detour is on again at once.
 * While trying and on the detour each server that is configured is asked over UDP itself, so that UDP is used as soon as it works.
 */
import { bytesKey, CONTROL_HEADER_BYTES, CONTROL_TYPES, dropOldest, encodeControl, NONCE_BYTES, remember, sameBytes, sameLocator, sourceKey, type Locator, type Log } from "@i3/common";
import { CONTROL_FIRST_BYTE, DATA_FIRST_BYTE, type Datapath, type Upcall } from "@i3/datapath";

// Ours:
/** One more than a server in use needs to be found dead. */
const SILENT_MS = 3_000;
/** A WebSocket that opens sooner than the answers to our questions could come is not used sooner. */
const LEAST_TRYING_MS = 1_000;
const ASK_TRYING_MS = 500;
const ASK_MS = 15_000;
/** Doubled up to this, each time that UDP falls silent again at once. */
const MAX_ASK_MS = 60_000;
const CONNECT_MS = 8_000;
const AGAIN_MS = 1_000;
const MAX_AGAIN_MS = 30_000;
/** However often this host moves. */
const LEAST_BETWEEN_MS = 250;
/** Servers in use answer PINGs each second: who is silent for so long is gone. */
const DEAD_MS = 10_000;
/** What is under way to where the ring saw us by TCP comes by then. */
const LINGER_MS = 10_000;
/** Questions to which an answer counts: some rounds to as many servers as may be configured. */
const MAX_ASKED = 512;
/** PONGs and TRIGGER_OKs by TCP that are on their way through the engine. */
const MAX_DETOURED = 512;
/** LOCATE, CHALLENGE, TRIGGER: before a trigger is taken. Slower than that nobody waits, so that this ends before LINGER_MS. */
const ROUND_TRIPS = 3;
const MAX_ROUND_TRIP_MS = 2_000;
/** Servers with triggers of ours take them again each 5 s. */
const TAKEN_MS = 12_000;
const MAX_TAKERS = 16;
const SILENT = "no i3 server answers over UDP";

/** How WebSockets are opened; {@link Detour.handleOpened} or {@link Detour.handleClosed} follows. One at a time. */
export interface DetourLink {
  /** Servers that take them, for people; at least one. */
  readonly names: readonly string[];
  readonly connect: (index: number) => void;
  /** Whatever there is ends, without {@link Detour.handleClosed}. */
  readonly disconnect: () => void;
  /** The address of ours that an open one leaves by; null: nobody knows. */
  readonly local: () => Uint8Array | null;
  readonly send: (to: Locator, bytes: Uint8Array) => void;
}

export interface DetourEnvironment {
  readonly link: DetourLink;
  readonly datapath: Pick<Datapath, "send" | "setDetour" | "takeDetoured">;
  readonly randomBytes: (length: number) => Uint8Array;
  /** Whom to ask over UDP, and whose answers count: those of the configuration or of a list. Who was only heard of may be anybody, so two must take triggers. */
  readonly servers: () => readonly Locator[];
  /** To the nearest server, ms, as packets go; Infinity: none answers. */
  readonly roundTripMs: () => number;
  /** The detour is on now, or off: this host is reached elsewhere. `answered`: the server that has over UDP; null: none. */
  readonly onTurned: (nowMs: number, isOn: boolean, answered: Locator | null) => void;
  readonly log: Log;
}

type State = "udp" | "trying" | "detour" | "lingering";

/** A server that takes triggers of ours by UDP: when it has taken one last, and when it has answered, if it was only heard of. */
interface Taker {
  takenMs: number;
  heardMs: number;
}

export class Detour {
  readonly counters = { turns: 0, moves: 0, failed: 0, out: 0, in: 0, straight: 0, refused: 0 };
  readonly #env: DetourEnvironment;
  #state: State = "udp";
  /** An answer over UDP that counts was heard then, or could have been for the first time. */
  #heardMs = Infinity;
  /** When this state began. */
  #sinceMs = 0;
  /** When the WebSocket was begun, or the next will be; when the last one was. */
  #connectMs = 0;
  #begunMs = -Infinity;
  #isConnecting = false;
  #againMs = AGAIN_MS;
  /** The WebSocket that opens, or is open. */
  #index = 0;
  #isOpen = false;
  #detouredMs = 0;
  #askMs = Infinity;
  #askEveryMs = ASK_MS;
  /** On the detour answers over UDP count from then on: before, none had taken a trigger. */
  #heldUntilMs = -Infinity;
  /** By {@link sourceKey}, the one that took a trigger longest ago first. */
  readonly #takers = new Map<string, Taker>();
  /** When, after the detour was left, a server must have taken a trigger. */
  #acknowledgeByMs = Infinity;
  /** A server has taken a trigger by UDP since the detour was left. */
  #isAcknowledged = false;
  /** By nonce, the oldest first: who was asked. */
  readonly #asked = new Map<string, Locator>();
  /** Nonces of PONGs and TRIGGER_OKs that came by the WebSocket, the oldest first. */
  readonly #detoured = new Set<string>();
  /** Servers whose WebSockets failed, and the log has said so. */
  readonly #told = new Set<number>();

  constructor(environment: DetourEnvironment) {
    this.#env = environment;
  }

  get isOn(): boolean {
    return this.#state === "detour";
  }

  /** There are servers to be heard from now on. */
  start(nowMs: number): void {
    if (this.#heardMs === Infinity) this.#heardMs = nowMs;
  }

  /** Whether a PONG, or TRIGGER_OK, has come by the WebSocket: it says nothing of UDP. */
  cameByTcp(nonce: Uint8Array): boolean {
    return this.#detoured.has(bytesKey(nonce));
  }

  /** PONG over UDP. False: it answers no question of ours. */
  handlePong(nowMs: number, from: Locator, nonce: Uint8Array): boolean {
    const key = bytesKey(nonce);
    const asked = this.#asked.get(key);
    if (asked === undefined || !sameLocator(asked, from)) return false;
    this.#asked.delete(key);
    this.handleUdp(nowMs, from);
    return true;
  }

  /** A server has answered over UDP what somebody else of this host has asked, as packets go: on the detour that is by TCP. */
  handleAnswer(nowMs: number, from: Locator): void {
    if (!this.isOn) this.handleUdp(nowMs, from);
  }

  /** A server has answered over UDP what was asked over UDP itself. */
  handleUdp(nowMs: number, from: Locator): void {
    const isConfigured = this.#env.servers().some((server) => sameLocator(server, from));
    if (isConfigured) this.#heardMs = nowMs;
    else if (!this.#isHeardFromTwo(nowMs, from)) return;
    if (this.#state === "trying") this.#end();
    else if (isConfigured && this.isOn && nowMs >= this.#heldUntilMs) this.#leave(nowMs, from);
  }

  /** Whether this one and another at another address answer now, and have taken triggers by UDP lately: UDP works although those that are configured are silent. */
  #isHeardFromTwo(nowMs: number, from: Locator): boolean {
    const leastTakenMs = nowMs - TAKEN_MS;
    const taker = this.#takers.get(sourceKey(from.address));
    if (taker === undefined || taker.takenMs < leastTakenMs) return false;
    taker.heardMs = nowMs;
    let otherMs = -Infinity;
    for (const one of this.#takers.values()) {
      if (one !== taker && one.takenMs >= leastTakenMs) otherMs = Math.max(otherMs, one.heardMs);
    }
    if (nowMs - otherMs >= SILENT_MS) return false;
    this.#heardMs = Math.max(this.#heardMs, otherMs);
    return true;
  }

  /** A server has taken a trigger of ours: by UDP that is more than a PONG, which any router can give that reads the question. */
  handleTriggerOk(nowMs: number, from: Locator, nonce: Uint8Array): void {
    if (this.cameByTcp(nonce)) return;
    this.#isAcknowledged = true;
    const key = sourceKey(from.address);
    const heardMs = this.#takers.get(key)?.heardMs ?? -Infinity;
    remember(this.#takers, key, { takenMs: nowMs, heardMs }, MAX_TAKERS);
  }

  /**
   * The network is another: what it lets through is looked at anew, and a WebSocket from an address that is not used any more is made anew at once.
   * @param addresses of this host, those used first
   */
  handlePlaces(nowMs: number, addresses: readonly Uint8Array[]): void {
    // While there is none nothing can be done, and one will come.
    if (addresses.length === 0) return;
    const local = this.#isOpen ? this.#env.link.local() : null;
    if (local === null || !addresses.some((address) => sameBytes(address, local))) this.#moved(nowMs);
    else this.#lookAnew(nowMs);
  }

  /** The machine has slept: the other end may have closed the WebSocket. */
  awake(nowMs: number): void {
    this.#moved(nowMs);
  }

  handleUpcall({ locator, bytes }: Extract<Upcall, { kind: "detour" }>): void {
    // After a move UDP may work.
    if (this.isOn && this.#isOpen && isForServers(bytes)) {
      this.counters.out += 1;
      this.#env.link.send(locator, bytes);
    } else {
      this.counters.straight += 1;
      this.#env.datapath.send([{ locator, bytes, isStraight: true }]);
    }
  }

  handleOpened(nowMs: number): void {
    if (!this.#isConnecting) return;
    this.#isConnecting = false;
    this.#isOpen = true;
    this.#detouredMs = nowMs;
    this.#againMs = AGAIN_MS;
    // The server sees us at another port.
    if (this.isOn) this.#env.onTurned(nowMs, true, null);
    this.handleTimer(nowMs);
  }

  handleClosed(nowMs: number, why: string): void {
    if (this.#state === "lingering") return this.#end();
    if (this.#state === "udp") return;
    this.#lost(nowMs, why);
  }

  /** A datagram that a server has sent to where the ring sees us by TCP. */
  handleDatagram(nowMs: number, from: Locator, bytes: Uint8Array): void {
    if (this.#state !== "detour" && this.#state !== "lingering") return;
    this.#detouredMs = nowMs;
    if (!isForServers(bytes)) return void (this.counters.refused += 1);
    this.counters.in += 1;
    if (bytes[0] === CONTROL_FIRST_BYTE && (bytes[1] === CONTROL_TYPES.PONG || bytes[1] === CONTROL_TYPES.TRIGGER_OK)) {
      this.#detoured.add(bytesKey(bytes.subarray(CONTROL_HEADER_BYTES - NONCE_BYTES, CONTROL_HEADER_BYTES)));
      dropOldest(this.#detoured, MAX_DETOURED);
    }
    this.#env.datapath.takeDetoured([{ from, bytes }]);
  }

  handleTimer(nowMs: number): void {
    if (this.#state === "udp" && nowMs >= this.#heardMs + SILENT_MS) this.#try(nowMs);
    else if (this.#state === "trying" || this.#state === "detour") this.#goOn(nowMs);
    else if (this.#state === "lingering") this.#linger(nowMs);
    if (nowMs >= this.#askMs) this.#ask(nowMs);
  }

  nextDeadlineMs(): number {
    switch (this.#state) {
      case "udp": return this.#heardMs + SILENT_MS;
      case "trying": case "detour": return Math.min(this.#askMs, this.#openDeadlineMs);
      case "lingering": return Math.min(this.#sinceMs + LINGER_MS, this.#doubtMs);
    }
  }

  #try(nowMs: number): void {
    this.#state = "trying";
    this.#sinceMs = nowMs;
    this.#againMs = AGAIN_MS;
    this.#askMs = nowMs;
    this.#connect(nowMs);
  }

  #connect(nowMs: number): void {
    this.#isConnecting = true;
    this.#connectMs = nowMs;
    this.#begunMs = nowMs;
    this.#env.link.connect(this.#index);
  }

  /** When the WebSocket opens too late, is dead, is to be used, or to be begun. */
  get #openDeadlineMs(): number {
    if (!this.#isOpen) return this.#isConnecting ? this.#connectMs + CONNECT_MS : this.#connectMs;
    return this.isOn ? this.#detouredMs + DEAD_MS : this.#sinceMs + LEAST_TRYING_MS;
  }

  #goOn(nowMs: number): void {
    if (nowMs < this.#openDeadlineMs) return;
    if (!this.#isOpen) {
      if (this.#isConnecting) this.#lost(nowMs, "it does not answer");
      else this.#connect(nowMs);
    } else if (this.isOn) this.#lost(nowMs, "it has gone silent");
    else {
      this.#askEveryMs = ASK_MS;
      this.#heldUntilMs = -Infinity;
      this.#turnOn(nowMs, nowMs, SILENT);
    }
  }

  /** When UDP does not work, while lingering: no server answers by it any more, or none has taken a trigger. */
  get #doubtMs(): number {
    return this.#isAcknowledged ? this.#heardMs + SILENT_MS : this.#acknowledgeByMs;
  }

  /** Where UDP answers now and then the WebSocket that is still open is used again, and servers are asked half as often; when none took a trigger no answer counts before. */
  #linger(nowMs: number): void {
    if (nowMs < this.#doubtMs) {
      if (nowMs >= this.#sinceMs + LINGER_MS) this.#end();
    } else if (this.#isOpen) {
      this.#askEveryMs = Math.min(2 * this.#askEveryMs, MAX_ASK_MS);
      if (!this.#isAcknowledged) this.#heldUntilMs = nowMs + this.#askEveryMs;
      this.#turnOn(nowMs, nowMs + SILENT_MS - DEAD_MS, this.#isAcknowledged ? SILENT : "an i3 server answers over UDP, but none has taken a trigger so");
    } else {
      this.#state = "trying";
      this.#sinceMs = nowMs;
      this.#askMs = nowMs;
    }
  }

  /** A WebSocket from where this host is now. On the detour it stays so meanwhile: what would go by it goes by UDP. */
  #moved(nowMs: number): void {
    if (this.#state === "udp") return;
    if (this.#state === "lingering") return this.#end();
    this.#env.link.disconnect();
    this.counters.moves += 1;
    this.#connectMs = Math.max(nowMs, this.#begunMs + LEAST_BETWEEN_MS);
    this.#isOpen = false;
    this.#isConnecting = false;
    this.#lookAnew(nowMs);
  }

  #lookAnew(nowMs: number): void {
    if (this.#state === "trying") this.#sinceMs = nowMs;
    if (this.#state !== "trying" && this.#state !== "detour") return;
    this.#againMs = AGAIN_MS;
    this.#askEveryMs = ASK_MS;
    this.#heldUntilMs = -Infinity;
    this.#askMs = nowMs;
  }

  /** @param detouredMs when the WebSocket was heard from last, as far as it is trusted */
  #turnOn(nowMs: number, detouredMs: number, why: string): void {
    this.#state = "detour";
    this.#detouredMs = detouredMs;
    this.#askMs = nowMs + this.#askEveryMs;
    this.#againMs = AGAIN_MS;
    this.counters.turns += 1;
    this.#env.datapath.setDetour(true);
    this.#env.log("warn", "detour", { on: true, server: this.#env.link.names[this.#index] ?? "", why, remedy: "Nothing needs to be done: packets go by TCP as long as this network lets no UDP through. That is slower." });
    this.#env.onTurned(nowMs, true, null);
  }

  /** The next server is tried after a while. */
  #lost(nowMs: number, why: string): void {
    const name = this.#env.link.names[this.#index] ?? "";
    this.counters.failed += 1;
    this.#env.link.disconnect();
    if (this.#state === "detour") this.#turnOff(nowMs, `the connection to ${name} is lost: ${why}`, null);
    else if (!this.#told.has(this.#index)) {
      this.#told.add(this.#index);
      this.#env.log("warn", "detour-failed", { server: name, why, remedy: "No i3 server that is configured answers over UDP, and this one takes no connection by TCP either; it is tried again. Look whether it has <fallback>, whether this network and its own let that TCP port through, and whether tls-pin is that of its certificate." });
    }
    if (this.#state !== "trying") {
      this.#state = "trying";
      this.#sinceMs = nowMs;
      this.#askMs = nowMs;
    }
    this.#isOpen = false;
    this.#isConnecting = false;
    this.#index = (this.#index + 1) % this.#env.link.names.length;
    this.#connectMs = nowMs + this.#againMs;
    this.#againMs = Math.min(2 * this.#againMs, MAX_AGAIN_MS);
  }

  /** UDP works. */
  #leave(nowMs: number, answered: Locator): void {
    this.#isAcknowledged = false;
    this.#acknowledgeByMs = nowMs + SILENT_MS + ROUND_TRIPS * Math.min(this.#env.roundTripMs(), MAX_ROUND_TRIP_MS);
    this.#turnOff(nowMs, "a server answers over UDP again", answered);
    this.#state = "lingering";
    this.#sinceMs = nowMs;
    this.#stopAsking();
  }

  #turnOff(nowMs: number, why: string, answered: Locator | null): void {
    this.#env.datapath.setDetour(false);
    this.#env.log("info", "detour", { on: false, why });
    this.#env.onTurned(nowMs, false, answered);
  }

  /** As at the start. */
  #end(): void {
    this.#state = "udp";
    this.#isOpen = false;
    this.#isConnecting = false;
    this.#told.clear();
    this.#stopAsking();
    this.#env.link.disconnect();
  }

  #stopAsking(): void {
    this.#askMs = Infinity;
    this.#asked.clear();
  }

  #ask(nowMs: number): void {
    const questions = this.#env.servers().map((locator) => {
      const nonce = this.#env.randomBytes(NONCE_BYTES);
      this.#asked.set(bytesKey(nonce), locator);
      return { locator, bytes: encodeControl({ type: "PING" }, nonce), isStraight: true };
    });
    dropOldest(this.#asked, MAX_ASKED);
    this.#env.datapath.send(questions);
    // While trying, briskly at first: a second later the detour may be on.
    const isBrisk = this.#state === "trying" && nowMs < this.#sinceMs + LEAST_TRYING_MS;
    this.#askMs = nowMs + (isBrisk ? ASK_TRYING_MS : this.#askEveryMs);
  }
}

/** i3's data and control. ESP, HIP and CHECKs are for peers, whom no server leads to: some are near, and a way past the ring is one by UDP. */
function isForServers(bytes: Uint8Array): boolean {
  return bytes[0] === DATA_FIRST_BYTE || (bytes[0] === CONTROL_FIRST_BYTE && bytes[1] !== CONTROL_TYPES.CHECK && bytes[1] !== CONTROL_TYPES.CHECKED);
}
