/** What floods leave of a server's ears for its neighbours on the ring, with JavaScript that takes only so much. */
import { makeLocator } from "@i3/common";
import { expect, it } from "vitest";

import { Harness, type Arrival } from "./harness.js";

const NEIGHBOUR = makeLocator(Uint8Array.of(192, 0, 2, 1), 5_610);
/** STATE, as its first bytes are: the engine's limits look at no more. */
const STATE = Uint8Array.of(0x19, 34, 1, 0, ...new Uint8Array(460));
const JUNK = Uint8Array.of(0x19, 3, ...new Uint8Array(14));
const junkFrom = (address: Uint8Array, port = 4_000): Arrival => ({ from: makeLocator(address, port), bytes: JUNK });
const many = (count: number, make: (i: number) => Arrival): Arrival[] => Array.from({ length: count }, (_, i) => make(i));

function server(): Harness {
  const harness = new Harness();
  harness.engine.setResponsibility({ kind: "range", from: new Uint8Array(16).fill(1), to: new Uint8Array(16).fill(2) });
  harness.engine.setNeighbours([NEIGHBOUR]);
  return harness;
}

it("20,000 datagrams of 16 bytes a second in the name of a neighbour's address, from any port, keep out none of its STATEs", () => {
  const harness = server();
  let through = 0;
  for (let ms = 0; ms < 5_000; ms += 10) {
    harness.nowMs += 10;
    harness.step([], many(200, (i) => junkFrom(NEIGHBOUR.address, 1_024 + i)));
    if (ms % 100 !== 90) continue;
    const { drops } = harness.step([], [{ from: NEIGHBOUR, bytes: STATE }]);
    if (Object.keys(drops).length === 0) through += 1;
    while (harness.engine.pending()) harness.step();
  }
  expect(through).toBe(50);
});

/** Numbers in [0, 1), always the same. */
function seeded(): () => number {
  let state = 7;
  return () => (state = (state * 48_271) % 0x7fffffff) / 0x7fffffff;
}

it("100,000 datagrams a second of 4,000 made-up sources keep out none of its STATEs when JavaScript takes 10,240 a second", () => {
  const harness = server();
  const random = seeded();
  let [through, n] = [0, 0];
  const heard = (upcalls: ReturnType<Harness["step"]>["upcalls"]): number => upcalls.filter((upcall) => upcall.kind === "control" && upcall.bytes.length === STATE.length).length;
  for (let turn = 0; turn < 80; turn += 1) {
    harness.nowMs += 25;
    const flood = many(2_500, () => junkFrom(Uint8Array.of(10, 0, (n = (n + 1) % 4_000) >> 8, n & 0xff)));
    flood.splice(Math.floor(random() * flood.length), 0, { from: NEIGHBOUR, bytes: STATE });
    through += heard(harness.step([], flood).upcalls);
  }
  // Those that wait: at the worst behind 0.5 s of others.
  expect(through).toBeGreaterThan(80 - 25);
  while (harness.engine.pending()) through += heard(harness.step().upcalls);
  expect(through).toBe(80);
});
