// Lian with viem.
import {
  BaseError,
  ContractFunctionRevertedError,
  createPublicClient,
  createWalletClient,
  decodeEventLog,
  defineChain,
  encodeFunctionData,
  http,
  keccak256,
  numberToHex,
  parseEther,
  toRlp,
  webSocket,
} from 'viem';
import type { Hash, Hex, Log, PublicClient, TransactionReceipt } from 'viem';
import { generatePrivateKey, mnemonicToAccount, privateKeyToAccount } from 'viem/accounts';

import { CHAIN_ID, DEVELOPER, MNEMONIC, POLLING_INTERVAL_MS, RPC_URL, WS_URL, artifact } from './settings.js';
import { Inbox, expectEqual, expectError, expectTrue, step } from './steps.js';
import { headerFields, verifyAbsence, verifyProof } from './verify.js';

const BATCH_SIZE = 100;
const QUICK_SENDS = 20;
const LIVE_EVENTS = 5;

const lian = defineChain({
  id: CHAIN_ID,
  name: 'Lian',
  nativeCurrency: { name: 'Coin', symbol: 'COIN', decimals: 18 },
  rpcUrls: { default: { http: [RPC_URL], webSocket: [WS_URL] } },
});
const account = mnemonicToAccount(MNEMONIC);
const HELLO = artifact('HelloWorld');
const BOX = artifact('BoxV1');

const client = createPublicClient({ chain: lian, transport: http(), pollingInterval: POLLING_INTERVAL_MS });
const wallet = createWalletClient({ account, chain: lian, transport: http() });

export async function runViem(): Promise<void> {
  let hello: Hex;
  let firstBlock: bigint;

  await step('viem, network', checkNetwork);
  await step('viem, deploy HelloWorld', async () => {
    const receipt = await deploy(HELLO.abi, HELLO.bytecode, []);
    hello = receipt.contractAddress!;
    firstBlock = receipt.blockNumber;
    expectEqual('code', await client.getCode({ address: hello }), HELLO.deployedBytecode);
    expectEqual('get()', await greeting(hello), 'Hello, World!');
    return `${hello} in block ${firstBlock}`;
  });
  await step('viem, deploy LianToken', deployToken);
  await step('viem, send and wait', () => setGreeting(hello));
  await step('viem, events over HTTP', () => queryEvents(hello, firstBlock));
  await step('viem, events over WebSocket', () => liveEvents(hello));
  await step('viem, revert reason', () => revertReason(hello));
  await step('viem, upgradeable proxy', upgradeProxy);
  await step('viem, delegated account (type 4)', () => delegatedAccount(hello));
  await step('viem, batch', batch);
  await step('viem, quick sends', quickSends);
  await step('viem, block hash', blockHash);
  await step('viem, state proof', () => stateProof(hello));
}

async function deploy(abi: any[], bytecode: Hex, args: unknown[]): Promise<TransactionReceipt> {
  const receipt = await final(await wallet.deployContract({ abi, bytecode, args }));
  expectTrue('the receipt names no contract', receipt.contractAddress != null);
  return receipt;
}

async function final(hash: Hash): Promise<TransactionReceipt> {
  const receipt = await client.waitForTransactionReceipt({ hash });
  expectEqual(`status of ${hash}`, receipt.status, 'success');
  return receipt;
}

async function greeting(address: Hex): Promise<unknown> {
  return client.readContract({ address, abi: HELLO.abi, functionName: 'get' });
}

async function set(address: Hex, value: string): Promise<Hash> {
  return wallet.writeContract({ address, abi: HELLO.abi, functionName: 'set', args: [value] });
}

async function checkNetwork(): Promise<string> {
  expectEqual('chain id', await client.getChainId(), CHAIN_ID);
  expectEqual('account 0', account.address, DEVELOPER);
  expectEqual('gas price', await client.getGasPrice(), 0n);
  const fees = await client.estimateFeesPerGas();
  expectEqual('maxFeePerGas', fees.maxFeePerGas, 0n);
  expectEqual('maxPriorityFeePerGas', fees.maxPriorityFeePerGas, 0n);
  const history = await client.getFeeHistory({ blockCount: 4, rewardPercentiles: [50] });
  expectTrue('the fee history has a fee', history.baseFeePerGas.every((fee) => fee === 0n));
  return `chain ${CHAIN_ID}, fees are zero`;
}

