// Checks that need no trust in the node: a block's hash and roots, and Merkle proofs of state.
import { createMPT, verifyMerkleProof } from '@ethereumjs/mpt';
import { decodeRlp, encodeRlp, getBytes, hexlify, keccak256, toBeHex } from 'ethers';
import type { TransactionReceipt } from 'ethers';

import { expectEqual, expectTrue } from './steps.js';

/** A block as `eth_getBlockByNumber` returns it. */
export type RawBlock = Record<string, any>;

/** What `eth_getProof` returns (EIP-1186). */
export interface RawProof {
  address: string;
  accountProof: string[];
  balance: string;
  codeHash: string;
  nonce: string;
  storageHash: string;
  storageProof: { key: string; value: string; proof: string[] }[];
}

type Hex = `0x${string}`;

/**
 * The header's fields in the order of the Yellow Paper and of the EIPs that added to it, each as the bytes that RLP
 * encodes. The block's hash is the Keccak-256 of their list. A field that a fork adds at the end is absent before it.
 */
export function headerFields(block: RawBlock): Hex[] {
  const fields = [
    block.parentHash,
    block.sha3Uncles,
    block.miner,
    block.stateRoot,
    block.transactionsRoot,
    block.receiptsRoot,
    block.logsBloom,
    quantity(block.difficulty),
    quantity(block.number),
    quantity(block.gasLimit),
    quantity(block.gasUsed),
    quantity(block.timestamp),
    block.extraData,
    block.mixHash,
    block.nonce,
  ];
  if (block.baseFeePerGas !== undefined) fields.push(quantity(block.baseFeePerGas));
  if (block.withdrawalsRoot !== undefined) fields.push(block.withdrawalsRoot);
  if (block.blobGasUsed !== undefined) fields.push(quantity(block.blobGasUsed), quantity(block.excessBlobGas));
  if (block.parentBeaconBlockRoot !== undefined) fields.push(block.parentBeaconBlockRoot);
  if (block.requestsHash !== undefined) fields.push(block.requestsHash);
  return fields;
}

/** The root of the trie from index to item, as in a header's `transactionsRoot` and `receiptsRoot`. */
export async function listRoot(items: string[]): Promise<string> {
  const trie = await createMPT();
  for (const [index, item] of items.entries()) {
    await trie.put(getBytes(encodeRlp(quantity(toBeHex(index)))), getBytes(item));
  }
  return hexlify(trie.root());
}

/** A receipt as it enters the receipts' trie (EIP-2718: the type's byte stands before the RLP list, type 0 has none). */
export function receiptBytes(receipt: TransactionReceipt): string {
  const body = encodeRlp([
    receipt.status === 1 ? '0x01' : '0x',
    quantity(toBeHex(receipt.cumulativeGasUsed)),
    receipt.logsBloom,
    receipt.logs.map((log) => [log.address, [...log.topics], log.data]),
  ]);
  return receipt.type === 0 ? body : `${toBeHex(receipt.type)}${body.slice(2)}`;
}

/** Proves the account against the state root, and each storage value against the account's storage root. */
export async function verifyProof(proof: RawProof, stateRoot: string): Promise<void> {
  const leaf = await provenValue(stateRoot, proof.address, proof.accountProof);
  expectTrue(`the proof of ${proof.address} shows that there is no such account`, leaf !== null);
  const [nonce, balance, storageHash, codeHash] = decodeRlp(leaf) as string[];
  expectEqual('proven nonce', nonce, quantity(proof.nonce));
  expectEqual('proven balance', balance, quantity(proof.balance));
  expectEqual('proven storage root', storageHash, proof.storageHash);
  expectEqual('proven code hash', codeHash, proof.codeHash);
  for (const { key, value, proof: nodes } of proof.storageProof) {
    const slot = toBeHex(BigInt(key), 32);
    const stored = await provenValue(proof.storageHash, slot, nodes);
    expectEqual(`proven value of slot ${key}`, stored === null ? '0x' : (decodeRlp(stored) as string), quantity(value));
  }
}

/** Proves that the state holds no account at this address. */
export async function verifyAbsence(proof: RawProof, stateRoot: string): Promise<void> {
  const leaf = await provenValue(stateRoot, proof.address, proof.accountProof);
  expectTrue(`the proof shows an account at ${proof.address}, which was never used`, leaf === null);
  expectEqual('balance of an absent account', BigInt(proof.balance), 0n);
  expectEqual('nonce of an absent account', BigInt(proof.nonce), 0n);
  expectEqual('code hash of an absent account', proof.codeHash, keccak256('0x'));
}

async function provenValue(root: string, key: string, nodes: string[]): Promise<Uint8Array | null> {
  if (root === keccak256('0x80')) return null; // The empty trie proves absence without any node.
  const options = { root: getBytes(root), useKeyHashing: true };
  return verifyMerkleProof(getBytes(key), nodes.map((node) => getBytes(node)), options);
}

/** RLP writes a number without leading zeros, and zero as the empty string. */
function quantity(value: string): Hex {
  const digits = BigInt(value).toString(16);
  return digits === '0' ? '0x' : `0x${digits.length % 2 === 1 ? '0' : ''}${digits}`;
}
