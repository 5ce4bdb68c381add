// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// Certificate authorities and revocations, at 0x2008: by which certificates nodes believe each other. The contract is there from
/// version 5 of the protocol on.
///
/// The authorities of the genesis file are not listed here: they vouch for the nodes of every institution until they are
/// distrusted by their fingerprints. The contract reads no certificates; nodes do, and pass over what they cannot use.
///
/// The governing body (operators, or the committee where there is one) decides. An institution's administrator may revoke
/// certificates and keys as far as nodes of its own institution show them, and says whom others reach there.
interface IAuthorities {
    struct Authority {
        /// SHA-256 of the certificate.
        bytes32 fingerprint;
        /// For whose nodes it vouches (0x2001); empty: for those of every institution.
        string institution;
        /// Whether chains may end at it. An intermediate authority only completes chains.
        bool isRoot;
        /// X.509, DER.
        bytes certificate;
    }

    /// A certificate (by `issuer` and `serial`) or a key (by `key`) that nodes refuse.
    struct Revocation {
        /// keccak256 of the institution's name (or 0), `issuer`, `key` (32 bytes each) and `serial`, one after the other.
        bytes32 id;
        /// For whose nodes it counts; empty: for all.
        string institution;
        /// SHA-256 of the issuer's name as it stands in the certificate, DER; 0 for a key.
        bytes32 issuer;
        /// The serial number, big-endian, without zeros before it; empty for a key.
        bytes serial;
        /// SHA-256 of the SubjectPublicKeyInfo, DER; 0 for a certificate.
        bytes32 key;
        /// When it was revoked, in seconds since 1970.
        uint64 time;
    }

    event AuthorityAdded(
        bytes32 indexed fingerprint, string institution, bool isRoot, bytes certificate, string reason
    );
    event AuthorityRemoved(bytes32 indexed fingerprint, string reason);
    event AuthorityDistrusted(bytes32 indexed fingerprint, string reason);
    event AuthorityTrusted(bytes32 indexed fingerprint, string reason);
    event CertificateRevoked(
        bytes32 indexed id, address indexed account, string institution, bytes32 issuer, bytes serial, string reason
    );
    event KeyRevoked(bytes32 indexed id, address indexed account, string institution, bytes32 key, string reason);
    event Unrevoked(bytes32 indexed id, address indexed account, string reason);
    event AdministratorSet(string institution, address account);
    event ContactSet(string institution, address indexed account, string contact);

    error NotAuthorized(address caller);
    error UnknownInstitution(string name);
    /// Empty, or longer than the limit.
    error CertificateLength(uint256 length, uint256 limit);
    error AuthorityExists(bytes32 fingerprint);
    error UnknownAuthority(bytes32 fingerprint);
    /// It is distrusted already, or is to be added although it is.
    error Distrusted(bytes32 fingerprint);
    error NotDistrusted(bytes32 fingerprint);
    /// Afterwards no root would be left that certainly vouches for the sealers of this institution. Roots of genesis do not
    /// count once something is distrusted that is not listed here and so may be one of them.
    error LastAuthority(string institution);
    error TooManyAuthorities(uint256 count, uint256 limit);
    error TooManyRevocations(uint256 count, uint256 limit);
    error NoRevocations();
    /// A serial number has 1 to 20 bytes, of which the first is not zero (RFC 5280, 4.1.2.2).
    error InvalidSerial(bytes serial);
    /// 0 is no hash of an issuer's name, nor of a key.
    error InvalidHash(bytes32 hash);
    error UnknownRevocation(bytes32 id);
    error ReasonTooLong(uint256 length, uint256 limit);
    error ContactTooLong(uint256 length, uint256 limit);
    /// There is a control character at this byte, from 0.
    error InvalidContact(uint256 position);

    /// Adds an authority of at most 4,096 bytes. The governing body only, as all of the following unless said otherwise.
    function add(bytes calldata certificate, string calldata institution, bool isRoot, string calldata reason) external;

    /// Takes an authority off the list. Whether it is distrusted stays.
    function remove(bytes32 fingerprint, string calldata reason) external;

    /// Lets nodes refuse every chain that has the certificate with this fingerprint, be it listed, of genesis or neither.
    function distrust(bytes32 fingerprint, string calldata reason) external;

    /// Takes that back.
    function trust(bytes32 fingerprint, string calldata reason) external;

    /// Revokes up to 100 certificates of an issuer, for nodes of an institution or (empty) of all. What is revoked already
    /// stays as it is. The institution's administrator may, too.
    function revokeCertificates(
        string calldata institution, bytes32 issuer, bytes[] calldata serials, string calldata reason
    ) external;

    /// The same for up to 100 keys: every certificate with one of them is refused, an authority's and those below it as well.
    function revokeKeys(string calldata institution, bytes32[] calldata keys, string calldata reason) external;

    /// Takes a revocation back that was a mistake.
    function unrevoke(bytes32 id, string calldata reason) external;

    /// Makes an account the administrator of an institution in place of another one; 0: of nobody.
    function setAdministrator(string calldata institution, address account) external;

    /// Says whom others reach at an institution, and how: a name, a telephone number, an address; at most 256 bytes, UTF-8, without
    /// control characters; empty: nobody. The institution's administrator may, too.
    function setContact(string calldata institution, string calldata contact) external;

    /// Rises with every change of what nodes believe.
    function version() external view returns (uint256);

    /// How many there are.
    function counts() external view returns (uint256 authorities, uint256 distrusted, uint256 revocations);

    /// Authorities from a position (from 0) on: at most `limit`, and at most 16. The order changes where one is removed.
    function authorities(uint256 from, uint256 limit) external view returns (Authority[] memory);

    /// The fingerprints of what is distrusted, at most 256.
    function distrusted() external view returns (bytes32[] memory);

    /// Revocations from a position (from 0) on: at most `limit`, and at most 100. The order changes where one is taken back.
    function revocations(uint256 from, uint256 limit) external view returns (Revocation[] memory);

    function isRevoked(bytes32 id) external view returns (bool);

    /// 0 where the institution has none.
    function administrator(string calldata institution) external view returns (address);

    /// Empty where the institution has none.
    function contact(string calldata institution) external view returns (string memory);
}
