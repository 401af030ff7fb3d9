/** What people are told of the address that a server has itself, before others look for it there in vain. */
import { makeLocator, parseIpText, parseServerConfig, type Locator } from "@i3/common";
import { describe, expect, it } from "vitest";

import { checkPrivate, privateProblem } from "../src/io/addresses.js";

const at = (text: string): Locator => makeLocator(parseIpText(text) ?? new Uint8Array(), 5_610);
const config = (inner: string) => parseServerConfig(`<i3-server version="1"><identity key-file="k"/>${inner}</i3-server>`, "x.xml");
const ring = (...members: readonly string[]): string => `<ring credential-file="c">${members.map((member) => `<member address="${member}"/>`).join("")}</ring>`;

describe("a server with an address of a private network", () => {
  it.each<[own: string, members: readonly string[], named: string]>([
    ["10.0.0.5", ["10.0.0.6", "198.51.100.7"], "198.51.100.7:5610"], ["172.31.9.9", ["203.0.113.1"], "203.0.113.1:5610"], ["192.168.1.2", ["192.0.2.1"], "192.0.2.1:5610"],
    ["100.64.0.1", ["192.0.2.1"], "192.0.2.1:5610"], ["169.254.1.1", ["192.0.2.1"], "192.0.2.1:5610"], ["fd00::5", ["2001:db8::1"], "[2001:db8::1]:5610"],
  ])("at %s is told of, with members at %j: they cannot answer there", (own, members, named) => {
    const problem = privateProblem(config(""), at(own), members.map(at));
    expect(problem?.message).toContain(`at ${own.includes(":") ? `[${own}]` : own}:5610`);
    expect(problem?.message).toContain(`the member ${named} has a public one`);
    expect(problem?.remedy).toMatch(/<advertise address=/);
  });

  it.each<[what: string, own: string, members: readonly string[]]>([
    ["its members are of private networks too", "10.0.0.5", ["10.0.0.6", "192.168.7.7", "100.64.0.1"]], ["it has no members", "10.0.0.5", []], ["its own address is public", "198.51.100.5", ["198.51.100.6", "10.0.0.1"]],
    ["it is at loopback, of which another warning tells", "127.0.0.1", ["198.51.100.6"]], ["the public ones are of another family", "10.0.0.5", ["2001:db8::1"]],
  ])("nothing is told when %s", (_, own, members) => {
    expect(privateProblem(config(""), at(own), members.map(at))).toBe(null);
  });

  it("nothing is told when it advertises an address", () => {
    expect(privateProblem(config('<advertise address="203.0.113.9"/>'), at("10.0.0.5"), [at("198.51.100.6")])).toBe(null);
  });
});

describe("--check", () => {
  const listen = '<listen address="10.0.0.5"/>';

  it("looks at the address of <listen>, and at members by address and by name", async () => {
    expect((await checkPrivate(config(`${listen}${ring("10.0.0.6", "198.51.100.7")}`)))?.message).toMatch(/at 10\.0\.0\.5:5610.*198\.51\.100\.7:5610/);
    expect(await checkPrivate(config(`${listen}${ring("10.0.0.6", "localhost")}`))).toBe(null);
    expect(await checkPrivate(config(`${listen}<advertise address="203.0.113.9"/>${ring("198.51.100.7")}`))).toBe(null);
    expect(await checkPrivate(config(listen))).toBe(null);
  });
});
