// Lian for ethers and for viem: copy this file. With it both find contracts by their names, at the address 0x2002.
import { EnsPlugin, Network } from 'ethers';
import { defineChain } from 'viem';

/** The chain id of Lian's first group. */
export const CHAIN_ID = 20200;

/** The contract of names: ENS's registry, resolver and universal resolver in one. */
export const NAMES = '0x0000000000000000000000000000000000002002';

/** For ethers: `new JsonRpcProvider(url, network, { staticNetwork: network })`. */
export const network = new Network('lian', CHAIN_ID);
network.attachPlugin(new EnsPlugin(NAMES, CHAIN_ID));

/** For viem. */
export const lian = defineChain({
  id: CHAIN_ID,
  name: 'Lian',
  nativeCurrency: { name: 'Coin', symbol: 'COIN', decimals: 18 },
  rpcUrls: { default: { http: ['http://127.0.0.1:8545'] } },
  contracts: { ensUniversalResolver: { address: NAMES } },
});
