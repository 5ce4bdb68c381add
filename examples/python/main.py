"""Lian from Python, with web3.py: deploy, send, read events over HTTP and WebSocket, and check what the node says."""

import asyncio
import json
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_utils import keccak
from web3 import AsyncWeb3, Web3, WebSocketProvider
from web3.contract import Contract
from web3.exceptions import ContractCustomError, ContractLogicError, Web3RPCError
from web3.middleware import SignAndSendRawMiddlewareBuilder

from steps import Mismatch, expect_equal, expect_error, expect_true, step
from verify import block_hash, verify_absence, verify_proof

RPC_URL = os.environ.get("RPC_URL", "http://127.0.0.1:8545")
WS_URL = os.environ.get("WS_URL", "ws://127.0.0.1:8545")
CHAIN_ID = 20200  # The chain id of Lian's first group.

# Development account 0 of `lian up`. Its key is public: never use it where value is at stake.
DEVELOPER = Account.from_key("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")

ARTIFACTS = Path(__file__).resolve().parents[2] / "contracts" / "artifacts"
BATCH_SIZE = 100
QUICK_SENDS = 20
LIVE_EVENTS = 5
LIVE_SECONDS_MAX = 60  # Far more than needed; it turns silence into a clear failure.
ETHER = 10**18


def main() -> None:
    print(f"chain {CHAIN_ID} at {RPC_URL} and {WS_URL}")
    w3 = Web3(Web3.HTTPProvider(RPC_URL))
    # web3.py now signs what is sent from this account, and fills in nonce, gas and fees.
    w3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(DEVELOPER), layer=0)
    w3.eth.default_account = DEVELOPER.address
    deployed: list[tuple[Contract, Any]] = []

    def deploy_hello() -> str:
        deployed.append(deploy(w3, "HelloWorld"))
        ((contract, receipt),) = deployed
        expect_equal("code", w3.eth.get_code(contract.address).to_0x_hex(), artifact("HelloWorld")["deployedBytecode"])
        expect_equal("get()", contract.functions.get().call(), "Hello, World!")
        return f"{contract.address} in block {receipt['blockNumber']}"

    step("web3.py, network", lambda: check_network(w3))
    step("web3.py, deploy HelloWorld", deploy_hello)
    hello, first_block = deployed[0][0], deployed[0][1]["blockNumber"]
    step("web3.py, deploy LianToken", lambda: deploy_token(w3))
    step("web3.py, send and wait", lambda: set_greeting(w3, hello))
    step("web3.py, events over HTTP", lambda: query_events(w3, hello, first_block))
    step("web3.py, events over WebSocket", lambda: asyncio.run(within_limit(live_events(hello))))
    step("web3.py, revert reason", lambda: revert_reason(hello))
    step("web3.py, failed transaction", lambda: failed_transaction(w3, hello))
    step("web3.py, bad transactions", lambda: bad_transactions(w3))
    step("web3.py, asset ledger", lambda: asset_ledger(w3))
    step("web3.py, batch", lambda: batch(w3))
    step("web3.py, quick sends", lambda: quick_sends(w3))
    step("web3.py, block hash", lambda: check_block_hash(w3))
    step("web3.py, state proof", lambda: state_proof(w3, hello))
    print("all steps passed")


def artifact(name: str) -> dict[str, Any]:
    return json.loads((ARTIFACTS / f"{name}.json").read_text(encoding="utf-8"))


def deploy(w3: Web3, name: str, *args: Any) -> tuple[Contract, Any]:
    """Deploys a committed artifact; returns the contract and the receipt of its deployment."""
    compiled = artifact(name)
    factory = w3.eth.contract(abi=compiled["abi"], bytecode=compiled["bytecode"])
    receipt = final(w3, factory.constructor(*args).transact())
    return w3.eth.contract(address=receipt["contractAddress"], abi=compiled["abi"]), receipt


def final(w3: Web3, transaction_hash: Any) -> Any:
    """Waits for the receipt, which on Lian is final, and expects success."""
    receipt = w3.eth.wait_for_transaction_receipt(transaction_hash)
    expect_equal(f"status of {receipt['transactionHash'].to_0x_hex()}", receipt["status"], 1)
    return receipt


