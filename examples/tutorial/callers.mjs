// Accounts that call the contract `box`, each in one of four ways. Nothing is charged for gas, so they need no coins.
import { Contract, JsonRpcProvider, Wallet, id } from 'ethers';
import { createPublicClient, createWalletClient, http, parseAbi } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { normalize } from 'viem/ens';

import { NAMES, lian, network } from './chain.mjs';

export const RPC_URL = process.env.RPC_URL ?? 'http://127.0.0.1:8545';
export const NAME = 'box';

/** Lian finalises a block in well under a second, so the libraries' defaults of some seconds would only add delay. */
const POLLING_INTERVAL_MS = 50;

const BOX = ['function version() view returns (uint64)', 'function store(uint256 value)'];
const LOOK_UP = [
  'function find(string name) view returns ((string name, bytes32 node, address aliasAddress, uint8 kind, address owner, ' +
    'uint256 versions, string current, address target, (string version, address target, uint16 basisPoints, bool held, ' +
    'uint256 callers, address rule) canary))',
  'function answer(string name, address caller) view returns (string text, address target, address rule)',
];

// ethers answers equal requests within 250 ms from its cache, which is longer than a block takes here; -1 turns it off.
const provider = new JsonRpcProvider(RPC_URL, network, {
  staticNetwork: network,
  cacheTimeout: -1,
  pollingInterval: POLLING_INTERVAL_MS,
});
const transport = http(RPC_URL);
const client = createPublicClient({ chain: lian, transport, pollingInterval: POLLING_INTERVAL_MS });
const names = new Contract(NAMES, LOOK_UP, provider);

/** What 0x2002 says of the name. */
export const find = async () => names.find(NAME);

/** The version that answers this account, as 0x2002 says. */
export const answer = async (address) => (await names.answer(NAME, address)).text;

function ethersCaller(key, target) {
  const signer = new Wallet(key, provider);
  // Where the target is a name, ethers looks it up at each call.
  const box = new Contract(target, BOX, signer);
  return {
    address: signer.address,
    read: async () => box.version(),
    write: async (value) => (await (await box.store(value)).wait()).status === 1,
  };
}

function viemCaller(key, target) {
  const account = privateKeyToAccount(key);
  const wallet = createWalletClient({ account, chain: lian, transport });
  const abi = parseAbi(BOX);
  const address = async () => (target === NAME ? client.getEnsAddress({ name: normalize(NAME) }) : target);
  return {
    address: account.address,
    read: async () => client.readContract({ address: await address(), abi, functionName: 'version', account }),
    write: async (value) => {
      const hash = await wallet.writeContract({ address: await address(), abi, functionName: 'store', args: [value] });
      return (await client.waitForTransactionReceipt({ hash })).status === 'success';
    },
  };
}

/** As many callers, a quarter of them by each library and each way, with numbered keys that are the same in each run. */
export function makeCallers(count, aliasAddress) {
  const ways = [
    (key) => ({ way: 'ethers by name', ...ethersCaller(key, NAME) }),
    (key) => ({ way: 'viem by name', ...viemCaller(key, NAME) }),
    (key) => ({ way: 'ethers by alias', ...ethersCaller(key, aliasAddress) }),
    (key) => ({ way: 'viem by alias', ...viemCaller(key, aliasAddress) }),
  ];
  return Array.from({ length: count }, (_, i) => ways[i % ways.length](id(`lian tutorial caller ${i}`)));
}
