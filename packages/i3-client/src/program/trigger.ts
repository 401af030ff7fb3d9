/** A program's trigger: whether it is live, and what comes for it, by events or by `for await`. */
import { EventEmitter } from "node:events";

import { bytesKey } from "@i3/common";

import type { ClientError } from "../errors.js";
import { Replacements } from "../replacements.js";
import type { Message } from "./message.js";
import { checkEvent } from "./options.js";

/** Messages that wait for `for await`; more are dropped and counted. */
export const MAX_WAITING_MESSAGES = 1_024;

export interface TriggerEvents {
  message: [message: Message];
  /** A server has it: again, after `lost`. */
  live: [];
  /** Its server is gone or has forgotten it; work on it goes on, and `live` follows. */
  lost: [why: string];
  /** A server will not have it for now, mostly since a certificate has ended or a quota is full. It is tried again. */
  refused: [error: ClientError];
  /** It was removed, or the connection closed. */
  removed: [];
}

const EVENTS = Object.keys({ message: 1, live: 1, lost: 1, refused: 1, removed: 1 } satisfies Record<keyof TriggerEvents, 1>);

/**
 * Made by `insert` and `join` of a connection, and kept alive until {@link remove}.
 *
 * @example
 * trigger.on("message", ({ payload }) => console.log(Buffer.from(payload).toString()));
 * // or, and then without a listener:
 * for await (const { payload } of trigger) console.log(Buffer.from(payload).toString());
 */
export interface Trigger extends EventEmitter<TriggerEvents>, AsyncIterable<Message> {
  /** 32 bytes: what others send to. */
  readonly id: Uint8Array;
  /** A server has it now. */
  readonly live: boolean;
  /** Messages that were dropped since {@link MAX_WAITING_MESSAGES} waited for `for await`. */
  readonly dropped: number;
  /** Takes it out of the ring at once, as far as its server answers. Loops over it end. */
  remove(): void;
}

/** `parts`: ids of the client core's triggers that it is made of. */
export class ProgramTrigger extends EventEmitter<TriggerEvents> implements Trigger {
  dropped = 0;
  readonly parts: readonly Uint8Array[];
  readonly replacements = new Replacements();
  readonly #live = new Set<string>();
  readonly #waiting: Message[] = [];
  readonly #onRemove: (trigger: ProgramTrigger) => void;
  #wake: (() => void)[] = [];
  #isRemoved = false;

  constructor(readonly id: Uint8Array, parts: readonly Uint8Array[], onRemove: (trigger: ProgramTrigger) => void) {
    super();
    this.parts = parts;
    this.#onRemove = onRemove;
    (this as unknown as EventEmitter).on("newListener", (event: string | symbol) => {
      checkEvent(event, EVENTS);
      // What came before the first listener is for it.
      if (event === "message" && this.#waiting.length > 0) queueMicrotask(() => this.#waiting.splice(0).forEach((message) => this.deliver(message)));
    });
  }

  get live(): boolean {
    return this.#live.size === this.parts.length;
  }

  get isRemoved(): boolean {
    return this.#isRemoved;
  }

  deliver(message: Message): void {
    if (this.#isRemoved || this.emit("message", message)) return;
    if (this.#waiting.length >= MAX_WAITING_MESSAGES) {
      this.dropped += 1;
      return;
    }
    this.#waiting.push(message);
    this.#wakeAll();
  }

  setLive(part: Uint8Array): void {
    const before = this.live;
    this.#live.add(bytesKey(part));
    if (!before && this.live) this.emit("live");
  }

  setLost(part: Uint8Array, why: string): void {
    const before = this.live;
    this.#live.delete(bytesKey(part));
    if (before) this.emit("lost", why);
  }

  setRefused(error: ClientError): void {
    this.emit("refused", error);
  }

  remove(): void {
    if (this.#isRemoved) return;
    this.#isRemoved = true;
    this.#live.clear();
    this.#onRemove(this);
    this.#wakeAll();
    this.emit("removed");
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Message, void, undefined> {
    for (;;) {
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) yield next;
      if (this.#isRemoved) return;
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  #wakeAll(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}
