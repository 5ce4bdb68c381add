// Compiles the example contracts and the system contracts' interfaces with the pinned solc and writes one artifact each to
// `artifacts/`.
// `--check` writes nothing: it fails if a committed artifact differs from a fresh compile.
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(fileURLToPath(import.meta.url));
const ARTIFACTS = join(ROOT, 'artifacts');

// The sources that get an artifact; the contract in each is named like its file.
const SOURCES = [
  'examples/AssetLedger.sol',
  'examples/BoxV1.sol',
  'examples/BoxV2.sol',
  'examples/Escrow.sol',
  'examples/HelloWorld.sol',
  'examples/LianDeed.sol',
  'examples/LianToken.sol',
  'examples/SmallBank.sol',
  '@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol',
];

const INTERFACES = [
  'interfaces/IAssets.sol',
  'interfaces/IAuthorities.sol',
  'interfaces/ICommittee.sol',
  'interfaces/IConfiguration.sol',
  'interfaces/IMembers.sol',
  'interfaces/INames.sol',
  'interfaces/IPermissions.sol',
];

// Osaka is the fork whose rules Lian executes.
const SETTINGS = {
  evmVersion: 'osaka',
  optimizer: { enabled: true, runs: 200 },
};

const OUTPUTS = [
  'abi',
  'metadata',
  'evm.bytecode.object',
  'evm.deployedBytecode.object',
  'evm.deployedBytecode.immutableReferences',
];

const solc = loadCompiler();
// Apart, so that a new interface changes no other artifact: the compiler numbers what it compiles together.
const artifacts = new Map([...compile(SOURCES), ...compile(INTERFACES)]);
const problems = process.argv.includes('--check') ? differences(artifacts) : write(artifacts);
for (const problem of problems) console.error(`contracts: ${problem}`);
if (problems.length > 0) process.exit(1);

function loadCompiler() {
  try {
    return createRequire(import.meta.url)('solc');
  } catch {
    console.error('contracts: the compiler is not installed; run `npm ci` in this folder first');
    process.exit(1);
  }
}

function readSource(name) {
  return readFileSync(join(ROOT, name.startsWith('@') ? join('node_modules', name) : name), 'utf8');
}

/** Returns a map from artifact file name to its exact content. */
function compile(names) {
  const input = {
    language: 'Solidity',
    sources: Object.fromEntries(names.map((name) => [name, { content: readSource(name) }])),
    settings: { ...SETTINGS, outputSelection: { '*': { '*': OUTPUTS } } },
  };
  const findImport = (name) => {
    try {
      return { contents: readSource(name) };
    } catch (error) {
      return { error: error.message };
    }
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: findImport }));
  // A warning fails as well: code that others copy should compile without one.
  for (const message of output.errors ?? []) console.error(message.formattedMessage);
  if (output.errors?.length > 0) process.exit(1);

  return new Map(
    names.map((sourceName) => {
      const contractName = sourceName.replace(/^.*\//, '').replace(/\.sol$/, '');
      const content = artifact(sourceName, contractName, output.contracts[sourceName][contractName]);
      return [`${contractName}.json`, `${JSON.stringify(content, null, 2)}\n`];
    }),
  );
}

function artifact(sourceName, contractName, compiled) {
  const metadata = JSON.parse(compiled.metadata);
  const licenses = new Set(Object.values(metadata.sources).map((source) => source.license));
  return {
    _format: 'hh-sol-artifact-1',
    contractName,
    sourceName,
    // The SPDX expression of everything compiled into the bytecode.
    license: [...licenses].sort().join(' AND '),
    compiler: { name: 'solc', version: metadata.compiler.version, settings: SETTINGS },
    abi: compiled.abi,
    bytecode: `0x${compiled.evm.bytecode.object}`,
    deployedBytecode: `0x${compiled.evm.deployedBytecode.object}`,
    // Where the constructor writes immutable values into the deployed code: start and length in bytes.
    immutableReferences: compiled.evm.deployedBytecode.immutableReferences ?? {},
    // No example links a library; Hardhat's form has both fields.
    linkReferences: {},
    deployedLinkReferences: {},
  };
}

function committedNames() {
  return existsSync(ARTIFACTS) ? readdirSync(ARTIFACTS) : [];
}

function write(fresh) {
  mkdirSync(ARTIFACTS, { recursive: true });
  for (const name of committedNames()) if (!fresh.has(name)) rmSync(join(ARTIFACTS, name));
  for (const [name, content] of fresh) writeFileSync(join(ARTIFACTS, name), content);
  console.log(`contracts: wrote ${fresh.size} artifacts with solc ${solc.version()}`);
  return [];
}

function differences(fresh) {
  const problems = [];
  const committed = new Set(committedNames());
  for (const [name, content] of fresh) {
    if (!committed.delete(name)) problems.push(`artifacts/${name} is missing; run \`npm run compile\``);
    else if (readFileSync(join(ARTIFACTS, name), 'utf8') !== content) {
      problems.push(`artifacts/${name} is not what its source compiles to; run \`npm run compile\``);
    }
  }
  for (const name of committed) problems.push(`artifacts/${name} has no source; remove it or run \`npm run compile\``);
  if (problems.length === 0) console.log(`contracts: ${fresh.size} artifacts are up to date`);
  return problems;
}
