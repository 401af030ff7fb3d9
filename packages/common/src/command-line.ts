/** What a command needs that answers at once: little is loaded for it. */
export { errorLine, I3Error } from "./errors.js";
export { argumentProblem } from "./io/argument-problem.js";