def raw(w3: Web3, method: str, *params: Any) -> Any:
    """A request whose answer is wanted as the node's JSON has it."""
    answer = w3.provider.make_request(method, params)
    if "error" in answer:
        raise Mismatch(f"{method} failed: {answer['error']}")
    return answer["result"]


def check_network(w3: Web3) -> str:
    expect_true(f"no node answers at {RPC_URL}", w3.is_connected())
    expect_equal("chain id", w3.eth.chain_id, CHAIN_ID)
    expect_equal("gas price", w3.eth.gas_price, 0)
    expect_equal("priority fee", w3.eth.max_priority_fee, 0)
    expect_equal("base fee", w3.eth.get_block("latest")["baseFeePerGas"], 0)
    expect_true("account 0 has no balance", w3.eth.get_balance(DEVELOPER.address) > 0)
    return f"chain {CHAIN_ID}, {w3.client_version}, fees are zero"


def deploy_token(w3: Web3) -> str:
    supply = 1_000_000 * ETHER
    token, _ = deploy(w3, "LianToken", "Lian Token", "LIAN", supply)
    expect_equal("symbol", token.functions.symbol().call(), "LIAN")
    expect_equal("decimals", token.functions.decimals().call(), 18)
    receiver = Account.create().address
    receipt = final(w3, token.functions.transfer(receiver, 25).transact())
    (event,) = token.events.Transfer().process_receipt(receipt)
    expect_equal("event.value", event["args"]["value"], 25)
    expect_equal("balance of the receiver", token.functions.balanceOf(receiver).call(), 25)
    expect_equal("balance of the sender", token.functions.balanceOf(DEVELOPER.address).call(), supply - 25)
    return f"{token.address}, 25 units transferred"


def set_greeting(w3: Web3, hello: Contract) -> str:
    receipt = final(w3, hello.functions.set("Hello from Python").transact())
    expect_equal("effectiveGasPrice", receipt["effectiveGasPrice"], 0)
    expect_equal("get()", hello.functions.get().call(), "Hello from Python")
    (event,) = hello.events.Greeted().process_receipt(receipt)
    expect_equal("event", dict(event["args"]), {"by": DEVELOPER.address, "greeting": "Hello from Python"})
    return f"block {receipt['blockNumber']}, {receipt['gasUsed']} gas"


def query_events(w3: Web3, hello: Contract, first_block: int) -> str:
    mine = {"by": DEVELOPER.address}
    events = hello.events.Greeted().get_logs(from_block=first_block, argument_filters=mine)
    expect_equal("greetings", [event["args"]["greeting"] for event in events], ["Hello from Python"])
    others = hello.events.Greeted().get_logs(from_block=first_block, argument_filters={"by": Account.create().address})
    expect_equal("events of somebody else", len(others), 0)

    # The same through a filter that the node keeps.
    kept = hello.events.Greeted.create_filter(from_block=first_block, argument_filters=mine)
    expect_equal("events in the filter", len(kept.get_all_entries()), 1)
    final(w3, hello.functions.set("Hello, filter").transact())
    new = [event["args"]["greeting"] for event in kept.get_new_entries()]
    expect_equal("the filter's newest event", new[-1:], ["Hello, filter"])
    expect_true("the filter was not known", w3.eth.uninstall_filter(kept.filter_id))
    return f"{len(events)} event since block {first_block}, one more in a filter"


async def within_limit(work: Coroutine[Any, Any, str]) -> str:
    try:
        return await asyncio.wait_for(work, LIVE_SECONDS_MAX)
    except asyncio.TimeoutError as error:
        raise Mismatch(f"no result within {LIVE_SECONDS_MAX} seconds") from error


