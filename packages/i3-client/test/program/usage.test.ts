/** What a program hands in wrongly, at every public entry: thrown at once, with a code, a sentence that names it, and a remedy. */
import type { EventEmitter } from "node:events";

import { I3Error } from "@i3/common";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { connect, fromHex, newGroup, toHex, type ConnectOptions, type I3Connection, type Trigger } from "../../src/index.js";
import { LoopbackServer } from "./loopback-server.js";

const TOMORROW = new Date(Date.now() + 86_400_000);
let server: LoopbackServer;
let i3: I3Connection;
let inbox: Trigger;
beforeAll(async () => {
  server = await LoopbackServer.open();
  i3 = await connect({ servers: [server.address] });
  inbox = await i3.insert();
});
afterAll(async () => {
  await i3.close();
  server.close();
});

/** Of the error: what is wrong, and the remedy. */
async function refusalOf(act: () => unknown): Promise<readonly [string, string]> {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof I3Error)) throw error;
    expect(error.code).toBe("ERR_I3_USAGE");
    expect(error.remedy).toMatch(/[.?]$/);
    return [error.message, error.remedy ?? ""];
  }
  throw new Error("nothing was refused");
}

describe("connect refuses", () => {
  const rows: readonly (readonly [options: unknown, message: RegExp, remedy?: RegExp])[] = [
    [undefined, /^the options of connect are missing$/], [null, /options of connect are null/], ["192.0.2.1", /options of connect are "192/], [["192.0.2.1"], /options of connect are an array/],
    [{ sever: 1 }, /^connect has no option "sever"$/, /^Did you mean servers\?$/], [{ quite: "another" }, /no option "quite"/, /^The options of connect are: servers, /],
    [{ servers: "10.77.5.11" }, /^servers is "10.77.5.11"$/, /servers: \["192.0.2.1"\]/], [{ servers: [] }, /^no server is named$/], [{}, /^no server is named$/],
    [{ servers: ["999.1.1.1"] }, /^the address of a server is "999.1.1.1"$/], [{ servers: [7] }, /address of a server is 7/],
    ...[-1, 70_000, "abc", 1.5, "47010", null].map((port) => [{ port }, /^port is /, /0 .* to 65535/] as const),
    ...["5", -1, NaN, Infinity, 1e12, null].map((timeoutMs) => [{ timeoutMs }, /^timeoutMs is /, /milliseconds/] as const),
    [{ address: "foo" }, /^address is "foo"$/], [{ address: 5 }, /^address is 5$/], [{ stateDir: "" }, /^stateDir is ""$/], [{ stateDir: 5 }, /^stateDir is 5$/], [{ key: "zz" }, /^key has not the right form$/],
    [{ stateDir: "/x", key: new Uint8Array(32) }, /both key and stateDir/],
    [{ serverList: null }, /options of serverList are null/], [{ serverList: { kee: 1 } }, /no option "kee"/, /key/], [{ serverList: {} }, /^the key of serverList has/],
    [{ serverList: { key: new Uint8Array(32), file: "" } }, /^file of serverList is ""/], [{ serverList: { key: new Uint8Array(32), label: 5 } }, /^label of serverList is 5/],
  ];
  it.each(rows.map(([options, message, remedy = /./]) => [options, message, remedy] as const))("%j", async (options, message, remedy) => {
    const whole = typeof options === "object" && options !== null && !Array.isArray(options) && Object.keys(options).length > 0 && !("servers" in options) ? { servers: [server.address], ...options } : options;
    const [said, todo] = await refusalOf(async () => {
      const wrong = await connect(whole as ConnectOptions);
      await wrong.close();
    });
    expect([said, todo]).toEqual([expect.stringMatching(message), expect.stringMatching(remedy)]);
  });
});

describe("a connection refuses", () => {
  const id = new Uint8Array(32);
  const group = newGroup();
  /** Whose events have no types. */
  const plain = (emitter: object): EventEmitter => emitter as EventEmitter;
  const message = { id, payload: new Uint8Array(1), stack: [id], hopLimit: 5, copyBudget: 5 };
  it.each<readonly [call: string, act: (wrong: never) => unknown, wrong: readonly unknown[], message: RegExp]>([
    ["id(label)", (wrong) => i3.id(wrong), [5, null, {}], /^the label is /],
    ["nearId", (wrong) => i3.nearId(wrong), [{ timeoutMs: "5" }, { timeout: 5 }, null, 5], /timeoutMs is "5"|nearId/],
    ["insert(id)", (wrong) => i3.insert(wrong), [null, 5, "ab", {}], /^the id is /],
    ["insert's options", (wrong) => i3.insert(undefined, wrong), [null, { vai: [] }, []], /^the options of insert|no option "vai"/],
    ["insert's via", (wrong) => i3.insert(undefined, { via: wrong }), ["x", null, 5, {}, id], /^via is /],
    ["insert's to", (wrong) => i3.insert(undefined, { to: wrong }), ["x", null, 5, {}, id], /^to is /],
    ["insert's consents", (wrong) => i3.insert(undefined, { to: [wrong] }), ["x", null, 5, id], /^consent 1 /],
    ["insert's values", (wrong) => i3.insert(undefined, wrong), [{ shortcut: 1 }, { timeoutMs: "5" }, { identity: {} }, { identity: null }, { identity: "file" }], /^(shortcut|timeoutMs|identity) is /],
    ["join(group)", (wrong) => i3.join(wrong), [undefined, null, 5, {}, id], /certificate/],
    ["join's options", (wrong) => i3.join(group, wrong), [null, { preferences: "x" }, { to: "x" }, { shortcut: 1 }, { timeoutMs: null }], /join|^to is|^shortcut is|^timeoutMs is/],
    ["join's preference", (wrong) => i3.join(group, { preference: wrong }), [5, null, "twelve bytes"], /^the preference is /],
    ["send(to)", (wrong) => i3.send(wrong, "x"), [undefined, null, 5, {}, [], [null]], /^(the id|the stack|id 1 of the stack) /],
    ["send(payload)", (wrong) => i3.send(id, wrong), [undefined, null, 5, {}, [1]], /^the payload is /],
    ["send's options", (wrong) => i3.send(id, "x", wrong), [null, { shortcuts: true }, { shortcut: "yes" }], /send|^shortcut is "yes"/],
    ["anycast", (wrong) => i3.anycast(wrong, "x"), [undefined, null, 5], /^the group's id is /],
    ["anycast's options", (wrong) => i3.anycast(group, "x", wrong), [null, { preferences: "x" }, { preference: 5 }], /anycast|^the preference is 5/],
    ["forward(message)", (wrong) => i3.forward(wrong), [undefined, null, 5, {}, { ...message, stack: [] }, { ...message, stack: [5] }, { ...message, hopLimit: "5" }, { ...message, copyBudget: undefined }], /message|id 1 of the stack/],
    ["forward(payload)", (wrong) => i3.forward(message, wrong), [5, {}], /^the payload is /],
    ["consent(through)", (wrong) => i3.consent(wrong, id, TOMORROW), [undefined, 5, id], /^the own id is|not an id of this connection's keys$/],
    ["consent(source)", (wrong) => i3.consent(i3.id(), wrong, TOMORROW), [undefined, 5, "ab"], /^the source is /],
    ["consent(notAfter)", (wrong) => i3.consent(i3.id(), id, wrong), [undefined, Date.now() + 1e5, "tomorrow", new Date(NaN), new Date(-1)], /^notAfter is /],
    ["a group's consent", (wrong) => group.consent(id, wrong), [undefined, Date.now() + 1e5], /^notAfter is /],
    ["on(event)", (wrong) => plain(i3).on(wrong, () => undefined), ["bogus"], /^there is no event "bogus"$/],
    ["once(event)", (wrong) => plain(i3).once(wrong, () => undefined), ["not-presnt"], /^there is no event "not-presnt"$/],
    ["a trigger's on(event)", (wrong) => plain(inbox).on(wrong, () => undefined), ["mesage"], /^there is no event "mesage"$/],
  ])("%s", async (_, act, wrongs, said) => {
    for (const wrong of wrongs) expect((await refusalOf(() => act(wrong as never)))[0]).toMatch(said);
  });

  it("what are no hex digits", async () => {
    for (const [text, said] of [["zz", '"zz"'], ["abc", '"abc"'], [undefined, "missing"], [["ab"], "an array"], ["z".repeat(64), "a text of 64 characters"]] as const) {
      expect(await refusalOf(() => fromHex(text as string))).toEqual([`the hex digits are ${said}`, expect.stringContaining("two digits")]);
    }
    expect([toHex(fromHex("00fF")), fromHex("")]).toEqual(["00ff", new Uint8Array(0)]);
  });

  it("with what was probably meant", async () => {
    expect(await refusalOf(() => i3.on("not-presnt" as "server", () => undefined))).toEqual([expect.any(String), "Did you mean not-present?"]);
    expect(await refusalOf(() => i3.insert(undefined, { vai: [] } as never))).toEqual([expect.any(String), "Did you mean via?"]);
    expect(await refusalOf(() => i3.on("bogus" as "server", () => undefined))).toEqual([expect.any(String), "The events are: server, not-present, server-list, moved, same-key-elsewhere."]);
  });

  it("and keeps nothing of it", () => {
    expect(server.core.inspect().triggers).toBe(1);
    expect([i3.listenerCount("bogus" as never), inbox.listenerCount("mesage" as never)]).toEqual([0, 0]);
  });
});
