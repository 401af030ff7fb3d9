/** What every test with a topology needs: it is closed whatever happens, and explains itself when the test has failed. */
import { afterEach } from "vitest";
import { standardTopology, type StandardOptions, type StandardTopology, type Topology } from "../src/index.js";

const open = new Set<Topology>();

afterEach(async ({ task }) => {
  for (const topology of open) {
    if (task.result?.state === "fail") console.log(await topology.diagnose());
    open.delete(topology);
    await topology.close();
  }
});

/** Hands `topology` to the clean-up after the test. */
export function closeAfterTest(topology: Topology): void {
  open.add(topology);
}

export async function buildStandard(options: StandardOptions = {}): Promise<StandardTopology> {
  const built = await standardTopology({ seed: 1, ...options });
  closeAfterTest(built.topology);
  return built;
}
