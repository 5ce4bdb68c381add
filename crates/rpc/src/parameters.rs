//! The parameters of one call: read by position, with errors that name the position, the parameter and the value.

use crate::error::{CallError, excerpt};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The parameters that have not been read yet.
#[derive(Debug)]
pub(crate) struct Parameters<'a> {
    values: Vec<&'a RawValue>,
    next: usize,
}

impl<'a> Parameters<'a> {
    /// Splits the `params` member of a request: an array, or nothing.
    ///
    /// # Errors
    /// [`CallError::InvalidParams`] for objects and for more than `count_max` values.
    pub(crate) fn parse(raw: Option<&'a str>, count_max: usize) -> Result<Self, CallError> {
        let raw = raw.unwrap_or("[]");
        let values: Option<Vec<&RawValue>> = serde_json::from_str(raw).map_err(|_| {
            CallError::InvalidParams(format!("invalid params: expected an array, found {}", excerpt(raw)))
        })?;
        let values = values.unwrap_or_default();
        if values.len() > count_max {
            let message = format!("too many arguments, want at most {count_max}, found {}", values.len());
            return Err(CallError::InvalidParams(message));
        }
        Ok(Self { values, next: 0 })
    }

    /// The next parameter, which must be there.
    ///
    /// # Errors
    /// [`CallError::InvalidParams`] where it is missing or does not have the form of `T`.
    pub(crate) fn required<T: Deserialize<'a>>(&mut self, name: &str) -> Result<T, CallError> {
        let position = self.next;
        self.optional(name)?
            .ok_or_else(|| CallError::InvalidParams(format!("missing value for required argument {position} ({name})")))
    }

    /// The next parameter, if it is there and not `null`.
    ///
    /// # Errors
    /// [`CallError::InvalidParams`] where it does not have the form of `T`.
    pub(crate) fn optional<T: Deserialize<'a>>(&mut self, name: &str) -> Result<Option<T>, CallError> {
        let position = self.next;
        self.next = position.saturating_add(1);
        let Some(value) = self.values.get(position) else { return Ok(None) };
        if value.get() == "null" {
            return Ok(None);
        }
        serde_json::from_str(value.get()).map(Some).map_err(|error| {
            let reason = plain(&error.to_string());
            let found = excerpt(value.get());
            CallError::InvalidParams(format!("invalid argument {position} ({name}): {reason}; found {found}"))
        })
    }
}

/// The reason without the position within the parameter, which means nothing to the caller.
fn plain(reason: &str) -> String {
    reason.split(" at line ").next().unwrap_or(reason).to_owned()
}

/// Reads the `params` member of a request as every method would read it, and gives how many readings succeed: for fuzzing.
#[doc(hidden)]
#[must_use]
pub fn read_as_everything(params: &str) -> usize {
    use crate::{block_id::BlockId, criteria::Criteria, quantity::Quantity};
    use alloy_primitives::{Address, B256, Bytes};
    use alloy_rpc_types_eth::{
        BlockOverrides, Filter, TransactionRequest, simulate::SimulatePayload, state::StateOverride,
    };
    use alloy_rpc_types_trace::geth::{GethDebugTracingCallOptions, GethDebugTracingOptions};
    const COUNT: usize = 4;
    fn read<T: for<'de> Deserialize<'de>>(params: &str, position: usize) -> Option<T> {
        let mut parameters = Parameters::parse(Some(params), COUNT).ok()?;
        for _ in 0..position {
            parameters.optional::<serde::de::IgnoredAny>("skipped").ok()?;
        }
        parameters.required("parameter").ok()
    }
    (0..COUNT)
        .map(|at| {
            let filter = read::<Filter>(params, at);
            [
                read::<Address>(params, at).is_some(),
                read::<B256>(params, at).is_some(),
                read::<Bytes>(params, at).is_some(),
                read::<BlockId>(params, at).is_some(),
                read::<Quantity>(params, at).is_some(),
                read::<bool>(params, at).is_some(),
                read::<String>(params, at).is_some(),
                filter.is_some_and(|filter| Criteria::new(&filter).is_ok()),
                read::<TransactionRequest>(params, at).is_some(),
                read::<StateOverride>(params, at).is_some(),
                read::<BlockOverrides>(params, at).is_some(),
                read::<SimulatePayload>(params, at).is_some(),
                read::<GethDebugTracingOptions>(params, at).is_some(),
                read::<GethDebugTracingCallOptions>(params, at).is_some(),
            ]
            .into_iter()
            .filter(|held| *held)
            .count()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, B256, address};
    use proptest::prelude::*;

    #[test]
    fn reads_in_order_and_knows_what_is_optional() {
        let raw = r#"["0x00000000000000000000000000000000000000aa", null, true]"#;
        let mut parameters = Parameters::parse(Some(raw), 4).unwrap();
        let expected = address!("00000000000000000000000000000000000000aa");
        assert_eq!(parameters.required::<Address>("address").unwrap(), expected);
        assert_eq!(parameters.optional::<bool>("x").unwrap(), None);
        assert!(parameters.required::<bool>("full").unwrap());
        assert_eq!(parameters.optional::<bool>("rest").unwrap(), None);
        assert_eq!(Parameters::parse(None, 0).unwrap().optional::<bool>("x").unwrap(), None);
    }

    #[test]
    fn errors_name_the_position_and_the_value() {
        let cases: [(&str, &str); 5] = [
            ("[]", "missing value for required argument 0 (hash)"),
            ("[null]", "missing value for required argument 0 (hash)"),
            (r#"{"a":1}"#, "invalid params: expected an array, found {\"a\":1}"),
            ("[1,2]", "too many arguments, want at most 1, found 2"),
            (r#"["0x123"]"#, "invalid argument 0 (hash): odd number of digits; found \"0x123\""),
        ];
        for (raw, expected) in cases {
            let result = Parameters::parse(Some(raw), 1).and_then(|mut p| p.required::<B256>("hash"));
            assert_eq!(result, Err(CallError::InvalidParams(expected.to_owned())), "{raw}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[\\[\\]{}\",:0-9a-fnulrtse ]{0,60}") {
            if let Ok(mut parameters) = Parameters::parse(Some(&text), 3) {
                let _ = parameters.required::<crate::block_id::BlockId>("block");
                let _ = parameters.optional::<alloy_rpc_types_eth::TransactionRequest>("transaction");
                let _ = parameters.optional::<alloy_rpc_types_eth::Filter>("filter");
            }
        }
    }
}
