/** The bed of most system tests: a ring of three, a laptop and a home machine behind different NATs, each with its proxy. */
import { Laptop, startRing, type LaptopOptions, type RingOptions, type RingServer } from "@i3/demo";
import { standardTopology, type Host, type StandardOptions, type StandardTopology } from "@i3/netns";

export interface PairBed extends StandardTopology {
  readonly ring: readonly RingServer[];
  readonly laptopProxy: Laptop;
  readonly homeProxy: Laptop;
  readonly close: () => Promise<void>;
}

export interface PairOptions extends StandardOptions {
  readonly laptopOptions?: Partial<LaptopOptions>;
  readonly homeOptions?: Partial<LaptopOptions>;
  readonly ringOptions?: RingOptions;
  /** @default true */
  readonly start?: boolean;
}

export async function pairBed(options: PairOptions = {}): Promise<PairBed> {
  const bed = await standardTopology(options);
  try {
    const ring = await startRing(bed.servers, options.ringOptions);
    const serverAddresses = bed.servers.map((server) => server.address4);
    const [laptopProxy, homeProxy] = await Promise.all([
      Laptop.make(bed.laptop, { serverAddresses, ...options.laptopOptions }),
      Laptop.make(bed.home, { serverAddresses, ...options.homeOptions }),
    ]);
    const names = { "laptop.i3": laptopProxy, "home.i3": homeProxy };
    await Promise.all([laptopProxy, homeProxy].map((proxy) => proxy.writeBook(names)));
    if (options.start !== false) await Promise.all([laptopProxy.start(), homeProxy.start()]);
    return { ...bed, ring, laptopProxy, homeProxy, close: () => bed.topology.close() };
  } catch (error) {
    await bed.topology.close();
    throw error;
  }
}

/** Repeats until it holds. Rejects with the last failure after `limitMs`. */
export async function eventually<T>(what: string, limitMs: number, attempt: () => Promise<T | undefined>): Promise<T> {
  const endMs = performance.now() + limitMs;
  for (;;) {
    const value = await attempt();
    if (value !== undefined) return value;
    if (performance.now() > endMs) throw new Error(`${what}: not within ${limitMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Whether one ping is answered within `waitS`. */
export const pings = async (host: Host, name: string, waitS = 1): Promise<boolean> =>
  (await host.exec("ping", ["-c", "1", "-W", String(waitS), name])).status === 0;

/** The longest silence, in ms, between answers to five pings a second during the 8 s and more after `cause`. */
export async function outageMs(host: Host, address: string, cause: () => Promise<void>): Promise<number> {
  const child = host.spawn("ping", ["-n", "-i", "0.2", "-W", "1", "-O", address]);
  await child.waitForLine(/icmp_seq=3 ttl/);
  await cause();
  const startMs = performance.now();
  let lastAnswerMs = startMs;
  let worstMs = 0;
  child.on("line", ({ text }) => {
    if (!text.includes("ttl=")) return;
    worstMs = Math.max(worstMs, performance.now() - lastAnswerMs);
    lastAnswerMs = performance.now();
  });
  // Over when a second of steady answers has followed an outage, or no outage came at all.
  await eventually("pings answered again", 30_000, async () => {
    const now = performance.now();
    const isSteady = now - lastAnswerMs < 500;
    return Promise.resolve(isSteady && now - startMs > 8_000 ? true : undefined);
  });
  await child.stop();
  return worstMs;
}
