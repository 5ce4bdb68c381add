// A step does one thing, checks what came back and prints one line. The first mismatch ends the program with status 1.
import { setTimeout as delay } from 'node:timers/promises';

/** Far more than any step needs on a working network; it turns silence into a clear failure. */
const STEP_MS_MAX = 60_000;

/** Runs `action` and prints the line it returns beside the step's name. */
export async function step(name: string, action: () => Promise<string>): Promise<void> {
  try {
    console.log(`ok  ${name}: ${await withinLimit(action())}`);
  } catch (error) {
    fail(name, error);
  }
}

export function fail(name: string, error: unknown): never {
  console.error(`FAILED  ${name}: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}

export function expectEqual<T>(what: string, actual: T, expected: T): void {
  if (actual !== expected) throw new Error(`${what} is ${String(actual)}, expected ${String(expected)}`);
}

export function expectTrue(what: string, condition: boolean): asserts condition {
  if (!condition) throw new Error(what);
}

/** Returns the error that `action` ends with; it is a mismatch if there is none. */
export async function expectError(what: string, action: () => Promise<unknown>): Promise<any> {
  let result: unknown;
  try {
    result = await action();
  } catch (error) {
    return error;
  }
  throw new Error(`${what} must be refused, but returned ${String(result)}`);
}

/** Something that arrives over time, as events of a subscription do. */
export class Inbox<T> {
  readonly items: T[] = [];
  private wake: () => void = () => {};

  add(item: T): void {
    this.items.push(item);
    this.wake();
  }

  /** Waits until `count` items are there. */
  async atLeast(count: number): Promise<T[]> {
    while (this.items.length < count) await new Promise<void>((resolve) => (this.wake = resolve));
    return this.items;
  }
}

async function withinLimit<T>(work: Promise<T>): Promise<T> {
  const stop = new AbortController();
  const limit = delay(STEP_MS_MAX, undefined, { signal: stop.signal }).then(() => {
    throw new Error(`no result within ${STEP_MS_MAX / 1000} seconds`);
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    stop.abort();
    limit.catch(() => {});
  }
}
