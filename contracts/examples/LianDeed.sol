// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {ERC721URIStorage} from "@openzeppelin/contracts/token/ERC721/extensions/ERC721URIStorage.sol";

/// @title ERC-721 deeds: each token stands for one document, found at its URI.
contract LianDeed is ERC721URIStorage, Ownable {
    /// @notice How many deeds were issued so far; also the id of the newest one, since ids start at 1.
    uint256 public issued;

    constructor(string memory name, string memory symbol) ERC721(name, symbol) Ownable(msg.sender) {}

    /// @notice Issues the next deed. Only the owner may do it.
    /// @return id The new deed's token id.
    function issue(address to, string calldata uri) external onlyOwner returns (uint256 id) {
        id = ++issued;
        // The receiver's callback runs last, so that it already sees the finished deed.
        _setTokenURI(id, uri);
        _safeMint(to, id);
    }
}