async function deployToken(): Promise<string> {
  const { abi, bytecode } = artifact('LianToken');
  const supply = parseEther('1000000');
  const address = (await deploy(abi, bytecode, ['Lian Token', 'LIAN', supply])).contractAddress!;
  const read = (functionName: string, args: unknown[] = []) => client.readContract({ address, abi, functionName, args });
  expectEqual('name', await read('name'), 'Lian Token');
  expectEqual('decimals', await read('decimals'), 18);

  const receiver = privateKeyToAccount(generatePrivateKey()).address;
  await final(await wallet.writeContract({ address, abi, functionName: 'transfer', args: [receiver, 25n] }));
  expectEqual('balance of the receiver', await read('balanceOf', [receiver]), 25n);
  expectEqual('balance of the sender', await read('balanceOf', [DEVELOPER]), supply - 25n);
  return `${address}, 25 units transferred`;
}

async function setGreeting(hello: Hex): Promise<string> {
  const receipt = await final(await set(hello, 'Hello from viem'));
  expectEqual('type', receipt.type, 'eip1559');
  expectEqual('effectiveGasPrice', receipt.effectiveGasPrice, 0n);
  expectEqual('get()', await greeting(hello), 'Hello from viem');
  const event = decodeEventLog({ abi: HELLO.abi, ...receipt.logs[0]! }) as any;
  expectEqual('event', event.eventName, 'Greeted');
  expectEqual('event.by', event.args.by, DEVELOPER);
  expectEqual('event.greeting', event.args.greeting, 'Hello from viem');
  return `block ${receipt.blockNumber}, ${receipt.gasUsed} gas`;
}

async function queryEvents(hello: Hex, fromBlock: bigint): Promise<string> {
  const query = { address: hello, abi: HELLO.abi, eventName: 'Greeted', fromBlock } as const;
  const events: any[] = await client.getContractEvents({ ...query, args: { by: DEVELOPER } });
  expectEqual('number of events', events.length, 1);
  expectEqual('event.greeting', events[0].args.greeting, 'Hello from viem');
  const other = privateKeyToAccount(generatePrivateKey()).address;
  expectEqual('number of events of somebody else', (await client.getContractEvents({ ...query, args: { by: other } })).length, 0);

  // The same through a filter that the node keeps.
  const filter = await client.createContractEventFilter({ ...query, args: { by: DEVELOPER } });
  expectEqual('number of events in the filter', (await client.getFilterLogs({ filter })).length, 1);
  await final(await set(hello, 'Hello, filter'));
  const changes: any[] = await client.getFilterChanges({ filter });
  expectEqual('number of new events in the filter', changes.filter((log) => log.args.greeting === 'Hello, filter').length, 1);
  expectTrue('the filter was not known', await client.uninstallFilter({ filter }));
  return `${events.length} event since block ${fromBlock}, one more in a filter`;
}

async function liveEvents(hello: Hex): Promise<string> {
  const transport = webSocket(WS_URL);
  const live = createPublicClient({ chain: lian, transport }) as PublicClient;
  const logs = new Inbox<any>();
  const heads = new Inbox<bigint>();
  const onError = (error: Error) => logs.add(error);
  const stopLogs = live.watchContractEvent({
    address: hello,
    abi: HELLO.abi,
    onLogs: (arrived: Log[]) => arrived.forEach((log) => logs.add(log)),
    onError,
  });
  const stopHeads = live.watchBlocks({ onBlock: (block) => heads.add(block.number!), onError });
  // viem does not wait for the subscription's answer; one more request on the same socket comes after it.
  await live.getBlockNumber();

  // The transactions go over the WebSocket too.
  const sender = createWalletClient({ account, chain: lian, transport });
  const receipts: TransactionReceipt[] = [];
  for (let i = 0; i < LIVE_EVENTS; i++) {
    const hash = await sender.writeContract({ address: hello, abi: HELLO.abi, functionName: 'set', args: [`live ${i}`] });
    receipts.push(await final(hash));
  }
  const seen = await logs.atLeast(LIVE_EVENTS);
  for (const [i, receipt] of receipts.entries()) {
    if (seen[i] instanceof Error) throw seen[i];
    expectEqual('live event', seen[i].args.greeting, `live ${i}`);
    expectEqual('block hash of the live event', seen[i].blockHash, receipt.blockHash);
  }
  expectEqual('number of live events', seen.length, LIVE_EVENTS);
  while (heads.items.at(-1) !== receipts.at(-1)!.blockNumber) await heads.atLeast(heads.items.length + 1);
  stopLogs();
  stopHeads();
  (await (live.transport as any).getRpcClient()).close();
  return `${seen.length} events and ${heads.items.length} new blocks arrived`;
}

