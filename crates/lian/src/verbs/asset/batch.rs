//! Files of payments: lines `to,amount,reference`, as spreadsheets write them (RFC 4180).

use super::amount::{parse_amount, parse_reference};
use alloy_primitives::{Address, U256};
use lian_system_contracts::{assets::PAYMENTS_MAX, interfaces::IAssets::Payment};

/// The payments of a file's text. A first line `to,amount,reference` and empty lines are passed over.
///
/// # Errors
/// The first line that is no payment, with its value, and how many more there are.
pub(super) fn parse(text: &str, decimals: u8) -> Result<Vec<Payment>, String> {
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim).enumerate();
    let mut lines = lines.filter(|(_, line)| !line.is_empty()).peekable();
    lines.next_if(|(_, line)| line.to_ascii_lowercase().starts_with("to,"));
    let (mut payments, mut wrong) = (Vec::new(), Vec::new());
    for (index, line) in lines {
        match payment(line, decimals) {
            Ok(payment) => payments.push(payment),
            Err(reason) => wrong.push(format!("line {}: {reason}", index.saturating_add(1))),
        }
    }
    if let Some(first) = wrong.first() {
        let more = wrong.len().saturating_sub(1);
        return Err(if more == 0 { first.clone() } else { format!("{first}; {more} more lines are wrong") });
    }
    if payments.len() > PAYMENTS_MAX {
        return Err(format!("{} payments, and one batch has at most {PAYMENTS_MAX}: split the file", payments.len()));
    }
    if payments.is_empty() {
        return Err("there is no payment".to_owned());
    }
    // The ledger would refuse it as well, in less clear words.
    let total = payments.iter().try_fold(U256::ZERO, |total, payment| total.checked_add(payment.amount));
    total.map(|_| payments).ok_or_else(|| "the sum does not fit 256 bits".to_owned())
}

fn payment(line: &str, decimals: u8) -> Result<Payment, String> {
    let fields = fields(line)?;
    let (to, amount, reference) = match &fields[..] {
        [to, amount] => (to, amount, ""),
        [to, amount, reference] => (to, amount, reference.as_str()),
        _ => return Err(format!("`{line}` has {} fields, expected to,amount,reference", fields.len())),
    };
    let to: Address = to.parse().map_err(|_| format!("`{to}` is not an address"))?;
    if to.is_zero() {
        return Err(format!("`{to}` is nobody's address"));
    }
    Ok(Payment { to, amount: parse_amount(amount, decimals)?, referenceId: parse_reference(reference)? })
}

/// The fields of a line, without the quotes around those that have them.
fn fields(line: &str) -> Result<Vec<String>, String> {
    let (mut fields, mut rest) = (Vec::new(), line);
    loop {
        let (field, after) = match rest.trim_start().strip_prefix('"') {
            Some(quoted) => unquote(quoted).ok_or_else(|| format!("`{line}` has a quote without its end"))?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let (field, after) = rest.split_at(end);
                (field.trim().to_owned(), after)
            }
        };
        fields.push(field);
        let after = after.trim_start();
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err(format!("`{line}` has something between a quote and the comma")),
        }
    }
}

/// What stands before the closing quote, two quotes standing for one, and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let (mut field, mut rest) = (String::new(), text);
    loop {
        let (part, after) = rest.split_once('"')?;
        field.push_str(part);
        match after.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                rest = next;
            }
            None => return Some((field, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::amount::format_reference;
    use super::*;

    const ALICE: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

    #[test]
    fn payments_are_read_as_spreadsheets_write_them() {
        let text = format!(
            "\u{feff}to,amount,reference\r\n{ALICE},12.50,INV-1\r\n\r\n \"{ALICE}\" , \"3\", \"rent, \"\"May\"\"\"\r\n{ALICE},0.01\r\n"
        );
        let found = parse(&text, 2).unwrap();
        let shown: Vec<_> = found.iter().map(|p| (p.amount.to::<u64>(), format_reference(p.referenceId))).collect();
        let expected = [(1250, "INV-1"), (300, "rent, \"May\""), (1, "-")];
        assert_eq!(shown, expected.map(|(amount, reference)| (amount, reference.to_owned())));
        assert!(found.iter().all(|payment| payment.to == ALICE.parse::<Address>().unwrap()));
    }

    #[test]
    fn a_bad_line_is_named_with_its_value() {
        let zero = Address::ZERO;
        let cases = [
            (
                format!("{ALICE},1,a\n{ALICE},1.234,b"),
                "line 2: `1.234` is not an amount: the asset has 2 decimals, this has 3",
            ),
            (
                format!("to,amount,reference\n\n0x12,1,a\n{ALICE},-1,b"),
                "line 3: `0x12` is not an address; 1 more lines are wrong",
            ),
            (format!("{ALICE},1,a,b"), "fields, expected to,amount,reference"),
            (ALICE.to_owned(), "has 1 fields"),
            (format!("{ALICE},1,\"a"), "has a quote without its end"),
            (format!("{ALICE},\"1\"2,a"), "has something between a quote and the comma"),
            (format!("{zero},1"), "is nobody's address"),
            (format!("{ALICE},1,{}", "x".repeat(33)), "is not a reference"),
            (format!("{ALICE},{}\n", U256::MAX), "it does not fit 256 bits"),
            ("to,amount,reference\n".to_owned(), "there is no payment"),
            (format!("{ALICE},1\n").repeat(1_001), "1001 payments, and one batch has at most 1000: split the file"),
        ];
        for (text, message) in cases {
            let error = parse(&text, 2).err().unwrap();
            assert!(error.contains(message), "{error}");
        }
        let most = U256::MAX.to_string();
        assert_eq!(parse(&format!("{ALICE},{most}\n{ALICE},1"), 0).err().unwrap(), "the sum does not fit 256 bits");
    }
}
