/** One key in two programs: each takes the other's trigger at every refresh, and both are told. What a replacement is, and how often it is told: i3-proxy's same-key.test.ts, in virtual time. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";

import { expect, it, onTestFinished } from "vitest";

import { connect } from "../../src/index.js";
import { LoopbackServer } from "./loopback-server.js";

it("is told to both, with the id", async () => {
  const server = await LoopbackServer.open();
  const [key, otherKey] = [new Uint8Array(randomBytes(32)), new Uint8Array(randomBytes(32))];
  const programs = await Promise.all([key, key, otherKey].map(async (each) => await connect({ servers: [server.address], key: each })));
  onTestFinished(async () => {
    await Promise.all(programs.map(async (program) => await program.close()));
    server.close();
  });
  const told = programs.slice(0, 2).map(async (program) => (await once(program, "same-key-elsewhere")) as [Uint8Array]);
  const alone: Uint8Array[] = [];
  programs[2]?.on("same-key-elsewhere", (id) => alone.push(id));
  const triggers = await Promise.all(programs.map(async (program) => await program.insert(program.id("inbox"))));
  expect(await Promise.all(told)).toEqual([[triggers[0]?.id], [triggers[0]?.id]]);
  expect(alone).toEqual([]);
}, 60_000);
