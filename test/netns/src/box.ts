/** `box` in the shell of a topology (shell.ts): node box.js SOCKET WORD… */
import { askForCommand } from "./shell-commands.js";

const [path = "", ...words] = process.argv.slice(2);
const answer = await askForCommand(path, words);
if (answer !== "") {
  process.stderr.write(`box: ${answer}\n`);
  process.exitCode = 1;
}
