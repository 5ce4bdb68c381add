// Lian with ethers v6.
import {
  Contract,
  ContractFactory,
  HDNodeWallet,
  JsonRpcProvider,
  NonceManager,
  Transaction,
  Wallet,
  WebSocketProvider,
  encodeRlp,
  id,
  keccak256,
  parseEther,
  toBeHex,
} from 'ethers';
import type { ContractTransactionResponse, EventLog, TransactionReceipt, TransactionResponse } from 'ethers';

import { CHAIN_ID, DEVELOPER, MNEMONIC, POLLING_INTERVAL_MS, RPC_URL, WS_URL, artifact } from './settings.js';
import { Inbox, expectEqual, expectError, expectTrue, step } from './steps.js';
import { headerFields, listRoot, receiptBytes, verifyAbsence, verifyProof } from './verify.js';

const BATCH_SIZE = 100;
const QUICK_SENDS = 20;
const LIVE_EVENTS = 5;
const GREETING_BYTES_MAX = 256n;

export async function runEthers(): Promise<void> {
  // ethers answers equal requests within 250 ms from its cache, which is longer than a block takes here; -1 turns it off.
  const provider = new JsonRpcProvider(RPC_URL, undefined, {
    cacheTimeout: -1,
    pollingInterval: POLLING_INTERVAL_MS,
    batchMaxCount: BATCH_SIZE,
  });
  const developer = HDNodeWallet.fromPhrase(MNEMONIC).connect(provider);
  let hello: Contract;
  let firstBlock: number;
  let receipts: TransactionReceipt[];

  await step('ethers, network', () => checkNetwork(provider, developer));
  await step('ethers, deploy HelloWorld', async () => {
    const { abi, bytecode, deployedBytecode } = artifact('HelloWorld');
    const deployed = await new ContractFactory(abi, bytecode, developer).deploy();
    hello = (await deployed.waitForDeployment()) as Contract;
    firstBlock = (await deployed.deploymentTransaction()!.wait())!.blockNumber;
    expectEqual('code', await provider.getCode(hello), deployedBytecode);
    expectEqual('get()', await hello.get(), 'Hello, World!');
    return `${await hello.getAddress()} in block ${firstBlock}`;
  });
  await step('ethers, deploy LianToken', () => deployToken(developer));
  await step('ethers, send and wait', () => setGreeting(hello));
  await step('ethers, events over HTTP', () => queryEvents(hello, firstBlock));
  await step('ethers, events over WebSocket', () => liveEvents(hello));
  await step('ethers, revert reason', () => revertReason(hello));
  await step('ethers, failed transaction', () => failedTransaction(hello));
  await step('ethers, bad transactions', () => badTransactions(provider, developer));
  await step('ethers, transaction types', () => transactionTypes(provider, developer));
  await step('ethers, batch', () => batch(provider));
  await step('ethers, quick sends', async () => {
    receipts = await quickSends(provider, developer);
    const blocks = new Set(receipts.map(({ blockNumber }) => blockNumber));
    return `${receipts.length} at once, final in ${blocks.size} block(s)`;
  });
  await step('ethers, block hash and roots', () => blockHash(provider, receipts.at(-1)!.blockHash));
  await step('ethers, state proof', () => stateProof(provider, hello));
  provider.destroy();
}

async function checkNetwork(provider: JsonRpcProvider, developer: HDNodeWallet): Promise<string> {
  expectEqual('chain id', (await provider.getNetwork()).chainId, BigInt(CHAIN_ID));
  expectEqual('net_version', await provider.send('net_version', []), String(CHAIN_ID));
  expectEqual('account 0', developer.address, DEVELOPER);
  expectTrue('account 0 has no balance', (await provider.getBalance(developer)) > 0n);
  expectEqual('eth_gasPrice', await provider.send('eth_gasPrice', []), '0x0');
  expectEqual('eth_maxPriorityFeePerGas', await provider.send('eth_maxPriorityFeePerGas', []), '0x0');
  expectEqual('baseFeePerGas', (await provider.getBlock('latest'))!.baseFeePerGas, 0n);
  return `chain ${CHAIN_ID}, fees are zero`;
}

