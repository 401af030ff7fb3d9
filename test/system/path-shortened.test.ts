/** A link between two real proxies that becomes short under a transfer, and nothing tells of it. */
import { stat } from "node:fs/promises";

import { expect, it } from "vitest";

import { eventually } from "./pair-bed.js";
import { lengthOf, openShort, RECEIVE, setLink, STRAIGHT } from "./short-link.js";

/** 50 kB each tenth of a second for 8 s. */
const STEADY = `
import socket, time
s = socket.socket(socket.AF_INET); s.settimeout(15); s.connect(("home.i3", 8000))
for i in range(80): s.sendall(bytes(50000)); print(i, flush=True); time.sleep(0.1)
s.shutdown(socket.SHUT_WR); assert s.recv(1) == b""
`;

it("a link that becomes short under a transfer, without a word: it goes on within 3 s", async () => {
  const opened = await openShort(1_500, false, STRAIGHT);
  try {
    const { laptop, home, laptopProxy } = opened;
    const target = `${home.directory}/got`;
    const server = home.spawn("python3", ["-c", RECEIVE, target]);
    await server.waitForLine(/ready/, 5_000);
    const client = laptop.spawn("python3", ["-c", STEADY]);
    let longestMs = 0;
    let lastMs = performance.now();
    client.on("line", () => {
      longestMs = Math.max(longestMs, performance.now() - lastMs);
      lastMs = performance.now();
    });
    await eventually("the path's length is known", 10_000, () => Promise.resolve(lengthOf(laptopProxy) === 1_476 ? true : undefined));
    await client.waitForLine(/^20$/, 10_000);
    await setLink(opened, 1_400);
    await eventually("the new length is known", 5_000, () => Promise.resolve(lengthOf(laptopProxy) === 1_400 ? true : undefined));
    await client.ended;
    await server.ended;
    expect((await stat(target)).size).toBe(80 * 50_000);
    expect(longestMs).toBeLessThan(3_000);
  } finally {
    await opened.close();
  }
});
