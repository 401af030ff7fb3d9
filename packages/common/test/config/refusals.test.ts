import { describe, expect, it } from "vitest";
import { ConfigError, MAX_ADDRESS_BOOK_BYTES, MAX_CONFIG_BYTES, parseAddressBook, parseProxyConfig } from "../../src/index.js";
import { BAD_DOCUMENTS, FORMATS, book, proxy } from "./bad-documents.js";
import { BAD_GATEWAYS } from "./bad-gateways.js";
import { BAD_POLICIES } from "./bad-policies.js";
import { BAD_PUBLICATIONS } from "./bad-publications.js";

function refusal(parse: () => unknown): ConfigError {
  try {
    parse();
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error("accepted");
}

describe("documents that are refused", () => {
  it.each([...BAD_DOCUMENTS, ...BAD_GATEWAYS, ...BAD_POLICIES, ...BAD_PUBLICATIONS])("$format: $what", ({ format, input, message, remedy }) => {
    const error = refusal(() => FORMATS[format]?.(input, "x.xml"));
    expect(error.message).toBe(`x.xml${message}`);
    expect(error.remedy).toBe(remedy);
  });

  it("have their fields apart", () => {
    const error = refusal(() => parseProxyConfig(proxy('<log level="loud"/>'), "/etc/i3/p.xml"));
    expect(error).toMatchObject({
      name: "ConfigError",
      code: "ERR_I3_CONFIG",
      file: "/etc/i3/p.xml",
      line: 3,
      path: "/i3-proxy/log/@level",
      expected: "info, debug, warn or error",
    });
  });

  it.each([
    ["CRLF", "\r\n"],
    ["CR", "\r"],
  ])("count lines that end in %s", (_, end) => {
    const error = refusal(() => parseProxyConfig(proxy("", "<log", "colour='x'/>").replaceAll("\n", end), "x.xml"));
    expect(error.line).toBe(5);
  });

  it("count lines behind a byte order mark", () => {
    expect(refusal(() => parseProxyConfig(Buffer.from(`\uFEFF${proxy("<a/>")}`), "x.xml")).line).toBe(3);
  });

  it("are too large", () => {
    const padding = " ".repeat(MAX_CONFIG_BYTES);
    expect(refusal(() => parseProxyConfig(proxy(padding), "x.xml")).message).toMatch(
      /^x\.xml: 1048\d{3} bytes; expected at most 1048576 bytes$/,
    );
    // A character of two bytes counts twice.
    expect(refusal(() => parseProxyConfig("é".repeat(MAX_CONFIG_BYTES / 2 + 1), "x.xml")).line).toBe(0);
    expect(refusal(() => parseAddressBook(new Uint8Array(MAX_ADDRESS_BOOK_BYTES + 1), "x.xml")).expected).toBe("at most 16777216 bytes");
    expect(parseAddressBook(book(padding), "x.xml").entries).toEqual([]);
  });

  it.each([
    ["close tags nobody opened", `<a>${"<b>".repeat(10)}${"</x>".repeat(200_000)}`],
    ["open tags", "<a>".repeat(300_000)],
    ["attributes on a line each", `<i3-proxy ${Array.from({ length: 60_000 }, (_, i) => `a${i}="1"\n`).join("")}/>`],
    ["text and comments", `<i3-proxy>${"<!-- -->\n".repeat(100_000)}x</i3-proxy>`],
    ["entities", `<i3-proxy version="${"&amp;".repeat(200_000)}"/>`],
    ["ampersands", `<i3-proxy version="1"><log level="${"&#38;#".repeat(150_000)}"/></i3-proxy>`],
    ["unknown siblings", `<i3-proxy version="1">${"<b/>".repeat(200_000)}</i3-proxy>`],
  ])("of the largest size with many %s are refused in seconds", (_, text) => {
    expect(refusal(() => parseProxyConfig(text, "x.xml"))).toBeInstanceOf(ConfigError);
  }, 60_000);
});
