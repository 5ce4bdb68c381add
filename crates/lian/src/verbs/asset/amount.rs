//! Amounts and references as people write them.

use alloy_primitives::{B256, U256};

/// In what an asset's amounts are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) symbol: String,
    pub(super) decimals: u8,
}

impl Unit {
    /// An amount with all its decimals and the symbol: `12.50 USD`.
    pub(super) fn show(&self, amount: U256) -> String {
        format!("{} {}", format_amount(amount, self.decimals), self.symbol)
    }
}

/// An amount above zero in the smallest unit of an asset: `12.50` of one with two decimals is 1250. What is finer than the
/// asset is refused, not rounded.
pub(super) fn parse_amount(text: &str, decimals: u8) -> Result<U256, String> {
    let amount = parse_any_amount(text, decimals)?;
    if amount.is_zero() { Err(format!("`{text}` is not an amount: it must be more than 0")) } else { Ok(amount) }
}

/// The same, or zero.
pub(super) fn parse_any_amount(text: &str, decimals: u8) -> Result<U256, String> {
    let refuse = |reason: &str| format!("`{text}` is not an amount: {reason}");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return Err(refuse("expected digits, and a point before the decimals, like `12.50`"));
    }
    let fraction = if text.contains('.') { fraction } else { "" };
    let places = usize::from(decimals);
    if fraction.len() > places {
        return Err(refuse(&format!("the asset has {decimals} decimals, this has {}", fraction.len())));
    }
    let digits = format!("{whole}{fraction:0<places$}");
    U256::from_str_radix(&digits, 10).map_err(|_| refuse("it does not fit 256 bits"))
}

/// An amount with all the decimals of its asset.
pub(super) fn format_amount(amount: U256, decimals: u8) -> String {
    let places = usize::from(decimals);
    let digits = format!("{amount:0>width$}", width = places.saturating_add(1));
    match digits.split_at_checked(digits.len().saturating_sub(places)) {
        Some((whole, fraction)) if places > 0 => format!("{whole}.{fraction}"),
        _ => digits,
    }
}

/// A payment's reference: text of up to 32 bytes, or 32 bytes in hexadecimal.
pub(super) fn parse_reference(text: &str) -> Result<B256, String> {
    if let Some(digits) = text.strip_prefix("0x")
        && digits.len() == 64
    {
        return text.parse().map_err(|_| format!("`{text}` is not a reference: not hexadecimal"));
    }
    if text.len() > 32 || text.chars().any(char::is_control) {
        return Err(format!(
            "`{text}` is not a reference: text of at most 32 bytes, or 0x and 64 hexadecimal digits ({} bytes given)",
            text.len()
        ));
    }
    Ok(B256::right_padding_from(text.as_bytes()))
}

/// A reference as its text where it is one, else in hexadecimal; `-` where there is none.
pub(super) fn format_reference(reference: B256) -> String {
    let length = reference.iter().rposition(|byte| *byte != 0).map_or(0, |last| last.saturating_add(1));
    if length == 0 {
        return "-".to_owned();
    }
    let text = reference.get(..length).and_then(|bytes| std::str::from_utf8(bytes).ok());
    match text.filter(|text| !text.chars().any(char::is_control)) {
        Some(text) => text.to_owned(),
        None => reference.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_decimals_of_their_asset() {
        let largest = U256::MAX.to_string();
        let cases =
            [("12.50", 2, "1250"), ("12.5", 2, "1250"), ("007", 0, "7"), ("0.01", 2, "1"), (&largest, 0, &largest)];
        for (text, decimals, expected) in cases {
            assert_eq!(parse_amount(text, decimals).unwrap().to_string(), expected, "{text}");
        }
        for (amount, decimals, expected) in [
            (1250u64, 2, "12.50"),
            (7, 0, "7"),
            (0, 2, "0.00"),
            (1, 3, "0.001"),
            (5, 36, "0.000000000000000000000000000000000005"),
        ] {
            assert_eq!(format_amount(U256::from(amount), decimals), expected);
            assert_eq!(parse_any_amount(expected, decimals), Ok(U256::from(amount)));
        }
        assert_eq!(Unit { symbol: "USD".into(), decimals: 2 }.show(U256::from(5)), "0.05 USD");
    }

    #[test]
    fn what_is_no_amount_is_refused_with_the_reason() {
        let cases = [
            ("12.345", 2, "`12.345` is not an amount: the asset has 2 decimals, this has 3"),
            ("1.0", 0, "`1.0` is not an amount: the asset has 0 decimals, this has 1"),
            ("0.00", 2, "`0.00` is not an amount: it must be more than 0"),
        ];
        for (text, decimals, message) in cases {
            assert_eq!(parse_amount(text, decimals).unwrap_err(), message);
        }
        for text in ["", ".", "1.", ".5", "-1", "+1", "1,000", "1e3", "0x10", "1.2.3", " 1", "١"] {
            assert!(parse_amount(text, 2).unwrap_err().contains("expected digits"), "{text}");
        }
        let large = format!("{}0", U256::MAX);
        assert!(parse_amount(&large, 0).unwrap_err().ends_with("it does not fit 256 bits"));
        assert!(parse_amount(&U256::MAX.to_string(), 1).unwrap_err().ends_with("it does not fit 256 bits"));
    }

    #[test]
    fn references_are_text_or_bytes() {
        let bytes = B256::repeat_byte(0xee).to_string();
        for text in ["INV-2026/17", "Überweisung", "0x12", &bytes, &"x".repeat(32)] {
            assert_eq!(format_reference(parse_reference(text).unwrap()), text);
        }
        assert_eq!(format_reference(B256::ZERO), "-");
        assert_eq!(format_reference(parse_reference("").unwrap()), "-");
        let control = B256::right_padding_from(b"a\x1b[2J");
        assert_eq!(format_reference(control), control.to_string());
        for text in [&"x".repeat(33), "tab\there", &format!("0x{}", "g".repeat(64))] {
            assert!(parse_reference(text).unwrap_err().contains("is not a reference"), "{text}");
        }
    }
}
