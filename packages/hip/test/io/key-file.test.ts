import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { I3Error, toHex } from "@i3/common";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { checkHostKey, generateHostIdentity, HOST_KEY_ALGORITHMS, hostIdentityToPem, readHostKey, readOrCreateHostKey } from "../../src/index.js";
import { knownAnswer } from "../identity/known-answers.js";

let folder = "";
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "i3-hip-"))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const modeOf = (path: string): number => statSync(path).mode & 0o777;

function refusal(run: () => unknown): I3Error {
  try {
    run();
  } catch (error) {
    if (error instanceof I3Error) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("the key file", () => {
  it("is made once, for its owner only, with its folders", () => {
    const file = join(folder, "a", "b", "host.pem");
    const first = readOrCreateHostKey(file);
    expect(first.created).toBe(true);
    expect([modeOf(file), modeOf(join(folder, "a")), modeOf(join(folder, "a", "b"))]).toEqual([0o600, 0o700, 0o700]);
    expect(readdirSync(join(folder, "a", "b"))).toEqual(["host.pem"]);
    const second = readOrCreateHostKey(file);
    expect(second.created).toBe(false);
    expect(second.identity.hit).toEqual(first.identity.hit);
    expect(readHostKey(file).point).toEqual(first.identity.point);
  });

  describe.each(HOST_KEY_ALGORITHMS)("of %s", (algorithm) => {
    it("is made and read again", () => {
      const file = join(folder, "host.pem");
      const { identity, created } = readOrCreateHostKey(file, algorithm);
      expect([identity.algorithm, created]).toEqual([algorithm, true]);
      expect(readOrCreateHostKey(file, algorithm)).toMatchObject({ created: false, identity: { algorithm, hit: identity.hit } });
      expect(readHostKey(file).hit).toEqual(identity.hit);
      expect(() => checkHostKey(file, algorithm)).not.toThrow();
    });

    it("is refused, and stays, when another algorithm is configured", () => {
      const file = join(folder, "host.pem");
      const { pem } = knownAnswer(algorithm);
      writeFileSync(file, pem, { mode: 0o600 });
      for (const other of HOST_KEY_ALGORITHMS.filter((name) => name !== algorithm)) {
        for (const run of [() => readOrCreateHostKey(file, other), () => readHostKey(file, other), () => checkHostKey(file, other)]) {
          const error = refusal(run);
          expect([error.code, error.message]).toEqual(["ERR_I3_KEY_FILE", `${file} holds a key for ${algorithm}, where ${other} is configured`]);
          expect(error.remedy).toContain(`algorithm="${algorithm}"`);
        }
      }
      expect(readFileSync(file, "utf8")).toBe(pem);
      expect(readdirSync(folder)).toEqual(["host.pem"]);
    });
  });

  it("is for P-256 when nobody says otherwise", () => {
    expect(readOrCreateHostKey(join(folder, "host.pem")).identity.algorithm).toBe("ecdsa-p256");
    writeFileSync(join(folder, "rsa.pem"), knownAnswer("rsa").pem, { mode: 0o600 });
    expect(() => readOrCreateHostKey(join(folder, "rsa.pem"))).toThrow(I3Error);
    expect(() => checkHostKey(join(folder, "rsa.pem"))).toThrow(I3Error);
    expect(() => checkHostKey(join(folder, "missing.pem"), "rsa")).not.toThrow();
  });

  it("is for its owner only whatever the umask", () => {
    const before = process.umask(0);
    try {
      readOrCreateHostKey(join(folder, "host.pem"));
    } finally {
      process.umask(before);
    }
    expect(modeOf(join(folder, "host.pem"))).toBe(0o600);
  });

  it("is made although a crash left something behind", () => {
    const file = join(folder, "host.pem");
    writeFileSync(`${file}.${process.pid}.new`, "half a k");
    writeFileSync(`${file}.new`, "half a k");
    expect(readOrCreateHostKey(file).created).toBe(true);
  });

  it.each([
    ["empty", () => ""],
    ["cut off", () => hostIdentityToPem(generateHostIdentity()).slice(0, 100)],
    ["something else", () => "<i3-proxy/>\n"],
  ])("is never overwritten when it is %s", (_, content) => {
    const file = join(folder, "host.pem");
    const text = content();
    writeFileSync(file, text, { mode: 0o600 });
    for (const run of [() => readOrCreateHostKey(file), () => readHostKey(file)]) {
      const error = refusal(run);
      expect([error.code, error.message, error.remedy]).toEqual(["ERR_I3_KEY_FILE", `${file} is damaged`, expect.stringContaining("backup")]);
    }
    expect(readFileSync(file, "utf8")).toBe(text);
    expect(readdirSync(folder)).toEqual(["host.pem"]);
  });

  it.each([0o604, 0o640, 0o620, 0o660, 0o601, 0o666, 0o777])("is refused with mode %o, with the remedy", (mode) => {
    const file = join(folder, "host.pem");
    readOrCreateHostKey(file);
    chmodSync(file, mode);
    const error = refusal(() => readOrCreateHostKey(file));
    expect(error.code).toBe("ERR_I3_KEY_FILE");
    expect(error.message).toContain(mode.toString(8));
    expect(error.remedy).toBe(`Run: chmod 600 ${file}`);
  });

  it.each([0o600, 0o400, 0o700])("is read with mode %o", (mode) => {
    const file = join(folder, "host.pem");
    const { identity } = readOrCreateHostKey(file);
    chmodSync(file, mode);
    expect(readHostKey(file).hit).toEqual(identity.hit);
  });

  it("is refused when it is missing, a folder, a FIFO or a link to nothing", async () => {
    const at = (name: string): string => join(folder, name);
    mkdirSync(at("folder"), { mode: 0o700 });
    symlinkSync(at("nowhere"), at("link"));
    await once(spawn("mkfifo", ["-m", "600", at("fifo")]), "close");
    for (const name of ["missing", "folder", "fifo", "link"]) expect(refusal(() => readHostKey(at(name))).code).toBe("ERR_I3_KEY_FILE");
    for (const name of ["folder", "fifo", "link"]) expect(refusal(() => readOrCreateHostKey(at(name))).code).toBe("ERR_I3_KEY_FILE");
    expect(existsSync(at("nowhere"))).toBe(false);
  });

  it("is refused when it is far too long", () => {
    writeFileSync(join(folder, "host.pem"), hostIdentityToPem(generateHostIdentity()) + " ".repeat(20_000), { mode: 0o600 });
    expect(refusal(() => readHostKey(join(folder, "host.pem"))).message).toContain("too large");
  });

  it("says so when the folder cannot be made", () => {
    writeFileSync(join(folder, "file"), "");
    expect(refusal(() => readOrCreateHostKey(join(folder, "file", "host.pem"))).code).toBe("ERR_I3_KEY_FILE");
  });

  it("is one, when several processes make it at once", async () => {
    const files = 20;
    const script = `
      import { existsSync } from "node:fs";
      import { readOrCreateHostKey } from ${JSON.stringify(new URL("../../dist/index.js", import.meta.url).href)};
      process.stdout.write("ready\\n");
      while (!existsSync("go"));
      for (let i = 0; i < ${files}; i++) {
        const { identity, created } = readOrCreateHostKey("key" + i);
        process.stdout.write(i + " " + Buffer.from(identity.hit).toString("hex") + " " + created + "\\n");
      }`;
    const processes = Array.from({ length: 3 }, () => spawn(process.execPath, ["--input-type=module", "-e", script], { cwd: folder, stdio: ["ignore", "pipe", "inherit"] }));
    const outputs = processes.map(() => "");
    const ended = processes.map(async (child) => (await once(child, "close"))[0] as number | null);
    await Promise.all(processes.map((child, i) => new Promise<void>((resolve) => {
      child.stdout.on("data", (data: Buffer) => {
        outputs[i] += data.toString();
        resolve();
      });
      child.on("close", () => resolve());
    })));
    writeFileSync(join(folder, "go"), "");
    expect(await Promise.all(ended)).toEqual([0, 0, 0]);
    const lines = outputs.flatMap((output) => output.trim().split("\n").filter((line) => line !== "ready").map((line) => line.split(" ")));
    for (let i = 0; i < files; i++) {
      const ofFile = lines.filter(([file]) => file === String(i));
      expect(ofFile.length).toBe(3);
      expect(new Set(ofFile.map(([, hit]) => hit))).toEqual(new Set([toHex(readHostKey(join(folder, `key${i}`)).hit)]));
      expect(ofFile.filter(([, , created]) => created === "true").length).toBe(1);
    }
    expect(readdirSync(folder).filter((name) => name.endsWith(".new"))).toEqual([]);
  }, 60_000);
});
