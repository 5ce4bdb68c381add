"""Checks that need no trust in the node: a block's hash, and Merkle proofs of state.

Blocks and proofs are taken as the node's JSON has them, with numbers and bytes in hexadecimal.
"""

from typing import Any

import rlp
from eth_utils import keccak, to_bytes
from trie import HexaryTrie

from steps import expect_equal, expect_true

EMPTY_CODE_HASH = keccak(b"")


def block_hash(block: dict[str, Any]) -> str:
    """The Keccak-256 of the header's fields in the order of the Yellow Paper and of the EIPs that added to it.

    A field that a fork adds at the end is absent before that fork.
    """
    fields = [
        _data(block["parentHash"]),
        _data(block["sha3Uncles"]),
        _data(block["miner"]),
        _data(block["stateRoot"]),
        _data(block["transactionsRoot"]),
        _data(block["receiptsRoot"]),
        _data(block["logsBloom"]),
        _number(block["difficulty"]),
        _number(block["number"]),
        _number(block["gasLimit"]),
        _number(block["gasUsed"]),
        _number(block["timestamp"]),
        _data(block["extraData"]),
        _data(block["mixHash"]),
        _data(block["nonce"]),
    ]
    later: list[tuple[str, Any]] = [
        ("baseFeePerGas", _number),
        ("withdrawalsRoot", _data),
        ("blobGasUsed", _number),
        ("excessBlobGas", _number),
        ("parentBeaconBlockRoot", _data),
        ("requestsHash", _data),
    ]
    fields += [read(block[name]) for name, read in later if name in block]
    return "0x" + keccak(rlp.encode(fields)).hex()


def verify_proof(proof: dict[str, Any], state_root: str) -> None:
    """Proves an account against the state root, and each storage value against the account's storage root."""
    leaf = _proven_value(state_root, proof["address"], proof["accountProof"])
    expect_true(f"the proof of {proof['address']} shows that there is no such account", leaf != b"")
    nonce, balance, storage_root, code_hash = rlp.decode(leaf)
    expect_equal("proven nonce", nonce, rlp.sedes.big_endian_int.serialize(_number(proof["nonce"])))
    expect_equal("proven balance", balance, rlp.sedes.big_endian_int.serialize(_number(proof["balance"])))
    expect_equal("proven storage root", storage_root, _data(proof["storageHash"]))
    expect_equal("proven code hash", code_hash, _data(proof["codeHash"]))
    for entry in proof["storageProof"]:
        slot = "0x" + _number(entry["key"]).to_bytes(32, "big").hex()
        stored = _proven_value(proof["storageHash"], slot, entry["proof"])
        value = rlp.decode(stored, rlp.sedes.big_endian_int) if stored else 0
        expect_equal(f"proven value of slot {entry['key']}", value, _number(entry["value"]))


def verify_absence(proof: dict[str, Any], state_root: str) -> None:
    """Proves that the state holds no account at this address."""
    leaf = _proven_value(state_root, proof["address"], proof["accountProof"])
    expect_equal(f"account at {proof['address']}, which was never used", leaf, b"")
    expect_equal("balance of an absent account", _number(proof["balance"]), 0)
    expect_equal("nonce of an absent account", _number(proof["nonce"]), 0)
    expect_equal("code hash of an absent account", _data(proof["codeHash"]), EMPTY_CODE_HASH)


def _proven_value(root: str, key: str, nodes: list[str]) -> bytes:
    """What the proof shows at this key, empty if it shows that nothing is there; an invalid proof raises `BadTrieProof`."""
    proof = tuple(rlp.decode(_data(node)) for node in nodes)
    return HexaryTrie.get_from_proof(_data(root), keccak(_data(key)), proof)


def _data(value: str) -> bytes:
    return to_bytes(hexstr=value)


def _number(value: str) -> int:
    return int(value, 16)
