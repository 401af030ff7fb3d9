/** A busy control plane: inserts a million triggers, makes garbage, has it collected, and begins again. */
import { ID_BYTES, RING_KEY_BYTES, type Datapath } from "@i3/datapath";

import { writeTriggerId } from "./trigger-ids.js";

const TRIGGERS = 1_000_000;
const TRIGGERS_PER_TURN = 1_000;
const TURNS_PER_COLLECTION = 50;
const OBJECTS_PER_TURN = 2_000;
/** Garbage that has grown old, so that a collection has something to do. */
const KEPT_TURNS = 100;
const TARGET = { kind: "locator", locator: { address: Uint8Array.of(192, 0, 2, 250), port: 9 } } as const;

export interface ChurnReport {
  readonly inserted: number;
  readonly collections: number;
}

export class Churn {
  readonly #datapath: Datapath;
  readonly #kept: unknown[] = [];
  #turn: NodeJS.Immediate | undefined;
  #next = 0;
  #inserted = 0;
  #collections = 0;
  #turns = 0;

  constructor(datapath: Datapath) {
    this.#datapath = datapath;
  }

  /** Until `stop`. */
  start(): void {
    this.#inserted = 0;
    this.#collections = 0;
    this.#go();
  }

  /** Since `start`. */
  report(): ChurnReport {
    return { inserted: this.#inserted, collections: this.#collections };
  }

  /** Takes out what it has put in. */
  stop(): void {
    clearImmediate(this.#turn);
    this.#turn = undefined;
    this.#clear();
    this.#kept.length = 0;
  }

  #go(): void {
    this.#turn = setImmediate(() => {
      if (this.#next >= TRIGGERS) this.#clear();
      this.#insert();
      this.#litter();
      this.#go();
    });
  }

  #insert(): void {
    for (let i = 0; i < TRIGGERS_PER_TURN; i += 1) {
      const id = new Uint8Array(ID_BYTES);
      writeTriggerId(this.#next, id);
      this.#datapath.setTriggers(id.subarray(0, RING_KEY_BYTES), [{ id, target: TARGET }]);
      this.#next += 1;
      this.#inserted += 1;
    }
  }

  #litter(): void {
    this.#kept.push(Array.from({ length: OBJECTS_PER_TURN }, (_, i) => ({ name: `object ${i}`, bytes: new Uint8Array(16) })));
    if (this.#kept.length > KEPT_TURNS) this.#kept.shift();
    this.#turns += 1;
    if (this.#turns % TURNS_PER_COLLECTION !== 0) return;
    if (globalThis.gc === undefined) throw new Error("start node with --expose-gc");
    void globalThis.gc();
    this.#collections += 1;
  }

  #clear(): void {
    const id = new Uint8Array(ID_BYTES);
    for (let i = 0; i < this.#next; i += 1) {
      writeTriggerId(i, id);
      this.#datapath.setTriggers(id.subarray(0, RING_KEY_BYTES), []);
    }
    this.#next = 0;
  }
}
