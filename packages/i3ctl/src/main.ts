#!/usr/bin/env node
/** The command line for people. */
import { runCommand } from "./io/run-command.js";

process.exitCode = await runCommand(process.argv.slice(2));
