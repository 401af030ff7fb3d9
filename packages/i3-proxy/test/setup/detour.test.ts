/** When a host reaches the ring by TCP, and when it does not any more (docs/wire.md §10): the core alone, in virtual time. */
import { decodeControl, encodeControl, makeLocator, type Locator } from "@i3/common";
import type { Datagram, Detoured } from "@i3/datapath";
import { beforeEach, describe, expect, it } from "vitest";

import { Detour } from "../../src/setup/detour.js";

const S1 = makeLocator(Uint8Array.of(192, 0, 2, 1), 5_610);
const HERE = Uint8Array.of(10, 1, 0, 2);
const THERE = Uint8Array.of(10, 2, 0, 2);
const S2 = makeLocator(Uint8Array.of(192, 0, 2, 2), 5_610);
/** These are not configured. */
const S3 = makeLocator(Uint8Array.of(192, 0, 2, 3), 5_610);
const S4 = makeLocator(Uint8Array.of(192, 0, 2, 4), 5_610);

class Bed {
  nowMs = 50_000;
  readonly happened: string[] = [];
  readonly asked: { readonly atMs: number; readonly to: Locator; readonly nonce: Uint8Array }[] = [];
  readonly straight: Datagram[] = [];
  readonly sent: { readonly to: Locator; readonly bytes: Uint8Array }[] = [];
  readonly taken: Detoured[] = [];
  /** Of the WebSocket. */
  local: Uint8Array | null = HERE;
  roundTripMs = 0;
  #nonces = 0;
  readonly detour = new Detour({
    link: {
      names: ["one:443", "two:443"], connect: (index) => void this.note(`connect ${index}`), disconnect: () => void this.note("disconnect"), send: (to, bytes) => void this.sent.push({ to, bytes }), local: () => this.local,
    },
    datapath: {
      send: (datagrams) => {
        for (const datagram of datagrams) {
          expect(datagram.isStraight).toBe(true);
          if (datagram.bytes[0] === 0x19) this.asked.push({ atMs: this.nowMs, to: datagram.locator, nonce: decodeControl(datagram.bytes).nonce });
          else this.straight.push(datagram);
        }
      },
      setDetour: (isOn) => void this.note(isOn ? "on" : "off"), takeDetoured: (datagrams) => void this.taken.push(...datagrams),
    },
    randomBytes: (length) => Uint8Array.from({ length }, (_, i) => (i === 0 ? (this.#nonces += 1) : i === 1 ? this.#nonces >> 8 : 0)), servers: () => [S1, S2], roundTripMs: () => this.roundTripMs,
    onTurned: (_, isOn, answered) => void this.note(`turned ${isOn}${answered === null ? "" : ` by ${answered.address.at(-1)}`}`), log: (level, event, { server = "", why }) => void this.note(`${level} ${event} ${server as string} ${why as string}`.replace("  ", " ")),
  });

  note(what: string): void {
    this.happened.push(`${this.nowMs - 50_000} ${what}`);
  }

  run(forMs: number): void {
    const endMs = this.nowMs + forMs;
    for (let turns = 0; this.detour.nextDeadlineMs() <= endMs; turns += 1) {
      if (turns > 1_000) throw new Error(`time stands still at ${this.nowMs}`);
      this.nowMs = Math.max(this.nowMs, this.detour.nextDeadlineMs());
      this.detour.handleTimer(this.nowMs);
    }
    this.nowMs = endMs;
  }

  take(): string[] {
    return this.happened.splice(0);
  }

  /** A PONG over UDP, that answers nothing unless told otherwise. */
  pong(nonce: Uint8Array = new Uint8Array(8).fill(0xee), from = S1): boolean {
    return this.detour.handlePong(this.nowMs, from, nonce);
  }

  /** An answer over UDP to what the client has asked. */
  answer(from = S1): void {
    this.detour.handleAnswer(this.nowMs, from);
  }

  /** A server takes a trigger, by UDP. */
  triggerOk(nonce: Uint8Array = new Uint8Array(8).fill(0xcc), from = S1): void {
    this.detour.handleTriggerOk(this.nowMs, from, nonce);
  }

  /** On the detour since now. */
  turnOn(): void {
    this.detour.start(this.nowMs);
    this.run(3_000);
    this.detour.handleOpened(this.nowMs);
    this.run(1_000);
    expect(this.detour.isOn).toBe(true);
    this.take();
    this.asked.length = 0;
  }

  /** For so long, with a server that answers by TCP. */
  live(forMs: number): void {
    for (let left = forMs; left > 0; left -= 1_000) {
      this.run(Math.min(1_000, left));
      this.detour.handleDatagram(this.nowMs, S1, Uint8Array.of(0x19, 2));
    }
  }
}

let bed: Bed;
beforeEach(() => (bed = new Bed()));

describe("over UDP", () => {
  it("nothing is tried before there are servers, nor while one answers at least every three seconds", () => {
    bed.run(60_000);
    bed.detour.start(bed.nowMs);
    for (let i = 0; i < 20; i += 1) {
      bed.run(2_999);
      bed.answer();
    }
    expect(bed.take()).toEqual([]);
    bed.run(2_999);
    expect(bed.take()).toEqual([]);
    bed.run(1);
    expect(bed.take().map((what) => what.split(" ")[1])).toEqual(["connect"]);
  });

  it("a PONG that answers nothing is no answer", () => {
    bed.detour.start(bed.nowMs);
    bed.run(2_500);
    expect(bed.pong()).toBe(false);
    bed.run(500);
    expect(bed.take()).toEqual(["3000 connect 0"]);
    bed.detour.handleOpened(bed.nowMs);
    bed.run(500);
    expect([bed.pong(), bed.pong(bed.asked[0]?.nonce, S2)]).toEqual([false, false]);
    bed.run(500);
    expect(bed.detour.isOn).toBe(true);
  });

  it("one that was only heard of answers for nobody, before and on the detour", () => {
    bed.detour.start(bed.nowMs);
    const heard = (count: number): void => {
      for (let i = 0; i < count; i += 1) {
        bed.run(500);
        bed.answer(S3);
        bed.detour.handleUdp(bed.nowMs, S3);
      }
    };
    heard(6);
    expect(bed.take()).toEqual(["3000 connect 0"]);
    bed.detour.handleOpened(bed.nowMs);
    heard(2);
    expect(bed.detour.isOn).toBe(true);
    heard(10);
    expect(bed.detour.isOn).toBe(true);
    bed.detour.handleUdp(bed.nowMs, S2);
    expect(bed.detour.isOn).toBe(false);
  });

  it("an answer while a WebSocket opens ends that, whoever it answers", () => {
    bed.detour.start(bed.nowMs);
    bed.run(3_400);
    bed.answer();
    expect(bed.take()).toEqual(["3000 connect 0", "3400 disconnect"]);
    bed.detour.handleOpened(bed.nowMs);
    bed.run(2_999);
    expect(bed.take()).toEqual([]);
  });

  it("a move ends one that waits for what is under way, and begins one that was to wait", () => {
    bed.turnOn();
    bed.live(15_000);
    bed.pong(bed.asked[0]?.nonce);
    bed.take();
    bed.detour.handlePlaces(bed.nowMs, [THERE]);
    expect(bed.take()).toEqual(["19000 disconnect"]);
    bed.detour.handlePlaces(bed.nowMs, [HERE]);
    expect(bed.take()).toEqual([]);
    bed.run(3_000);
    for (let i = 0; i < 6; i += 1) {
      bed.detour.handleClosed(bed.nowMs, "refused");
      bed.run(i < 5 ? 32_000 : 10_000);
    }
    bed.take();
    bed.detour.handlePlaces(bed.nowMs, [THERE]);
    bed.run(0);
    expect(bed.take().map((what) => what.replace(/^\d+ /, "").replace(/\d/, "N"))).toEqual(["disconnect", "connect N"]);
  });

  it("an answer after the WebSocket has opened, and before a second has gone by, ends it too", () => {
    bed.detour.start(bed.nowMs);
    bed.run(3_000);
    bed.detour.handleOpened(bed.nowMs);
    bed.run(999);
    expect(bed.asked.map(({ atMs, to }) => [atMs - 50_000, to])).toEqual([[3_000, S1], [3_000, S2], [3_500, S1], [3_500, S2]]);
    expect(bed.pong(bed.asked[2]?.nonce)).toBe(true);
    expect(bed.take()).toEqual(["3000 connect 0", "3999 disconnect"]);
    bed.run(2_999);
    expect(bed.detour.isOn).toBe(false);
  });

  describe("of servers that were only heard of", () => {
    /** Each answers each second, and takes a trigger each five. */
    const live = (forS: number, servers: readonly Locator[], takers = servers): void => {
      for (let s = 0; s < forS; s += 1) {
        if (s % 5 === 0) for (const server of takers) bed.triggerOk(undefined, server);
        for (const server of servers) bed.answer(server);
        bed.run(1_000);
      }
    };
    beforeEach(() => bed.detour.start(bed.nowMs));

    it("two that take triggers say that UDP works, as long as both answer", () => {
      live(60, [S3, S4]);
      expect(bed.take()).toEqual([]);
      live(3, [S4]);
      expect(bed.take()).toEqual(["62000 connect 0"]);
    });

    it("two end a WebSocket that opens", () => {
      bed.run(3_000);
      bed.triggerOk(undefined, S3);
      bed.triggerOk(undefined, S4);
      for (const server of [S3, S4]) bed.answer(server);
      expect(bed.take()).toEqual(["3000 connect 0", "3000 disconnect"]);
    });

    it.each<readonly [string, readonly Locator[], readonly Locator[]]>([
      ["one alone", [S3], [S3]], ["one at two ports", [S3, makeLocator(S3.address, 53)], [S3, makeLocator(S3.address, 53)]], ["two of which one takes triggers", [S3, S4], [S3]], ["two of which one answers", [S3], [S3, S4]],
    ])("%s: does not", (_, servers, takers) => {
      live(4, servers, takers);
      expect(bed.take()).toEqual(["3000 connect 0"]);
    });

    it("two that take no trigger any more do not", () => {
      live(1, [S3, S4]);
      live(20, [S3, S4], []);
      expect(bed.take()).toEqual(["15000 connect 0"]);
    });

    it("two do not end the detour: what they take there goes by TCP", () => {
      live(1, [S3, S4]);
      bed.run(3_000);
      bed.detour.handleOpened(bed.nowMs);
      bed.run(1_000);
      expect(bed.detour.isOn).toBe(true);
      for (const server of [S3, S4, S3]) bed.detour.handleUdp(bed.nowMs, server);
      expect(bed.detour.isOn).toBe(true);
    });
  });
});

describe("while no server answers over UDP", () => {
  it("the detour is on when a WebSocket is open and a second has gone by", () => {
    bed.detour.start(bed.nowMs);
    bed.run(3_000);
    bed.detour.handleOpened(bed.nowMs);
    bed.run(1_000);
    expect(bed.take()).toEqual(["3000 connect 0", "4000 on", "4000 warn detour one:443 no i3 server answers over UDP", "4000 turned true"]);
    expect(bed.detour.isOn).toBe(true);
  });

  it("servers are tried one after the other, more and more seldom, and each is told of once", () => {
    bed.detour.start(bed.nowMs);
    bed.run(3_000);
    bed.detour.handleClosed(bed.nowMs, "refused");
    bed.run(1_000);
    bed.detour.handleClosed(bed.nowMs, "refused too");
    bed.run(2_000 + 8_000);
    expect(bed.take()).toEqual([
      "3000 connect 0", "3000 disconnect", "3000 warn detour-failed one:443 refused", "4000 connect 1", "4000 disconnect", "4000 warn detour-failed two:443 refused too", "6000 connect 0", "14000 disconnect",
    ]);
    bed.run(4_000);
    expect(bed.take()).toEqual(["18000 connect 1"]);
    bed.run(600_000);
    const times = bed.take().filter((what) => what.includes("connect ")).map((what) => Number(what.split(" ")[0]));
    const gaps = times.slice(1).map((ms, i) => ms - (times[i] ?? 0));
    expect(Math.max(...gaps)).toBe(38_000);
    expect(gaps.at(-1)).toBe(38_000);
  });
});

describe("on the detour", () => {
  beforeEach(() => bed.turnOn());

  it("i3 goes by TCP, and comes by it; what is for peers alone is left to UDP", () => {
    const [data, control, esp] = [Uint8Array.of(0x11, 1), Uint8Array.of(0x19, 1), Uint8Array.of(0x20, 1)];
    for (const bytes of [data, control, esp]) bed.detour.handleUpcall({ kind: "detour", locator: S2, bytes });
    expect(bed.sent).toEqual([{ to: S2, bytes: data }, { to: S2, bytes: control }]);
    expect(bed.straight).toEqual([{ locator: S2, bytes: esp, isStraight: true }]);
    bed.detour.handleDatagram(bed.nowMs, S2, data);
    expect(bed.taken).toEqual([{ from: S2, bytes: data }]);
  });

  it("each server is asked over UDP each 15 s, for as long as it lasts", () => {
    const sinceMs = bed.nowMs;
    bed.live(165_000);
    expect(bed.asked.filter(({ to }) => to === S1).map(({ atMs }) => atMs - sinceMs)).toEqual(Array.from({ length: 11 }, (_, i) => 15_000 * (i + 1)));
    expect(bed.asked).toHaveLength(22);
    expect(bed.take()).toEqual([]);
  });

  it("answers by TCP end nothing; one to a question over UDP does, and the WebSocket stays ten seconds for what is under way", () => {
    bed.live(15_000);
    bed.answer();
    expect([bed.pong(), bed.pong(bed.asked[1]?.nonce, S1)]).toEqual([false, false]);
    expect(bed.detour.isOn).toBe(true);
    expect(bed.pong(bed.asked[1]?.nonce, S2)).toBe(true);
    bed.triggerOk();
    expect(bed.take()).toEqual(["19000 off", "19000 info detour a server answers over UDP again", "19000 turned false by 2"]);
    bed.detour.handleUpcall({ kind: "detour", locator: S1, bytes: Uint8Array.of(0x11) });
    expect([bed.sent, bed.straight.length]).toEqual([[], 1]);
    for (let i = 0; i < 9; i += 1) {
      bed.run(1_000);
      bed.answer();
    }
    bed.detour.handleDatagram(bed.nowMs, S1, Uint8Array.of(0x11));
    expect(bed.taken.at(-1)).toEqual({ from: S1, bytes: Uint8Array.of(0x11) });
    expect(bed.take()).toEqual([]);
    bed.run(1_000);
    expect(bed.take()).toEqual(["29000 disconnect"]);
    bed.detour.handleDatagram(bed.nowMs, S1, Uint8Array.of(0x12));
    expect(bed.taken.at(-1)?.bytes).toEqual(Uint8Array.of(0x11));
  });

  it("when no server answers over UDP any more for three seconds, the WebSocket that is still open is used again, and servers are asked half as often each time", () => {
    const atMs: number[] = [];
    for (let i = 0; i < 4; i += 1) {
      const sinceMs = bed.nowMs;
      bed.asked.length = 0;
      while (bed.asked.length === 0) bed.live(1_000);
      atMs.push(bed.nowMs - sinceMs);
      bed.pong(bed.asked[0]?.nonce);
      bed.triggerOk();
      bed.take();
      bed.run(1_000);
      bed.answer(S2);
      bed.run(2_999);
      expect(bed.take()).toEqual([]);
      bed.run(1);
      expect(bed.take().map((what) => what.replace(/^\d+ /, ""))).toEqual(["on", "warn detour one:443 no i3 server answers over UDP", "turned true"]);
      bed.sent.length = 0;
      bed.detour.handleUpcall({ kind: "detour", locator: S1, bytes: Uint8Array.of(0x11) });
      expect([bed.sent.length, bed.detour.isOn]).toEqual([1, true]);
    }
    expect(atMs).toEqual([15_000, 30_000, 60_000, 60_000]);
  });

  it("when none takes a trigger over UDP within three seconds, whatever PONGs come, the WebSocket is used again, and for twice as long as before no answer ends that", () => {
    bed.live(15_000);
    bed.pong(bed.asked[0]?.nonce);
    bed.take();
    const held: number[] = [];
    for (let i = 0; i < 3; i += 1) {
      for (let n = 0; n < 2; n += 1) {
        bed.run(1_000);
        bed.answer();
      }
      // By TCP, as all that was asked before.
      const nonce = new Uint8Array(8).fill(0xdc);
      bed.detour.handleDatagram(bed.nowMs, S1, encodeControl({ type: "TRIGGER_OK", action: 1, id: new Uint8Array(32), lifeMs: 30_000, replica: null }, nonce));
      bed.triggerOk(nonce);
      bed.run(999);
      expect(bed.take()).toEqual([]);
      bed.run(1);
      expect(bed.take().map((what) => what.replace(/^\d+ /, ""))).toEqual(["on", "warn detour one:443 an i3 server answers over UDP, but none has taken a trigger so", "turned true"]);
      const sinceMs = bed.nowMs;
      while (bed.detour.isOn) {
        bed.live(1_000);
        bed.detour.handleUdp(bed.nowMs, S2);
      }
      held.push(bed.nowMs - sinceMs);
      bed.take();
    }
    expect(held).toEqual([30_000, 60_000, 60_000]);
    bed.triggerOk();
    for (let i = 0; i < 10; i += 1) {
      bed.run(1_000);
      bed.answer();
    }
    expect(bed.take().map((what) => what.replace(/^\d+ /, ""))).toEqual(["disconnect"]);
  });

  it("after plain silence an answer over UDP counts at once, whoever has asked", () => {
    bed.live(15_000);
    bed.pong(bed.asked[0]?.nonce);
    bed.triggerOk();
    bed.run(3_000);
    expect(bed.detour.isOn).toBe(true);
    bed.detour.handleUdp(bed.nowMs, S2);
    expect(bed.detour.isOn).toBe(false);
  });

  it.each([[1_500, 7_500], [Infinity, 9_000]])("at %s ms to a server a trigger has as much longer as three round trips take, and less than the WebSocket stays", (roundTripMs, leastMs) => {
    bed.live(15_000);
    bed.roundTripMs = roundTripMs;
    bed.pong(bed.asked[0]?.nonce);
    // What is measured over UDP later does not matter.
    bed.roundTripMs = 0;
    bed.take();
    bed.run(leastMs - 1);
    expect(bed.take()).toEqual([]);
    bed.run(1);
    expect(bed.take().map((what) => what.replace(/^\d+ /, ""))).toEqual(["on", "warn detour one:443 an i3 server answers over UDP, but none has taken a trigger so", "turned true"]);
  });

  it("and one that was taken before counts no more", () => {
    bed.live(15_000);
    bed.pong(bed.asked[0]?.nonce);
    bed.triggerOk();
    bed.run(3_000);
    expect(bed.detour.isOn).toBe(true);
    bed.live(30_000);
    bed.detour.handleUdp(bed.nowMs, S1);
    for (let i = 0; i < 3; i += 1) {
      expect(bed.detour.isOn).toBe(false);
      bed.run(1_000);
      bed.answer();
    }
    expect(bed.detour.isOn).toBe(true);
  });

  it("but in another network one counts at once", () => {
    bed.live(15_000);
    bed.pong(bed.asked[0]?.nonce);
    bed.run(3_000);
    bed.detour.handleUdp(bed.nowMs, S1);
    expect(bed.detour.isOn).toBe(true);
    bed.detour.handlePlaces(bed.nowMs, [HERE]);
    bed.detour.handleUdp(bed.nowMs, S1);
    expect(bed.detour.isOn).toBe(false);
  });

  it("if nothing comes by it then for three seconds, it is dead", () => {
    bed.live(15_000);
    bed.pong(bed.asked[0]?.nonce);
    bed.run(3_000);
    bed.take();
    bed.run(2_999);
    expect(bed.take()).toEqual([]);
    bed.run(1);
    expect(bed.take()).toEqual(["25000 disconnect", "25000 off", "25000 info detour the connection to one:443 is lost: it has gone silent", "25000 turned false"]);
  });

  it("if it is only being opened then, it is used when it is open", () => {
    bed.live(5_000);
    bed.detour.handlePlaces(bed.nowMs, [THERE]);
    bed.run(20);
    bed.pong(bed.asked[0]?.nonce);
    bed.take();
    bed.run(3_500);
    expect(bed.take()).toEqual([]);
    bed.detour.handleOpened(bed.nowMs);
    bed.run(500);
    expect(bed.take()).toEqual(["13020 on", "13020 warn detour one:443 no i3 server answers over UDP", "13020 turned true"]);
  });

  it("a PONG that comes by the WebSocket is known by its nonce, until 512 others have come", () => {
    const nonce = (n: number): Uint8Array => Uint8Array.of(0xdd, n, n >> 8, 0, 0, 0, 0, 0);
    const come = (n: number): void => bed.detour.handleDatagram(bed.nowMs, S1, encodeControl({ type: "PONG", timeMs: 0, observed: S2, nodeKey: new Uint8Array(16) }, nonce(n)));
    come(0);
    expect([bed.detour.cameByTcp(nonce(0)), bed.detour.cameByTcp(nonce(1))]).toEqual([true, false]);
    for (let n = 1; n < 512; n += 1) come(n);
    expect(bed.detour.cameByTcp(nonce(0))).toBe(true);
    come(512);
    expect([0, 1, 512].map((n) => bed.detour.cameByTcp(nonce(n)))).toEqual([false, true, true]);
  });

  it("an answer counts once", () => {
    bed.live(15_000);
    const nonce = bed.asked[0]?.nonce as Uint8Array;
    expect([bed.pong(nonce), bed.pong(nonce)]).toEqual([true, false]);
  });

  it("another network is asked at once", () => {
    bed.live(50_000);
    bed.asked.length = 0;
    bed.detour.handlePlaces(bed.nowMs, [HERE]);
    bed.live(15_000);
    expect(bed.asked.filter(({ to }) => to === S1).map(({ atMs }) => atMs - 104_000)).toEqual([0, 15_000]);
  });

  it("what is for peers, or comes from them, does not pass by TCP", () => {
    const [check, checked, esp, none] = [Uint8Array.of(0x19, 18), Uint8Array.of(0x19, 19), Uint8Array.of(0x20, 1), new Uint8Array(0)];
    for (const bytes of [check, checked, esp, none]) bed.detour.handleDatagram(bed.nowMs, S1, bytes);
    expect([bed.taken, bed.detour.counters.refused]).toEqual([[], 4]);
  });

  it("an answer over UDP to what others have asked there ends it, too", () => {
    bed.live(5_000);
    bed.detour.handleUdp(bed.nowMs, S2);
    expect(bed.take()).toEqual(["9000 off", "9000 info detour a server answers over UDP again", "9000 turned false by 2"]);
  });

  it("a move makes the WebSocket anew at once, and the ring hears of it when it is open; what goes meanwhile goes by UDP", () => {
    bed.live(30_000);
    bed.asked.length = 0;
    bed.detour.handlePlaces(bed.nowMs, [THERE]);
    bed.run(0);
    expect(bed.take()).toEqual(["34000 disconnect", "34000 connect 0"]);
    expect(bed.asked.map(({ atMs, to }) => [atMs - 84_000, to])).toEqual([[0, S1], [0, S2]]);
    bed.detour.handleUpcall({ kind: "detour", locator: S1, bytes: Uint8Array.of(0x11) });
    expect([bed.sent, bed.straight.length]).toEqual([[], 1]);
    bed.local = THERE;
    bed.run(40);
    bed.detour.handleOpened(bed.nowMs);
    expect(bed.take()).toEqual(["34040 turned true"]);
    bed.detour.handleUpcall({ kind: "detour", locator: S1, bytes: Uint8Array.of(0x11) });
    expect([bed.sent.length, bed.detour.isOn]).toEqual([1, true]);
    bed.detour.handlePlaces(bed.nowMs, [HERE, THERE]);
    bed.run(0);
    expect(bed.take()).toEqual([]);
  });

  it("a move to a network that lets UDP through ends it with the first answer", () => {
    bed.live(5_000);
    bed.detour.handlePlaces(bed.nowMs, [THERE]);
    bed.run(20);
    expect(bed.pong(bed.asked[0]?.nonce)).toBe(true);
    expect(bed.take()).toEqual(["9000 disconnect", "9000 connect 0", "9020 off", "9020 info detour a server answers over UDP again", "9020 turned false by 1"]);
  });

  it("a thousand moves in a minute make four WebSockets a second at most, and the last one from where it ended", () => {
    for (let i = 0; i < 1_000; i += 1) {
      bed.detour.handlePlaces(bed.nowMs, [Uint8Array.of(10, 3, i >> 8, i)]);
      bed.run(60);
    }
    bed.run(250);
    const connects = bed.take().filter((what) => what.includes(" connect ")).map((what) => Number(what.split(" ")[0]));
    expect(connects.length).toBeGreaterThan(100);
    expect(Math.min(...connects.slice(1).map((ms, i) => ms - (connects[i] ?? 0)))).toBeGreaterThanOrEqual(250);
    expect(connects.at(-1)).toBeGreaterThanOrEqual(4_000 + 999 * 60);
  });

  it("while there is no address at all nothing is begun, and with the next one it is", () => {
    bed.detour.handlePlaces(bed.nowMs, []);
    bed.run(500);
    expect(bed.take()).toEqual([]);
    bed.detour.handlePlaces(bed.nowMs, [THERE]);
    bed.run(0);
    expect(bed.take()).toEqual(["4500 disconnect", "4500 connect 0"]);
  });

  it("one that does not open after a move is lost as any other", () => {
    bed.detour.handlePlaces(bed.nowMs, [THERE]);
    bed.run(8_000);
    expect(bed.take()).toEqual(["4000 disconnect", "4000 connect 0", "12000 disconnect", "12000 off", "12000 info detour the connection to one:443 is lost: it does not answer", "12000 turned false"]);
  });

  it("so does waking up, since the server may have ended it", () => {
    bed.live(5_000);
    bed.detour.awake(bed.nowMs);
    bed.run(0);
    expect(bed.take()).toEqual(["9000 disconnect", "9000 connect 0"]);
  });

  it("a WebSocket that ends is followed by one to the next server", () => {
    bed.detour.handleClosed(bed.nowMs, "reset");
    bed.run(1_000);
    bed.detour.handleOpened(bed.nowMs);
    bed.run(1_000);
    expect(bed.take()).toEqual([
      "4000 disconnect", "4000 off", "4000 info detour the connection to one:443 is lost: reset", "4000 turned false", "5000 connect 1", "5000 on", "5000 warn detour two:443 no i3 server answers over UDP", "5000 turned true",
    ]);
  });

  it("so is one by which nothing comes for ten seconds", () => {
    bed.live(5_000);
    bed.run(9_999);
    expect(bed.take()).toEqual([]);
    bed.run(1);
    expect(bed.take().slice(0, 3)).toEqual(["19000 disconnect", "19000 off", "19000 info detour the connection to one:443 is lost: it has gone silent"]);
  });
});
