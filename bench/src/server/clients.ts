/** Sockets of many hosts that insert triggers, by the product's own codecs. */
import { randomBytes } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";

import { decodeControl, encodeControl, encodeLocator, makeLocator, ringKey, TRIGGER_ACTION, type ControlMessage, type Locator } from "@i3/common";
import { signTrigger, type TriggerSigner } from "@i3/hip";

export interface Insert {
  readonly id: Uint8Array;
  readonly signer: TriggerSigner;
  /** 16 bytes. */
  readonly commitment: Uint8Array;
  /** The token before `commitment`: with it the trigger is refreshed once, as soon as it is in. */
  readonly token?: Uint8Array;
}

export interface Inserted {
  readonly inserted: number;
  readonly seconds: number;
  readonly lost: number;
}

const HOSTS_PER_NET = 250;
const FIRST_NET = 1;
const CLIENT_PORT = 20_000;
const SERVER = "127.0.0.1";
const NONCE_BYTES = 8;
const NONCE_AT = 8;
/** A datagram that has no answer by then is lost. */
const ANSWER_MS = 1_000;

interface Host {
  readonly socket: Socket;
  readonly locator: Locator;
}

interface UnderWay {
  readonly insert: Insert;
  readonly host: Host;
  readonly sentMs: number;
  readonly isRefresh?: boolean;
}

/** The nonce of a request, or of its answer. */
const nonceOf = (datagram: Uint8Array): string => Buffer.from(datagram.buffer, datagram.byteOffset + NONCE_AT, NONCE_BYTES).toString("latin1");

export class Clients {
  readonly #hosts: readonly Host[];
  readonly #underWay = new Map<string, UnderWay>();
  #hear: (message: ControlMessage, nonce: string) => void = () => undefined;

  private constructor(hosts: readonly Host[]) {
    this.#hosts = hosts;
    for (const { socket } of hosts) socket.on("message", (bytes) => this.#hear(decodeControl(bytes).message, nonceOf(bytes)));
  }

  /** `count` addresses, at most 50,000. */
  static async open(port: number, count: number): Promise<Clients> {
    const hosts: Host[] = [];
    for (let i = 0; i < count; i += 1) {
      const address = Uint8Array.of(127, FIRST_NET, Math.floor(i / HOSTS_PER_NET), 1 + (i % HOSTS_PER_NET));
      const socket = createSocket("udp4");
      socket.bind(CLIENT_PORT, address.join("."));
      await once(socket, "listening");
      socket.connect(port, SERVER);
      await once(socket, "connect");
      hosts.push({ socket, locator: makeLocator(address, CLIENT_PORT) });
    }
    return new Clients(hosts);
  }

  /** Address (4) and port (2) of each. */
  get endpoints(): readonly Uint8Array[] {
    return this.#hosts.map(({ locator }) => encodeLocator(locator));
  }

  /**
   * Inserts what `next` gives for 0, 1, 2 …, host after host, `atOnce` at a time, until it gives null and all are answered, refreshes too. Rejects when one is refused.
   */
  insert(atOnce: number, next: (number: number) => Insert | null): Promise<Inserted> {
    const startMs = performance.now();
    let [begun, inserted, lost, lastMs] = [0, 0, 0, startMs];
    let more = true;
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clearInterval(timer);
        resolve({ inserted, seconds: (lastMs - startMs) / 1_000, lost });
      };
      const begin = (): void => {
        const insert = more ? next(begun) : null;
        more = insert !== null;
        if (insert === null) return this.#underWay.size === 0 ? end() : undefined;
        this.#challenge(insert, this.#hosts[begun % this.#hosts.length] as Host);
        begun += 1;
      };
      const timer = setInterval(() => {
        for (const [nonce, { insert, host, sentMs }] of this.#underWay) {
          if (performance.now() - sentMs < ANSWER_MS) continue;
          this.#underWay.delete(nonce);
          lost += 1;
          this.#challenge(insert, host);
        }
      }, ANSWER_MS / 2);
      this.#hear = (message, nonce) => {
        const underWay = this.#underWay.get(nonce);
        if (underWay === undefined) return;
        this.#underWay.delete(nonce);
        if (message.type === "CHALLENGE") return this.#sign(underWay, message);
        if (message.type !== "TRIGGER_OK") {
          clearInterval(timer);
          return reject(new Error(`${message.type} ${"code" in message ? message.code : ""}`));
        }
        if (underWay.insert.token !== undefined && underWay.isRefresh !== true) return this.#refresh(underWay, underWay.insert.token);
        inserted += 1;
        lastMs = performance.now();
        begin();
      };
      for (let i = 0; i < atOnce; i += 1) begin();
    });
  }

  #challenge(insert: Insert, host: Host): void {
    this.#send({ insert, host, sentMs: performance.now() }, { type: "CHALLENGE_REQUEST", ringKey: ringKey(insert.id), flags: 0 });
  }

  #sign({ insert, host }: UnderWay, { cookie, nodeKey }: Extract<ControlMessage, { type: "CHALLENGE" }>): void {
    const { id, signer, commitment } = insert;
    const message = signTrigger(signer, { action: TRIGGER_ACTION.insert, id, target: host.locator, flags: 0, counter: Date.now(), commitment, cookie }, nodeKey);
    this.#send({ insert, host, sentMs: performance.now() }, message);
  }

  #refresh({ insert, host }: UnderWay, token: Uint8Array): void {
    this.#send({ insert, host, sentMs: performance.now(), isRefresh: true }, { type: "REFRESH", id: insert.id, index: 1, token, member: null });
  }

  #send(underWay: UnderWay, message: ControlMessage): void {
    const nonce = randomBytes(NONCE_BYTES);
    this.#underWay.set(nonce.toString("latin1"), underWay);
    underWay.host.socket.send(encodeControl(message, nonce));
  }

  close(): void {
    for (const { socket } of this.#hosts) socket.close();
  }
}