async function revertReason(hello: Hex): Promise<string> {
  const ask = { address: hello, abi: HELLO.abi, functionName: 'set', account } as const;
  const attempts: [string, (args: string[]) => Promise<unknown>][] = [
    ['call', (args) => client.simulateContract({ ...ask, args })],
    ['gas estimation', (args) => client.estimateContractGas({ ...ask, args })],
  ];
  for (const [way, attempt] of attempts) {
    const refused = await expectError(`the empty greeting in a ${way}`, () => attempt(['']));
    expectEqual(`${way}: reason`, revertOf(refused).reason, 'HelloWorld: empty greeting');
    const typed = revertOf(await expectError(`the long greeting in a ${way}`, () => attempt(['x'.repeat(300)])));
    expectEqual(`${way}: error`, typed.data?.errorName, 'GreetingTooLong');
    expectEqual(`${way}: values`, String(typed.data?.args), '300,256');
  }
  return '"HelloWorld: empty greeting" and GreetingTooLong(300, 256)';
}

function revertOf(error: unknown): ContractFunctionRevertedError {
  const revert = error instanceof BaseError ? error.walk((cause) => cause instanceof ContractFunctionRevertedError) : null;
  if (!(revert instanceof ContractFunctionRevertedError)) throw error;
  return revert;
}

async function upgradeProxy(): Promise<string> {
  const second = artifact('BoxV2');
  const proxyArtifact = artifact('ERC1967Proxy');
  const implementation1 = (await deploy(BOX.abi, BOX.bytecode, [])).contractAddress!;
  const implementation2 = (await deploy(second.abi, second.bytecode, [])).contractAddress!;
  const initialize = encodeFunctionData({ abi: BOX.abi, functionName: 'initialize', args: [DEVELOPER, 7n] });
  const proxy = (await deploy(proxyArtifact.abi, proxyArtifact.bytecode, [implementation1, initialize])).contractAddress!;
  const box = { address: proxy, abi: second.abi } as const;
  const read = (functionName: string) => client.readContract({ ...box, functionName });
  const write = async (functionName: string, args: unknown[]) =>
    final(await wallet.writeContract({ ...box, functionName, args }));

  expectEqual('version before', await read('version'), 1n);
  const upgradeArgs = [implementation2, encodeFunctionData({ abi: second.abi, functionName: 'initializeV2' })];
  const stranger = privateKeyToAccount(generatePrivateKey());
  const upgrade = { ...box, functionName: 'upgradeToAndCall', args: upgradeArgs } as const;
  const refused = await expectError('an upgrade by a stranger', () => client.simulateContract({ ...upgrade, account: stranger }));
  expectEqual('error for a stranger', revertOf(refused).data?.errorName, 'NotOwner');
  await write('upgradeToAndCall', upgradeArgs);
  await write('increment', []);
  expectEqual('version after', await read('version'), 2n);
  expectEqual('value', await read('value'), 8n);
  expectEqual('value at the upgrade', await read('valueAtUpgrade'), 7n);
  return `${proxy} went from version 1 to 2 and kept its value`;
}

async function delegatedAccount(hello: Hex): Promise<string> {
  // A new account without any balance: fees are zero, so it needs none. It takes over the code of HelloWorld (EIP-7702).
  const fresh = privateKeyToAccount(generatePrivateKey());
  const sender = createWalletClient({ account: fresh, chain: lian, transport: http() });
  const authorization = await sender.signAuthorization({ contractAddress: hello, executor: 'self' });
  const data = encodeFunctionData({ abi: HELLO.abi, functionName: 'set', args: ['I am an account'] });
  const hash = await sender.sendTransaction({ authorizationList: [authorization], to: fresh.address, data });
  const receipt = await final(hash);
  expectEqual('type', receipt.type, 'eip7702');
  expectEqual('code', await client.getCode({ address: fresh.address }), `0xef0100${hello.slice(2).toLowerCase()}`);
  expectEqual('get() of the account', await greeting(fresh.address), 'I am an account');
  return `${fresh.address} runs HelloWorld's code`;
}

