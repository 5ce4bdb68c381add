#!/usr/bin/env bash
# Lian with Foundry's cast: each step checks what it gets; the first mismatch ends with status 1.
set -Eeuo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")"

# cast reads the node's address from here, so that no command has to name it.
export ETH_RPC_URL="${RPC_URL:-http://127.0.0.1:8545}"
readonly CHAIN_ID=20200
readonly QUICK_SENDS=20
# Development account 0 of `lian up`. Its key is public: never use it where value is at stake.
readonly KEY=0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80
readonly DEVELOPER=0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266
readonly ARTIFACTS=../../contracts/artifacts

current='before the first step'
# A subshell only ends; the line that says what failed comes from the script itself.
trap '((BASH_SUBSHELL > 0)) || fail "cast ended with an error, shown above"' ERR

fail() {
  trap - ERR
  echo "FAILED  cast, $current: $1" >&2
  exit 1
}

# npm's package of the program for Linux on x86-64, or else the cast of this machine. (The wrapper package
# `@foundry-rs/cast` is of no use to a script: its `cast` exits 0 even if the program failed.)
PROGRAM=node_modules/@foundry-rs/cast-linux-amd64/bin/cast
[[ -x "$PROGRAM" ]] || PROGRAM="$(type -P cast)" ||
  fail 'there is no cast; run `npm ci` in this folder, or install Foundry (https://getfoundry.sh) where that brings none'
readonly PROGRAM
cast() { "$PROGRAM" "$@"; }

ok() { echo "ok  cast, $current: $1"; }

# equal WHAT ACTUAL EXPECTED
equal() { [[ "$2" == "$3" ]] || fail "$1 is \"$2\", expected \"$3\""; }

# refused PART COMMAND…: the command must fail with a message that contains PART.
refused() {
  local part="$1" message
  shift
  if message="$("$@" 2>&1)"; then fail "\"$*\" must be refused, but printed \"$message\""; fi
  [[ "$message" == *"$part"* ]] || fail "the refusal \"$message\" does not contain \"$part\""
}

# field NAME FIELD: one field of a committed artifact.
field() { node -p 'JSON.parse(fs.readFileSync(process.argv[1], "utf8"))[process.argv[2]]' "$ARTIFACTS/$1.json" "$2"; }

# transact ARGUMENTS…: sends, waits for the receipt, checks its status and prints the transaction's hash.
transact() {
  local hash
  hash="$(cast send --async --private-key "$KEY" "$@")"
  equal "status of $hash" "$(status "$hash")" true
  echo "$hash"
}

# `cast receipt HASH status` prints "1 (success)", "true" or "1", by version.
status() {
  case "$(cast receipt "$1" status)" in
    true | 1 | '1 (success)' | 0x1) echo true ;;
    *) echo false ;;
  esac
}

# A key that nobody used before.
new_key() { echo "0x$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')"; }

current='network'
equal 'chain id' "$(cast chain-id)" "$CHAIN_ID"
equal 'gas price' "$(cast gas-price)" 0
equal 'base fee' "$(cast base-fee)" 0
[[ "$(cast balance "$DEVELOPER")" != 0 ]] || fail 'account 0 has no balance'
ok "chain $CHAIN_ID, $(cast client), fees are zero"

current='block'
head="$(cast block-number)"
equal 'number of the newest block' "$(cast block "$head" -f number)" "$head"
hash="$(cast block "$head" -f hash)"
equal "number of block $hash" "$(cast block "$hash" -f number)" "$head"
ok "$head is $hash"

current='send value'
receiver="$(cast wallet address --private-key "$(new_key)")"
sent="$(transact "$receiver" --value 5)"
equal 'balance of the receiver' "$(cast balance "$receiver")" 5
equal 'value of the transaction' "$(cast tx "$sent" value)" 5
equal 'effective gas price' "$(cast to-dec "$(cast receipt "$sent" effectiveGasPrice)")" 0
ok "$sent"

