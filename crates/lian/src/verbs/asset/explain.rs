//! The asset ledger's refusals in words.

use super::amount::Unit;
use crate::verbs::gov::explain::of_any;
use alloy_primitives::U256;
use alloy_sol_types::SolInterface;
use lian_system_contracts::interfaces::IAssets::{self, IAssetsErrors};

/// A revert's data in words; nothing where it is none of the contract's errors. Amounts are shown in the asset's unit where
/// that is known.
pub(super) fn explain(data: &[u8], unit: Option<&Unit>) -> Option<String> {
    let error = IAssetsErrors::abi_decode(data).ok();
    error.map(|error| in_words(error, unit)).or_else(|| of_any(data))
}

fn in_words(error: IAssetsErrors, unit: Option<&Unit>) -> String {
    use IAssetsErrors as E;
    let show = |amount: U256| unit.map_or_else(|| amount.to_string(), |unit| unit.show(amount));
    match error {
        E::UnknownAsset(IAssets::UnknownAsset { asset }) => {
            format!("there is no asset {asset}; `lian asset list` shows all")
        }
        E::InvalidSymbol(IAssets::InvalidSymbol { symbol }) => {
            format!("`{symbol}` is not a symbol: 1 to 12 letters, digits, `.`, `-` and `_`")
        }
        E::InvalidName(IAssets::InvalidName { name }) => {
            format!("`{name}` is not a name of an asset: it has {} bytes, 1 to 64 are allowed", name.len())
        }
        E::InvalidDecimals(IAssets::InvalidDecimals { decimals }) => {
            format!("{decimals} decimals are too many: at most 36")
        }
        E::SymbolTaken(IAssets::SymbolTaken { symbol, asset }) => {
            format!("the symbol `{symbol}` is taken: asset {asset} has it")
        }
        E::NotIssuer(IAssets::NotIssuer { asset, caller }) => format!("{caller} is not the issuer of asset {asset}"),
        E::AssetIsFrozen(IAssets::AssetIsFrozen { asset }) => {
            format!("asset {asset} is frozen: its issuer has stopped payments, issues and redemptions")
        }
        E::InvalidAccount(IAssets::InvalidAccount { account }) => format!("{account} is nobody's address"),
        E::InsufficientBalance(IAssets::InsufficientBalance { account, available, needed, .. }) => {
            format!("{account} can pay {} of it, and {} are needed", show(available), show(needed))
        }
        E::IssueTooLarge(IAssets::IssueTooLarge { issued, amount, .. }) => {
            format!("{} cannot be issued after {}: what was ever issued must fit 256 bits", show(amount), show(issued))
        }
        E::TooManyPayments(IAssets::TooManyPayments { count, limit }) => {
            format!("{count} payments are too many for one batch: at most {limit}")
        }
        E::TotalTooLarge(IAssets::TotalTooLarge { .. }) => "the sum of the payments does not fit 256 bits".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::Address;
    use alloy_sol_types::SolError;

    #[test]
    fn refusals_are_explained_in_the_unit_of_the_asset() {
        let (asset, account) = (U256::from(3), Address::repeat_byte(7));
        let (available, needed) = (U256::from(1_050), U256::from(2_000));
        let data = IAssets::InsufficientBalance { asset, account, available, needed }.abi_encode();
        let unit = Unit { symbol: "USD".into(), decimals: 2 };
        let words = format!("{account} can pay 10.50 USD of it, and 20.00 USD are needed");
        assert_eq!(explain(&data, Some(&unit)), Some(words));
        assert_eq!(explain(&data, None), Some(format!("{account} can pay 1050 of it, and 2000 are needed")));
        let data = IAssets::NotIssuer { asset, caller: account }.abi_encode();
        assert_eq!(explain(&data, None), Some(format!("{account} is not the issuer of asset 3")));
        assert_eq!(explain(&[1, 2, 3, 4], None), None);
    }
}
