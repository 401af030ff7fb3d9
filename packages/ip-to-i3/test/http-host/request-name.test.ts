import { describe, expect, it } from "vitest";

import { passedAnswer, passedRequest } from "../../src/http-host/passed-headers.js";
import { isUpgrade, nameOfRequest, type RequestHead } from "../../src/http-host/request-name.js";

const head = (url: string, headers: readonly string[], more: Partial<RequestHead> = {}): RequestHead => ({ method: "GET", url, httpVersion: "1.1", rawHeaders: headers, ...more });
const HOST = ["Host", "home.example.org"];
const named = (target: string, host = "home.example.org", framing: unknown = undefined): unknown => ({ kind: "name", name: "home.example.org", host, target, framing });

describe("a request is for", () => {
  it.each([
    ["its Host", head("/a?b#c", HOST), named("/a?b#c")],
    ["it in other letters, with a dot and a port", head("/", ["hOsT", "HOME.example.org.:8080"]), named("/", "HOME.example.org.:8080")],
    ["a port that is empty", head("/", ["Host", "home.example.org:"]), named("/", "home.example.org:")],
    ["the same in its absolute target", head("http://home.example.org:80/x?y", HOST), named("/x?y", "home.example.org:80")],
    ["an absolute target without a path", head("HTTP://home.example.org", HOST), named("/")],
    ["an absolute target with a query alone", head("http://home.example.org?q", HOST), named("/?q")],
    ["HTTP/1.0 with Host", head("/", HOST, { httpVersion: "1.0" }), named("/")],
    ["HTTP/1.0 without Host, by its target", head("http://home.example.org/", [], { httpVersion: "1.0" }), named("/")],
    ["OPTIONS *", head("*", HOST, { method: "OPTIONS" }), named("*")],
    ["OPTIONS of an absolute target", head("http://home.example.org", HOST, { method: "OPTIONS" }), named("*")],
    ["a body with a length", head("/", [...HOST, "Content-Length", "17"], { method: "POST" }), named("/", "home.example.org", { kind: "length", length: "17" })],
    ["a body in chunks", head("/", [...HOST, "Transfer-Encoding", "Chunked"], { method: "POST" }), named("/", "home.example.org", { kind: "chunked" })],
  ])("%s", (_, request, verdict) => {
    expect(nameOfRequest(request)).toEqual(verdict);
  });
});

describe("a request is refused", () => {
  it.each([
    ["CONNECT", head("home.example.org:80", HOST, { method: "CONNECT" }), "connect"],
    ["HTTP/2.0", head("*", HOST, { method: "PRI", httpVersion: "2.0" }), "version"],
    ["HTTP/0.9", head("/", [], { httpVersion: "0.9" }), "version"],
    ["no Host in 1.1", head("/", []), "no-host"],
    ["no Host in 1.1 with an absolute target", head("http://home.example.org/", []), "no-host"],
    ["no Host in 1.0", head("/", [], { httpVersion: "1.0" }), "no-host"],
    ["two Hosts", head("/", [...HOST, "host", "other.example.org"]), "several-hosts"],
    ["the same Host twice", head("/", [...HOST, ...HOST]), "several-hosts"],
    ["an empty Host", head("/", ["Host", ""]), "bad-host"],
    ["two names in Host", head("/", ["Host", "home.example.org, other.example.org"]), "bad-host"],
    ["a user in Host", head("/", ["Host", "user@home.example.org"]), "bad-host"],
    ["a path in Host", head("/", ["Host", "home.example.org/x"]), "bad-host"],
    ["an IPv6 address", head("/", ["Host", "[::1]:80"]), "bad-host"],
    ["a port of six digits", head("/", ["Host", "home.example.org:100000"]), "bad-host"],
    ["a name of 254 characters", head("/", ["Host", `${"a.".repeat(126)}aa`]), "bad-host"],
    ["another name in the target", head("http://other.example.org/", HOST), "other-host"],
    ["a user in the target", head("http://user@home.example.org/", HOST), "bad-host"],
    ["https in the target", head("https://home.example.org/", HOST), "bad-target"],
    ["a target without a slash", head("x", HOST), "bad-target"],
    ["* of GET", head("*", HOST), "bad-target"],
    ["no target", head("", HOST), "bad-target"],
    ["both length and encoding", head("/", [...HOST, "Content-Length", "3", "Transfer-Encoding", "chunked"]), "length-and-encoding"],
    ["two lengths", head("/", [...HOST, "Content-Length", "3", "Content-Length", "3"]), "several-lengths"],
    ["a list of lengths", head("/", [...HOST, "Content-Length", "3, 3"]), "bad-length"],
    ["a signed length", head("/", [...HOST, "Content-Length", "+3"]), "bad-length"],
    ["an endless length", head("/", [...HOST, "Content-Length", "9".repeat(16)]), "bad-length"],
    ["an encoding below chunked", head("/", [...HOST, "Transfer-Encoding", "gzip, chunked"]), "bad-encoding"],
    ["chunked twice", head("/", [...HOST, "Transfer-Encoding", "chunked", "Transfer-Encoding", "chunked"]), "bad-encoding"],
    ["identity", head("/", [...HOST, "Transfer-Encoding", "identity"]), "bad-encoding"],
    ["chunked in 1.0", head("/", [...HOST, "Transfer-Encoding", "chunked"], { httpVersion: "1.0" }), "bad-encoding"],
  ])("for %s", (_, request, reason) => {
    expect(nameOfRequest(request)).toEqual({ kind: "refuse", reason });
  });
});

