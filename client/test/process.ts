/** Processes of the tests. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** A process that runs, and what it said when it was ready. */
export interface Running<Ready> {
  readonly child: ChildProcess;
  readonly ready: Ready;
}

/**
 * Starts a process and waits until it is ready: until `ready` makes something of a line that it writes. It ends with the tests
 * at the latest.
 */
export function start<Ready>(
  command: string,
  args: readonly string[],
  ready: (line: string) => Ready | undefined,
  env = process.env,
): Promise<Running<Ready>> {
  const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  const outputs = [child.stdout, child.stderr].map((input) => createInterface({ input })); // read to the end, or it would wait
  const log: string[] = [];
  child.once("error", (error) => log.push(error.message));
  process.once("exit", () => child.kill("SIGKILL"));
  return new Promise((resolve, reject) => {
    const look = (line: string): void => {
      log.push(line);
      const said = ready(line);
      if (said === undefined) return;
      for (const lines of outputs) lines.off("line", look);
      resolve({ child, ready: said });
    };
    for (const lines of outputs) lines.on("line", look);
    child.once("close", () => reject(new Error(`${command} ended before it was ready: ${log.join("\n")}`)));
  });
}

/** Ends a process, and resolves when it is gone, and all that it has started and that writes to the same outputs. */
export async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.stderr!.closed) return;
  const gone = once(child, "close");
  child.kill(signal);
  await gone;
}