async function deployToken(developer: HDNodeWallet): Promise<string> {
  const supply = parseEther('1000000');
  const { abi, bytecode } = artifact('LianToken');
  const token = (await new ContractFactory(abi, bytecode, developer).deploy('Lian Token', 'LIAN', supply)) as Contract;
  await token.waitForDeployment();
  expectEqual('name', await token.name(), 'Lian Token');
  expectEqual('symbol', await token.symbol(), 'LIAN');
  expectEqual('decimals', await token.decimals(), 18n);

  const receiver = Wallet.createRandom().address;
  const sent: ContractTransactionResponse = await token.transfer(receiver, 25n);
  await sent.wait();
  expectEqual('balance of the receiver', await token.balanceOf(receiver), 25n);
  expectEqual('balance of the sender', await token.balanceOf(developer), supply - 25n);
  return `${await token.getAddress()}, 25 units transferred`;
}

async function setGreeting(hello: Contract): Promise<string> {
  const sent: ContractTransactionResponse = await hello.set('Hello from ethers');
  const receipt = (await sent.wait())!;
  expectEqual('status', receipt.status, 1);
  expectEqual('effectiveGasPrice', receipt.gasPrice, 0n);
  expectEqual('get()', await hello.get(), 'Hello from ethers');
  const event = receipt.logs[0] as EventLog;
  expectEqual('event', event.eventName, 'Greeted');
  expectEqual('event.by', event.args.by, DEVELOPER);
  expectEqual('event.greeting', event.args.greeting, 'Hello from ethers');
  return `block ${receipt.blockNumber}, ${receipt.gasUsed} gas`;
}

async function queryEvents(hello: Contract, fromBlock: number): Promise<string> {
  const events = (await hello.queryFilter(hello.filters.Greeted!(DEVELOPER), fromBlock, 'latest')) as EventLog[];
  expectEqual('number of events', events.length, 1);
  expectEqual('event.greeting', events[0]!.args.greeting, 'Hello from ethers');
  const others = await hello.queryFilter(hello.filters.Greeted!(Wallet.createRandom().address), fromBlock, 'latest');
  expectEqual('number of events of somebody else', others.length, 0);
  return `${events.length} event since block ${fromBlock}`;
}

async function liveEvents(hello: Contract): Promise<string> {
  const socket = new WebSocketProvider(WS_URL);
  const events = new Inbox<{ greeting: string; log: EventLog }>();
  const heads = new Inbox<number>();
  const live = hello.connect(socket) as Contract;
  await live.on('Greeted', (_by, greeting, payload) => events.add({ greeting, log: payload.log }));
  await socket.on('block', (number) => heads.add(number));
  // ethers does not wait for the subscription's answer; one more request on the same socket comes after it.
  await socket.getBlockNumber();

  const receipts: TransactionReceipt[] = [];
  for (let i = 0; i < LIVE_EVENTS; i++) receipts.push(await (await hello.set(`live ${i}`)).wait());
  const seen = await events.atLeast(LIVE_EVENTS);
  for (const [i, receipt] of receipts.entries()) {
    expectEqual('live event', seen[i]!.greeting, `live ${i}`);
    expectEqual('block hash of the live event', seen[i]!.log.blockHash, receipt.blockHash);
  }
  expectEqual('number of live events', seen.length, LIVE_EVENTS);
  while (heads.items.at(-1) !== receipts.at(-1)!.blockNumber) await heads.atLeast(heads.items.length + 1);
  await socket.destroy();
  return `${seen.length} events and ${heads.items.length} new blocks arrived`;
}

async function revertReason(hello: Contract): Promise<string> {
  const tooLong = 'x'.repeat(300);
  const attempts: [string, (greeting: string) => Promise<unknown>][] = [
    ['call', (greeting) => hello.set!.staticCall(greeting)],
    ['gas estimation', (greeting) => hello.set!.estimateGas(greeting)],
  ];
  for (const [way, attempt] of attempts) {
    const refused = await expectError(`the empty greeting in a ${way}`, () => attempt(''));
    expectEqual(`${way}: code`, refused.code, 'CALL_EXCEPTION');
    expectEqual(`${way}: reason`, refused.reason, 'HelloWorld: empty greeting');

    const typed = await expectError(`the long greeting in a ${way}`, () => attempt(tooLong));
    expectEqual(`${way}: code`, typed.code, 'CALL_EXCEPTION');
    const error = hello.interface.parseError(typed.data);
    expectEqual(`${way}: error`, error?.name, 'GreetingTooLong');
    // By index, since `args.length` is the number of arguments.
    expectEqual(`${way}: length`, error?.args[0], 300n);
    expectEqual(`${way}: limit`, error?.args[1], GREETING_BYTES_MAX);
  }
  return '"HelloWorld: empty greeting" and GreetingTooLong(300, 256)';
}

