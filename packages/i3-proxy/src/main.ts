#!/usr/bin/env node
/** The proxy daemon. */

// Before all else is loaded, which takes most of a start: node answers this signal with its inspector.
process.on("SIGUSR1", () => undefined);
await import("./io/command.js");