async function batch(): Promise<string> {
  const sizes: number[] = [];
  const onFetchRequest = async (request: Request) => {
    const body = await request.clone().json();
    sizes.push(Array.isArray(body) ? body.length : 1);
  };
  // viem joins the requests made within `wait` milliseconds.
  const transport = http(RPC_URL, { batch: { batchSize: BATCH_SIZE, wait: 50 }, onFetchRequest });
  const batching = createPublicClient({ chain: lian, transport });
  // The identity precompile (address 4) returns its input, so that every answer is a different one.
  const inputs = Array.from({ length: BATCH_SIZE }, (_, i) => numberToHex(i, { size: 32 }));
  const identity = numberToHex(4, { size: 20 });
  const answers = await Promise.all(inputs.map((data) => batching.call({ to: identity, data })));
  for (const [i, answer] of answers.entries()) expectEqual(`answer ${i}`, answer.data, inputs[i]);
  expectEqual('sizes of the HTTP bodies', sizes.join(), String(BATCH_SIZE));
  return `${BATCH_SIZE} requests in one body, all answers in place`;
}

async function quickSends(): Promise<string> {
  const receiver = privateKeyToAccount(generatePrivateKey()).address;
  const first = await client.getTransactionCount({ address: DEVELOPER, blockTag: 'pending' });
  const hashes: Hash[] = [];
  // No nonce is given: before each send viem asks the node, which counts what its pool holds.
  for (let i = 0; i < QUICK_SENDS; i++) hashes.push(await wallet.sendTransaction({ to: receiver, value: 1n }));
  const receipts = await Promise.all(hashes.map(final));
  expectEqual('different hashes', new Set(hashes).size, QUICK_SENDS);
  expectEqual('nonce afterwards', await client.getTransactionCount({ address: DEVELOPER }), first + QUICK_SENDS);
  expectEqual('received', await client.getBalance({ address: receiver }), BigInt(QUICK_SENDS));
  const blocks = new Set(receipts.map((receipt) => receipt.blockNumber));
  return `${QUICK_SENDS} without waiting, final in ${blocks.size} block(s)`;
}

async function blockHash(): Promise<string> {
  const head = await client.getBlockNumber();
  const oldest = head > 9n ? head - 9n : 0n;
  let parent: Hex | undefined;
  for (let number = oldest; number <= head; number++) {
    const tag = `0x${number.toString(16)}` as const;
    const block: any = await client.request({ method: 'eth_getBlockByNumber', params: [tag, false] });
    expectEqual(`Keccak-256 of header ${number}`, keccak256(toRlp(headerFields(block))), block.hash);
    if (parent !== undefined) expectEqual(`parent of block ${number}`, block.parentHash, parent);
    parent = block.hash;
  }
  return `blocks ${oldest} to ${head}, each with its parent`;
}

async function stateProof(hello: Hex): Promise<string> {
  const block = await client.getBlock();
  const numbers = { blockNumber: block.number };
  const slot = `0x${'0'.repeat(64)}` as const;
  const contract = await client.getProof({ address: hello, storageKeys: [slot], ...numbers });
  await verifyProof(rawProof(contract), block.stateRoot);
  const stored = await client.getStorageAt({ address: hello, slot, ...numbers });
  expectEqual('value of slot 0', contract.storageProof[0]!.value, BigInt(stored!));
  const unused = privateKeyToAccount(generatePrivateKey()).address;
  await verifyAbsence(rawProof(await client.getProof({ address: unused, storageKeys: [], ...numbers })), block.stateRoot);
  return `account, slot and absence, against block ${block.number}`;
}

/** viem turns the numbers of a proof into `bigint`; the check takes them as the node sent them. */
function rawProof(proof: Awaited<ReturnType<typeof client.getProof>>) {
  const hex = (value: bigint | number) => `0x${value.toString(16)}`;
  return {
    ...proof,
    balance: hex(proof.balance),
    nonce: hex(proof.nonce),
    storageProof: proof.storageProof.map((entry) => ({ ...entry, value: hex(entry.value) })),
  };
}
