//! The names of Ethereum's forks in its tests.

use super::Mismatch;
use revm::primitives::hardfork::SpecId;

/// The rules that a fork's name stands for.
///
/// # Errors
/// A name that revm does not know is a reason to skip.
pub(super) fn spec(name: &str) -> Result<SpecId, Mismatch> {
    Ok(match name {
        "Frontier" => SpecId::FRONTIER,
        "Homestead" => SpecId::HOMESTEAD,
        "EIP150" | "TangerineWhistle" => SpecId::TANGERINE,
        "EIP158" | "SpuriousDragon" => SpecId::SPURIOUS_DRAGON,
        "Byzantium" => SpecId::BYZANTIUM,
        "ConstantinopleFix" | "Petersburg" => SpecId::PETERSBURG,
        "Istanbul" => SpecId::ISTANBUL,
        "Berlin" => SpecId::BERLIN,
        "London" => SpecId::LONDON,
        "Paris" | "Merge" => SpecId::MERGE,
        "Shanghai" => SpecId::SHANGHAI,
        "Cancun" => SpecId::CANCUN,
        "Prague" => SpecId::PRAGUE,
        "Osaka" => SpecId::OSAKA,
        _ => return Err(Mismatch::Inapplicable(format!("the rules of the fork {name} are not known to the EVM"))),
    })
}

/// As [`spec`], for the rules of transactions alone: Constantinople's are Petersburg's, although the EVM, which the two
/// differ in, knows Petersburg only.
pub(super) fn transaction_spec(name: &str) -> Result<SpecId, Mismatch> {
    if name == "Constantinople" { Ok(SpecId::PETERSBURG) } else { spec(name) }
}
