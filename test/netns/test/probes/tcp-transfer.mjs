/**
 * One TCP transfer of BYTES patterned bytes:
 *   node tcp-transfer.mjs send ADDRESS PORT BYTES     listens, prints "listening", sends to each client
 *   node tcp-transfer.mjs receive ADDRESS PORT BYTES  connects, prints "received BYTES intact|damaged MILLISECONDS"
 */
import { createHash } from "node:crypto";
import { connect, createServer } from "node:net";

const [mode, host = "", port = "0", bytes = "0"] = process.argv.slice(2);
const data = Buffer.alloc(Number(bytes), "a pattern that does not divide a segment ");

if (mode === "send") {
  createServer((socket) => socket.on("error", () => {}).end(data)).listen(Number(port), host, () => console.log("listening"));
} else {
  const startMs = performance.now();
  const hash = createHash("sha256");
  let count = 0;
  connect(Number(port), host)
    .on("data", (chunk) => {
      hash.update(chunk);
      count += chunk.length;
    })
    .on("end", () => {
      const isIntact = hash.digest("hex") === createHash("sha256").update(data).digest("hex");
      console.log("received", count, isIntact ? "intact" : "damaged", Math.round(performance.now() - startMs));
      process.exit();
    });
}