async def live_events(hello: Contract) -> str:
    async with AsyncWeb3(WebSocketProvider(WS_URL)) as w3:
        w3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(DEVELOPER), layer=0)
        contract = w3.eth.contract(address=hello.address, abi=hello.abi)
        logs = await w3.eth.subscribe("logs", {"address": hello.address})
        heads = await w3.eth.subscribe("newHeads")
        receipts = []
        for i in range(LIVE_EVENTS):
            sent = await contract.functions.set(f"live {i}").transact({"from": DEVELOPER.address})
            receipts.append(await w3.eth.wait_for_transaction_receipt(sent))

        seen, blocks = [], {}
        last = receipts[-1]["blockHash"]
        async for message in w3.socket.process_subscriptions():
            result = message["result"]
            if message["subscription"] == logs:
                seen.append(result)
            elif message["subscription"] == heads:
                blocks[result["hash"]] = result["number"]
            if len(seen) >= LIVE_EVENTS and last in blocks:
                break
        for i, (log, receipt) in enumerate(zip(seen, receipts, strict=True)):
            expect_equal("live event", contract.events.Greeted().process_log(log)["args"]["greeting"], f"live {i}")
            expect_equal("block hash of the live event", log["blockHash"], receipt["blockHash"])
            expect_equal("block of the live event", blocks.get(log["blockHash"]), receipt["blockNumber"])
        expect_true("the subscription was not known", await w3.eth.unsubscribe(logs))
        return f"{len(seen)} events and {len(blocks)} new blocks arrived"


def revert_reason(hello: Contract) -> str:
    selector = keccak(text="GreetingTooLong(uint256,uint256)")[:4].hex()
    typed_data = f"0x{selector}{300:064x}{256:064x}"
    for way, attempt in (
        ("call", lambda greeting: hello.functions.set(greeting).call()),
        ("gas estimation", lambda greeting: hello.functions.set(greeting).estimate_gas()),
    ):
        refused = expect_error(f"the empty greeting in a {way}", ContractLogicError, lambda: attempt(""))
        expect_equal(f"{way}: message", refused.message, "execution reverted: HelloWorld: empty greeting")
        typed = expect_error(f"the long greeting in a {way}", ContractCustomError, lambda: attempt("x" * 300))
        expect_equal(f"{way}: data", typed.data, typed_data)
    return '"HelloWorld: empty greeting" and GreetingTooLong(300, 256)'


def failed_transaction(w3: Web3, hello: Contract) -> str:
    # With a gas limit of its own the transaction is sent without an estimation, so that it fails in a block.
    sent = hello.functions.set("").transact({"gas": 100_000})
    receipt = w3.eth.wait_for_transaction_receipt(sent)
    expect_equal("status", receipt["status"], 0)
    expect_equal("logs", len(receipt["logs"]), 0)
    return f"status 0 in block {receipt['blockNumber']}"


def bad_transactions(w3: Web3) -> str:
    nonce = w3.eth.get_transaction_count(DEVELOPER.address)
    good = {"to": DEVELOPER.address, "value": 0, "gas": 21_000, "nonce": nonce, "chainId": CHAIN_ID, "type": 2}
    good |= {"maxFeePerGas": 0, "maxPriorityFeePerGas": 0}

    def refusal(what: str, **change: Any) -> str:
        signed = DEVELOPER.sign_transaction(good | change)
        error = expect_error(what, Web3RPCError, lambda: w3.eth.send_raw_transaction(signed.raw_transaction))
        return str(error).lower()

    expect_true("a used nonce is not called `nonce too low`", "nonce too low" in refusal("a used nonce", nonce=0))
    refusal("a transaction for another chain", chainId=CHAIN_ID + 1)
    refusal("too little gas", gas=20_999)
    expect_error("bytes that are no transaction", Web3RPCError, lambda: w3.eth.send_raw_transaction("0x02c0"))
    expect_equal("nonce afterwards", w3.eth.get_transaction_count(DEVELOPER.address, "pending"), nonce)
    return "used nonce, other chain, too little gas and no transaction are refused"