async function failedTransaction(hello: Contract): Promise<string> {
  // With a gas limit of its own the transaction is sent without an estimation, so that it fails in a block.
  const sent: ContractTransactionResponse = await hello.set('', { gasLimit: 100_000n });
  const error = await expectError('waiting for the failed transaction', () => sent.wait());
  expectEqual('code', error.code, 'CALL_EXCEPTION');
  const receipt = (await hello.runner!.provider!.getTransactionReceipt(sent.hash))!;
  expectEqual('status', receipt.status, 0);
  expectEqual('number of logs', receipt.logs.length, 0);
  return `status 0 in block ${receipt.blockNumber}`;
}

async function badTransactions(provider: JsonRpcProvider, developer: HDNodeWallet): Promise<string> {
  const good = { to: developer.address, gasLimit: 21_000n, gasPrice: 0n, type: 0, chainId: CHAIN_ID };
  const nonce = await provider.getTransactionCount(developer);
  const send = async (change: object) =>
    provider.broadcastTransaction(await developer.signTransaction({ ...good, nonce, ...change }));

  const used = await expectError('a used nonce', () => send({ nonce: 0 }));
  expectEqual('code for a used nonce', used.code, 'NONCE_EXPIRED');
  await expectError('a transaction for another chain', async () => {
    // Without a provider the wallet does not notice that the chain is a different one; the node has to.
    const elsewhere = { to: developer.address, gasLimit: 21_000n, type: 2, maxFeePerGas: 0n, maxPriorityFeePerGas: 0n };
    const wallet = new Wallet(developer.privateKey);
    return provider.broadcastTransaction(await wallet.signTransaction({ ...elsewhere, nonce, chainId: CHAIN_ID + 1 }));
  });
  await expectError('too little gas', () => send({ gasLimit: 20_999n }));
  expectEqual('nonce afterwards', await provider.getTransactionCount(developer, 'pending'), nonce);
  return 'used nonce, other chain and too little gas are refused';
}

async function transactionTypes(provider: JsonRpcProvider, developer: HDNodeWallet): Promise<string> {
  const receiver = Wallet.createRandom().address;
  const kinds = [
    { type: 0, gasPrice: 0n },
    { type: 1, gasPrice: 0n, accessList: [{ address: receiver, storageKeys: [id('a slot')] }] },
    { type: 2, maxFeePerGas: 0n, maxPriorityFeePerGas: 0n },
    { type: 2, maxFeePerGas: 7n, maxPriorityFeePerGas: 7n },
  ];
  for (const kind of kinds) {
    const sent = await developer.sendTransaction({ to: receiver, value: 1n, ...kind });
    const receipt = (await sent.wait())!;
    expectEqual('type', receipt.type, kind.type);
    expectEqual('effectiveGasPrice', receipt.gasPrice, 0n);
    const stored = (await provider.getTransaction(sent.hash))!;
    expectEqual('sender', stored.from, DEVELOPER);
    // `from` checks that hash and signature fit the fields.
    expectEqual('hash', Transaction.from(stored).hash, sent.hash);
  }
  expectEqual('received', await provider.getBalance(receiver), BigInt(kinds.length));
  return 'types 0, 1 and 2';
}