current='send without balance'
poor="$(new_key)"
hash="$(cast send --async --private-key "$poor" "$DEVELOPER")"
equal "status of $hash" "$(status "$hash")" true
equal 'nonce of the sender' "$(cast nonce "$(cast wallet address --private-key "$poor")")" 1
ok 'an account without any coin can send'

current='deploy HelloWorld'
created="$(transact --create "$(field HelloWorld bytecode)")"
hello="$(cast receipt "$created" contractAddress)"
first_block="$(cast receipt "$created" blockNumber)"
equal 'code' "$(cast code "$hello")" "$(field HelloWorld deployedBytecode)"
equal 'get()' "$(cast call "$hello" 'get()(string)')" '"Hello, World!"'
ok "$hello in block $first_block"

current='deploy LianToken'
supply="$(cast to-wei 1000000)"
created="$(transact --create "$(field LianToken bytecode)" 'constructor(string,string,uint256)' 'Lian Token' LIAN "$supply")"
token="$(cast receipt "$created" contractAddress)"
transact "$token" 'transfer(address,uint256)' "$receiver" 25 > /dev/null
equal 'symbol' "$(cast call "$token" 'symbol()(string)')" '"LIAN"'
equal 'balance of the receiver' "$(cast call "$token" 'balanceOf(address)(uint256)' "$receiver")" 25
ok "$token, 25 units transferred"

current='call and event'
sent="$(transact "$hello" 'set(string)' 'Hello from cast')"
equal 'get()' "$(cast call "$hello" 'get()(string)')" '"Hello from cast"'
logs="$(cast logs --from-block "$first_block" --address "$hello" 'Greeted(address indexed by, string greeting)' "$DEVELOPER")"
[[ "$logs" == *"$sent"* ]] || fail "the logs do not contain the event of $sent: $logs"
equal 'number of logs' "$(grep -c transactionHash <<< "$logs")" 1
ok "one event since block $first_block"

current='revert reason'
long="$(printf 'x%.0s' {1..300})"
# GreetingTooLong(300, 256): the selector of the error, then its two values.
values="$(cast sig 'GreetingTooLong(uint256,uint256)')$(cast abi-encode 'f(uint256,uint256)' 300 256 | cut -c3-)"
for way in call estimate; do
  refused 'HelloWorld: empty greeting' cast "$way" "$hello" 'set(string)' ''
  refused "$values" cast "$way" "$hello" 'set(string)' "$long"
done
refused 'HelloWorld: empty greeting' cast send "$hello" 'set(string)' '' --private-key "$KEY"
ok '"HelloWorld: empty greeting" and GreetingTooLong(300, 256)'

current='failed transaction'
hash="$(cast send --async --gas-limit 100000 --private-key "$KEY" "$hello" 'set(string)' '')"
equal "status of $hash" "$(status "$hash")" false
ok "status 0 for $hash"

current='quick sends'
nonce="$(cast nonce "$DEVELOPER")"
receiver="$(cast wallet address --private-key "$(new_key)")"
hashes=()
for ((i = 0; i < QUICK_SENDS; i++)); do
  hashes+=("$(cast send --async --nonce $((nonce + i)) --private-key "$KEY" "$receiver" --value 1)")
done
for hash in "${hashes[@]}"; do equal "status of $hash" "$(status "$hash")" true; done
equal 'nonce afterwards' "$(cast nonce "$DEVELOPER")" $((nonce + QUICK_SENDS))
equal 'received' "$(cast balance "$receiver")" "$QUICK_SENDS"
ok "$QUICK_SENDS without waiting"

current='proof'
proof="$(cast proof "$hello" 0)"
[[ "$proof" == *'"storageProof":[{'* ]] || fail "eth_getProof has no storage proof: $proof"
ok "eth_getProof of $hello"

current='lian_status'
lian="$(cast rpc lian_status)"
[[ "$lian" == '{'*'}' ]] || fail "lian_status is not an object: $lian"
ok 'the node tells its status'

echo 'all steps passed'
