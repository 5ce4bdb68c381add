// Calls the contract `box` without a pause while its second version takes over, and checks which version answers whom. It
// follows the weight as somebody else raises it, and ends once the canary has become the version that answers everybody.
import { NAME, RPC_URL, answer, find, makeCallers } from './callers.mjs';

const CALLERS = 200;
/** Calls on their way at a time. */
const PARALLEL = 16;
/** The canary's weights in turn, in hundredths of a per cent. */
const WEIGHTS = [0, 1_000, 5_000, 10_000];
const WHOLE = 10_000;
/** Each caller is answered so many times at one weight, by the same version each time, before the weight may change. */
const ROUNDS = 2;
/** A count further than this from what is expected comes about in fewer than one of 15,000 draws. */
const DEVIATIONS = 4;
/** What `version()` of the canary answers; the version before it answers 1. */
const CANARY = 2n;

let calls = 0;

function fail(reason) {
  console.error(`FAILED  ${reason}`);
  process.exit(1);
}

async function counted(caller, what, call) {
  calls += 1;
  try {
    return await call();
  } catch (error) {
    return fail(`${what} by ${caller.address} (${caller.way}): ${error.message}`);
  }
}

/** What the canary's weight comes to: nothing before it starts, and everybody once it is finished. */
function weightOf(name) {
  if (name.canary.version !== '') return Number(name.canary.basisPoints);
  return name.current === '2.0' ? WHOLE : 0;
}

async function ask(caller, value) {
  const version = await counted(caller, 'version()', caller.read);
  if (version !== 1n && version !== CANARY) fail(`${caller.address} (${caller.way}) was answered ${version}`);
  if (version < caller.version) fail(`${caller.address} (${caller.way}) went back to version ${version}`);
  caller.version = version;
  if (!(await counted(caller, 'store()', () => caller.write(value)))) fail(`store() by ${caller.address} reverted`);
}

async function forAll(callers, action) {
  const waiting = [...callers];
  const work = async () => {
    for (let caller = waiting.pop(); caller; caller = waiting.pop()) await action(caller);
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
}

/** How many of the callers the canary may answer at a weight: chance moves a binomial count so far and no further. */
function bounds(weight) {
  const share = weight / WHOLE;
  const mean = CALLERS * share;
  const slack = DEVIATIONS * Math.sqrt(CALLERS * share * (1 - share));
  return [Math.ceil(mean - slack), Math.floor(mean + slack)];
}

async function checkAnswers(callers) {
  await forAll(callers, async (caller) => {
    const said = await answer(caller.address);
    const seen = `${caller.version}.0`;
    if (said !== seen) fail(`${caller.address} (${caller.way}) was answered by ${seen}, and 0x2002 says ${said}`);
  });
}

function report(callers, weight) {
  const [least, most] = bounds(weight);
  const moved = callers.filter((caller) => caller.version === CANARY).length;
  if (moved < least || moved > most) fail(`at ${weight / 100} % the canary answers ${moved}, not ${least} to ${most}`);
  console.log(`${weight / 100} %: the canary answers ${moved} of ${CALLERS} callers (${least} to ${most} by chance)`);
}

/** Calls until every caller has been answered `ROUNDS` times between two looks at the name that show this weight. */
async function followWeight(callers, weight, earlier) {
  let rounds = 0;
  while (rounds < ROUNDS) {
    const before = weightOf(await find());
    if (before !== weight && before !== earlier) fail(`the weight is ${before / 100} %, expected ${weight / 100} %`);
    const versions = callers.map((caller) => caller.version);
    await forAll(callers, (caller) => ask(caller, BigInt(calls)));
    if (before !== weight) continue;
    const mover = callers.find((caller, i) => rounds > 0 && caller.version !== versions[i]);
    if (mover) fail(`${mover.address} (${mover.way}) moved to version ${mover.version} while the weight stayed`);
    await checkAnswers(callers);
    if (weightOf(await find()) !== weight) fail(`the weight changed before ${weight / 100} % was printed here`);
    rounds += 1;
  }
  report(callers, weight);
}

async function followToTheEnd(callers) {
  let name;
  do {
    name = await find();
    await forAll(callers, (caller) => ask(caller, BigInt(calls)));
    await checkAnswers(callers);
  } while (name.canary.version !== '');
  if (name.current !== '2.0') fail(`${name.current} answers at the end`);
  console.log(`finished: ${calls} calls, none failed`);
}

const { aliasAddress } = await find().catch((error) => fail(`${NAME} at ${RPC_URL}: ${error.message}`));
const callers = makeCallers(CALLERS, aliasAddress).map((caller) => ({ ...caller, version: 1n }));
for (const [i, weight] of WEIGHTS.entries()) await followWeight(callers, weight, WEIGHTS[i - 1]);
await followToTheEnd(callers);
process.exit(0);
