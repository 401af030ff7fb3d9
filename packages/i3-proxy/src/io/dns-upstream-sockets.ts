/**
 * The sockets that questions leave by. The kernel draws a random port for each, one of several is drawn for each question, and none
 * serves for long, so that nobody can foresee where an answer must go. Opening one costs as much as all the rest of a question,
 * therefore new ones are opened between questions.
 */
import { randomBytes } from "node:crypto";
import type { NativeIo } from "@i3/datapath/native-io";

export interface UpstreamSocket<T> {
  readonly fd: number;
  /** What is in flight, by transaction id. */
  readonly pending: Map<number, T>;
  readonly watch: { close(): void };
  readonly openedMs: number;
  uses: number;
  retired: boolean;
}

export interface UpstreamSocketsOptions<T> {
  readonly io: Pick<NativeIo, "openUdp" | "watchReadable" | "closeFd">;
  readonly family: 4 | 6;
  readonly mark: number;
  readonly onReadable: (socket: UpstreamSocket<T>) => void;
}

const SOCKETS = 16;
const USES_PER_SOCKET = 64;
const SOCKET_AGE_MS = 10_000;
/** Tries to find a socket where the transaction id is free. */
const DRAWS = 8;
const RANDOM_BYTES = 512;

export class UpstreamSockets<T> {
  readonly #options: UpstreamSocketsOptions<T>;
  readonly #slots: (UpstreamSocket<T> | null)[] = new Array<UpstreamSocket<T> | null>(SOCKETS).fill(null);
  readonly #all = new Set<UpstreamSocket<T>>();
  #random = randomBytes(RANDOM_BYTES);
  #randomUsed = 0;
  /** Empty slots. */
  #missing = SOCKETS;
  #refilling = false;
  #closed = false;

  constructor(options: UpstreamSocketsOptions<T>) {
    this.#options = options;
  }

  /** A socket on which `id` is free; null when chance finds none. Throws what NativeIo.openUdp throws. */
  take(id: number, nowMs: number): UpstreamSocket<T> | null {
    for (let draw = 0; draw < DRAWS; draw += 1) {
      const index = this.#draw();
      const socket = (this.#slots[index] ??= this.#open(nowMs));
      if (socket.pending.has(id)) continue;
      socket.uses += 1;
      if (socket.uses >= USES_PER_SOCKET || nowMs - socket.openedMs > SOCKET_AGE_MS) this.#retire(index, socket);
      this.#scheduleRefill();
      return socket;
    }
    return null;
  }

  /** A slot at random, among those with a socket while there is one. */
  #draw(): number {
    const start = this.#randomByte() % SOCKETS;
    for (let i = 0; i < SOCKETS; i += 1) {
      const index = (start + i) % SOCKETS;
      if (this.#slots[index] !== null) return index;
    }
    return start;
  }

  /** To be called when a question is done with: a retired socket goes with its last one. */
  release(socket: UpstreamSocket<T>): void {
    if (!socket.retired || socket.pending.size > 0) return;
    socket.watch.close();
    this.#options.io.closeFd(socket.fd);
    this.#all.delete(socket);
  }

  close(): void {
    this.#closed = true;
    for (const socket of this.#all) {
      socket.pending.clear();
      socket.retired = true;
      this.release(socket);
    }
  }

  #retire(index: number, socket: UpstreamSocket<T>): void {
    socket.retired = true;
    this.#slots[index] = null;
    this.#missing += 1;
  }

  /** One socket at a time, so that no question waits for more. */
  #scheduleRefill(): void {
    if (this.#missing === 0 || this.#refilling) return;
    this.#refilling = true;
    setImmediate(() => {
      this.#refilling = false;
      if (!this.#closed) this.#refill();
    });
  }

  #refill(): void {
    const index = this.#slots.indexOf(null);
    if (index === -1) return;
    try {
      this.#slots[index] = this.#open(performance.now());
    } catch {
      // Out of descriptors, perhaps: the next question tries again and tells.
      return;
    }
    this.#scheduleRefill();
  }

  #open(nowMs: number): UpstreamSocket<T> {
    const { io, family, mark, onReadable } = this.#options;
    const { fd } = io.openUdp({ family, address: family === 4 ? "0.0.0.0" : "::", port: 0, mark, bufferBytes: 0 });
    const socket: UpstreamSocket<T> = {
      fd, pending: new Map(), watch: io.watchReadable(fd, () => onReadable(socket)), openedMs: nowMs, uses: 0, retired: false,
    };
    this.#all.add(socket);
    this.#missing -= 1;
    return socket;
  }

  #randomByte(): number {
    if (this.#randomUsed === RANDOM_BYTES) {
      this.#random = randomBytes(RANDOM_BYTES);
      this.#randomUsed = 0;
    }
    return this.#random[this.#randomUsed++] ?? 0;
  }
}
