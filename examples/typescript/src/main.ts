import { CHAIN_ID, RPC_URL, WS_URL } from './settings.js';
import { fail } from './steps.js';
import { runEthers } from './with-ethers.js';
import { runViem } from './with-viem.js';

process.on('uncaughtException', (error) => fail('outside of any step', error));

console.log(`chain ${CHAIN_ID} at ${RPC_URL} and ${WS_URL}`);
await runEthers();
await runViem();
console.log('all steps passed');
// An open WebSocket would keep the process alive.
process.exit(0);
