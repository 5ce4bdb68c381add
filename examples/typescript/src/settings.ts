// Where the network is, who signs, and what is deployed.
import { readFileSync } from 'node:fs';

export const RPC_URL = process.env.RPC_URL ?? 'http://127.0.0.1:8545';
export const WS_URL = process.env.WS_URL ?? 'ws://127.0.0.1:8545';

/** The chain id of Lian's first group. */
export const CHAIN_ID = 20200;

/** The public phrase of the development accounts of `lian up`. Never use it where value is at stake. */
export const MNEMONIC = 'test test test test test test test test test test test junk';
export const DEVELOPER = '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266';

/** Lian finalises a block in well under a second, so the libraries' defaults of some seconds would only add delay. */
export const POLLING_INTERVAL_MS = 100;

export interface Artifact {
  contractName: string;
  abi: any[];
  bytecode: `0x${string}`;
  deployedBytecode: `0x${string}`;
}

export function artifact(name: string): Artifact {
  const file = new URL(`../../../contracts/artifacts/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8'));
}