describe("an upgrade", () => {
  it.each([
    ["websocket", ["Upgrade", "websocket"], true],
    ["tcp", ["Upgrade", "tcp"], true],
    ["h2c", ["Upgrade", "H2C"], false],
    ["h2c among others", ["Upgrade", "websocket, h2c"], false],
    ["SPDY", ["Upgrade", "SPDY/3.1"], false],
    ["two", ["Upgrade", "websocket", "Upgrade", "h2c"], false],
    ["none", [], false],
  ])("to %s may be asked for: %j %s", (_, headers, may) => {
    expect(isUpgrade(head("/", [...HOST, ...headers]), undefined)).toBe(may);
    expect(isUpgrade(head("/", [...HOST, ...headers]), { kind: "length", length: "0" })).toBe(may);
    expect(isUpgrade(head("/", [...HOST, ...headers]), { kind: "length", length: "5" })).toBe(false);
    expect(isUpgrade(head("/", [...HOST, ...headers]), { kind: "chunked" })).toBe(false);
    expect(isUpgrade(head("/", [...HOST, ...headers], { httpVersion: "1.0" }), undefined)).toBe(false);
  });
});

const FROM = { client: "192.0.2.7" };
const FORWARDED = ["X-Forwarded-For", "192.0.2.7", "X-Forwarded-Proto", "http", "X-Forwarded-Host", "h"];

describe("what is passed on of a request", () => {
  it("says who asks, whatever the client says", () => {
    const lies = ["x-forwarded-for", "1.1.1.1", "X-Forwarded-Host", "evil", "X_Forwarded_Proto", "https", "Forwarded", "for=1.1.1.1", "X-Real-IP", "1.1.1.1", "x-forwarded-server", "s", "X.Forwarded.For", "1.1.1.1", "x~real~ip", "1.1.1.1", "X-Forwarded", "1.1.1.1", "True-Client-IP", "1.1.1.1", "Proxy", "http://evil"];
    expect(passedRequest(head("/", ["Host", "h", "A", "1", ...lies, "a", "2"]), "h", undefined, FROM, ["Connection", "close"])).toEqual(["Host", "h", ...FORWARDED, "A", "1", "a", "2", "Connection", "close"]);
  });

  it("is left alone where nothing is to be said", () => {
    expect(passedRequest(head("/", ["Host", "h", "X-Forwarded-For", "1.1.1.1"]), "h", undefined, null, [])).toEqual(["Host", "h", "X-Forwarded-For", "1.1.1.1"]);
  });

  it("is without fields of the connection, and those that it names", () => {
    const fields = ["Connection", "close, X-Mine", "connection", "content-length, host, X-Forwarded-For", "X-Mine", "1", "Keep-Alive", "5", "TE", "trailers", "Trailer", "x", "Upgrade", "h2c", "Proxy-Connection", "x", "B", "2"];
    expect(passedRequest(head("/", ["Host", "h", ...fields, "Content-Length", "3"], { method: "POST" }), "h", { kind: "length", length: "3" }, FROM, [])).toEqual(["Host", "h", ...FORWARDED, "B", "2", "Content-Length", "3"]);
  });

  it.each([["POST", ["Content-Length", "0"]], ["PUT", ["Content-Length", "0"]], ["GET", []], ["DELETE", []]])("says of %s without a body: %j", (method, fields) => {
    expect(passedRequest(head("/", ["Host", "h"], { method }), "h", undefined, null, [])).toEqual(["Host", "h", ...fields]);
  });

  it("keeps chunks", () => {
    expect(passedRequest(head("/", ["Transfer-Encoding", "chunked"], { method: "POST" }), "h", { kind: "chunked" }, null, [])).toEqual(["Host", "h", "Transfer-Encoding", "chunked"]);
  });
});

it("what is passed on of an answer keeps its length, and no field of the connection", () => {
  const fields = ["Content-Length", "3", "Connection", "keep-alive, X-Mine, content-length", "Keep-Alive", "timeout=5", "X-Mine", "1", "Set-Cookie", "a", "Set-Cookie", "b", "Transfer-Encoding", "chunked"];
  expect(passedAnswer(fields)).toEqual(["Content-Length", "3", "Set-Cookie", "a", "Set-Cookie", "b"]);
});