def asset_ledger(w3: Web3) -> str:
    ledger, _ = deploy(w3, "AssetLedger")
    bank = Account.create()
    calls = ledger.functions
    final(w3, calls.register(DEVELOPER.address, "Issuer", 1_000).transact())
    final(w3, calls.register(bank.address, "Bank", 500).transact())
    final(w3, calls.transfer(bank.address, 300).transact())
    expect_equal("balance of the bank", calls.balanceOf(bank.address).call(), 800)
    expect_equal("balance of the issuer", calls.balanceOf(DEVELOPER.address).call(), 700)
    expect_equal("total supply", calls.totalSupply().call(), 1_500)

    too_much = expect_error("a transfer of too much", ContractCustomError, lambda: calls.transfer(bank.address, 701).call())
    selector = keccak(text="InsufficientBalance(address,uint256,uint256)")[:4]
    values = w3.codec.decode(["address", "uint256", "uint256"], bytes.fromhex(too_much.data[10:]))
    expect_equal("selector of the error", too_much.data[:10], "0x" + selector.hex())
    expect_equal("values of the error", values, (DEVELOPER.address.lower(), 700, 701))
    return "two institutions registered, 300 units moved, 701 refused"


def batch(w3: Web3) -> str:
    head = w3.eth.block_number
    numbers = [i % (head + 1) for i in range(BATCH_SIZE)]
    with w3.batch_requests() as requests:
        for number in numbers:
            requests.add(w3.eth.get_block(number))
        blocks = requests.execute()
    expect_equal("numbers of the blocks", [block["number"] for block in blocks], numbers)
    return f"{BATCH_SIZE} requests in one body, all answers in place"


def quick_sends(w3: Web3) -> str:
    receiver = Account.create().address
    first = w3.eth.get_transaction_count(DEVELOPER.address, "pending")
    # No nonce is given: before each send web3.py asks the node, which counts what its pool holds.
    sent = [w3.eth.send_transaction({"to": receiver, "value": 1}) for _ in range(QUICK_SENDS)]
    receipts = [final(w3, transaction_hash) for transaction_hash in sent]
    expect_equal("different hashes", len(set(sent)), QUICK_SENDS)
    expect_equal("nonce afterwards", w3.eth.get_transaction_count(DEVELOPER.address), first + QUICK_SENDS)
    expect_equal("received", w3.eth.get_balance(receiver), QUICK_SENDS)
    return f"{QUICK_SENDS} without waiting, final in {len({receipt['blockNumber'] for receipt in receipts})} block(s)"


def check_block_hash(w3: Web3) -> str:
    head = w3.eth.block_number
    oldest = max(head - 9, 0)
    parent = None
    for number in range(oldest, head + 1):
        block = raw(w3, "eth_getBlockByNumber", hex(number), False)
        expect_equal(f"Keccak-256 of header {number}", block_hash(block), block["hash"])
        if parent is not None:
            expect_equal(f"parent of block {number}", block["parentHash"], parent)
        parent = block["hash"]
    return f"blocks {oldest} to {head}, each with its parent"


def state_proof(w3: Web3, hello: Contract) -> str:
    block = raw(w3, "eth_getBlockByNumber", "latest", False)

    def proof(address: str, *slots: str) -> Any:
        return raw(w3, "eth_getProof", address, list(slots), block["number"])

    greeting_slot, unused_slot = "0x" + "00" * 32, "0x" + keccak(text="nothing is stored here").hex()
    contract = proof(hello.address, greeting_slot, unused_slot)
    verify_proof(contract, block["stateRoot"])
    values = [int(entry["value"], 16) for entry in contract["storageProof"]]
    expect_true("the greeting is not in slot 0", values[0] != 0)
    expect_equal("value of an unused slot", values[1], 0)
    verify_proof(proof(DEVELOPER.address), block["stateRoot"])
    verify_absence(proof(Account.create().address), block["stateRoot"])

    forged = contract | {"nonce": hex(int(contract["nonce"], 16) + 1)}
    expect_error("a forged nonce", Mismatch, lambda: verify_proof(forged, block["stateRoot"]))
    return f"account, slots and absence, against block {int(block['number'], 16)}"


if __name__ == "__main__":
    main()