async function batch(provider: JsonRpcProvider): Promise<string> {
  const sizes: number[] = [];
  const count = (event: { action: string; payload?: unknown }) => {
    if (event.action === 'sendRpcPayload') sizes.push(Array.isArray(event.payload) ? event.payload.length : 1);
  };
  const head = await provider.getBlockNumber();
  await provider.on('debug', count);
  // ethers joins requests made at the same time. The last one is unknown: its error must not touch the others.
  const blocks = Array.from({ length: BATCH_SIZE - 1 }, (_, i) => i % (head + 1));
  const answers = blocks.map((number) => provider.send('eth_getBlockByNumber', [`0x${number.toString(16)}`, false]));
  const unknown = expectError('an unknown method', () => provider.send('lian_noSuchMethod', []));
  for (const [i, block] of (await Promise.all(answers)).entries()) {
    expectEqual(`number in answer ${i}`, Number(block.number), blocks[i]);
  }
  const refusal = await unknown;
  expectEqual('code for an unknown method', refusal.error?.code ?? refusal.info?.error?.code, -32601);
  await provider.off('debug', count);
  expectEqual('sizes of the HTTP bodies', sizes.join(), String(BATCH_SIZE));
  return `${BATCH_SIZE} requests in one body, ${answers.length} answers and one error in place`;
}

async function quickSends(provider: JsonRpcProvider, developer: HDNodeWallet): Promise<TransactionReceipt[]> {
  const receiver = Wallet.createRandom().address;
  const first = await provider.getTransactionCount(developer, 'pending');
  // The nonce manager counts here, so that all sends start at once and reach the node in any order.
  const sender = new NonceManager(developer);
  const sends = Array.from({ length: QUICK_SENDS }, () => sender.sendTransaction({ to: receiver, value: 1n }));
  const sent: TransactionResponse[] = await Promise.all(sends);
  const receipts = await Promise.all(sent.map(async (transaction) => (await transaction.wait())!));
  for (const receipt of receipts) expectEqual('status', receipt.status, 1);
  expectEqual('different hashes', new Set(sent.map(({ hash }) => hash)).size, QUICK_SENDS);
  expectEqual('nonce afterwards', await provider.getTransactionCount(developer), first + QUICK_SENDS);
  expectEqual('received', await provider.getBalance(receiver), BigInt(QUICK_SENDS));
  return receipts;
}

async function blockHash(provider: JsonRpcProvider, hash: string): Promise<string> {
  const raw = await provider.send('eth_getBlockByHash', [hash, false]);
  expectEqual('Keccak-256 of the header', keccak256(encodeRlp(headerFields(raw))), hash);
  const parent = await provider.send('eth_getBlockByHash', [raw.parentHash, false]);
  expectEqual('number of the parent', Number(parent.number), Number(raw.number) - 1);

  const block = (await provider.getBlock(hash, true))!;
  const transactions = block.prefetchedTransactions.map((transaction) => Transaction.from(transaction).serialized);
  expectEqual('transactionsRoot', await listRoot(transactions), raw.transactionsRoot);
  const receipts = await Promise.all(block.transactions.map((sent) => provider.getTransactionReceipt(sent)));
  expectEqual('receiptsRoot', await listRoot(receipts.map((receipt) => receiptBytes(receipt!))), raw.receiptsRoot);
  return `block ${block.number} with ${block.length} transaction(s)`;
}

async function stateProof(provider: JsonRpcProvider, hello: Contract): Promise<string> {
  const block = await provider.send('eth_getBlockByNumber', ['latest', false]);
  const proofOf = (address: string, slots: string[]) => provider.send('eth_getProof', [address, slots, block.number]);

  // Slot 0 holds the greeting; the other one was never written, which the proof shows as well.
  const contract = await proofOf(await hello.getAddress(), [toBeHex(0, 32), id('nothing is stored here')]);
  await verifyProof(contract, block.stateRoot);
  expectTrue('the greeting is not in slot 0', BigInt(contract.storageProof[0].value) !== 0n);
  expectEqual('value of an unused slot', BigInt(contract.storageProof[1].value), 0n);
  await verifyProof(await proofOf(DEVELOPER, []), block.stateRoot);
  await verifyAbsence(await proofOf(Wallet.createRandom().address, []), block.stateRoot);

  const forged = { ...contract, nonce: toBeHex(BigInt(contract.nonce) + 1n) };
  await expectError('a forged nonce', () => verifyProof(forged, block.stateRoot));
  return `account, slots and absence, against block ${Number(block.number)}`;
}
