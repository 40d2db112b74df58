// The small harness of the Node suites: what they are told by the environment (see ../suite.py), and how tests run.
import process from "node:process";

function environment(name) {
  const value = process.env[name];
  if (!value) {
    console.error(`set ${name}; see tests/sdk/suite.py`);
    process.exit(2);
  }
  return value;
}

export const URL = environment("FREEHOLD_URL");
export const KEY = environment("FREEHOLD_KEY");
export const WORKFLOWS = environment("FREEHOLD_WORKFLOWS").split(",");
export const DOWN = environment("FREEHOLD_WORKFLOW_DOWN");
export const SPENT = environment("FREEHOLD_WORKFLOW_SPENT");
export const OVERLOADED = environment("FREEHOLD_WORKFLOW_OVERLOADED");
export const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

const TESTS = [];

// Registers a test to be run once.
export function once(name, run) {
  TESTS.push([name, run]);
}

// Registers a test to be run for each workflow.
export function each(name, run) {
  for (const workflow of WORKFLOWS) TESTS.push([`${name}[${workflow}]`, () => run(workflow)]);
}

// What the promise is refused with; an answer instead of a refusal fails.
export async function refusal(kind, promise) {
  let answer;
  try {
    answer = await promise;
  } catch (error) {
    if (error instanceof kind) return error;
    throw new Error(`expected ${kind.name}, got ${error}`, { cause: error });
  }
  throw new Error(`expected ${kind.name}, got an answer: ${JSON.stringify(answer)}`);
}

// Runs every registered test; the exit code is 1 on a failure.
export async function run(title) {
  const failed = [];
  for (const [name, test] of TESTS) {
    try {
      await test();
      console.log(`ok    ${name}`);
    } catch (error) {
      failed.push(name);
      console.log(`FAIL  ${name}\n${error.stack}`);
    }
  }
  console.log(`${title}: ${TESTS.length - failed.length} passed, ${failed.length} failed ${failed.join(", ")}`);
  process.exit(failed.length || !TESTS.length ? 1 : 0);
}
