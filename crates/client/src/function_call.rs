//! Function signatures and arguments as people write them: `transfer(address,uint256)`.

use alloy_dyn_abi::{DynSolType, DynSolValue, FunctionExt, JsonAbiExt, Specifier};
use alloy_json_abi::{Constructor, Function, JsonAbi, Param};
use alloy_primitives::{Bytes, FixedBytes};

/// Why a signature or its arguments were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FunctionCallError {
    /// Not a function's signature.
    #[error("`{signature}` is not a function signature like `transfer(address,uint256)`: {reason}")]
    Signature {
        /// What was given.
        signature: String,
        /// What the parser said.
        reason: String,
    },
    /// An interface does not say which function is meant.
    #[error("`{function}` cannot be found in the contract's ABI: {reason}")]
    Unknown {
        /// What was asked for.
        function: String,
        /// Which functions there are.
        reason: String,
    },
    /// Too few or too many arguments.
    #[error("`{signature}` takes {expected} arguments, {found} given")]
    Count {
        /// The function or `constructor`.
        signature: String,
        /// Arguments needed.
        expected: usize,
        /// Arguments given.
        found: usize,
    },
    /// An argument is not of its type.
    #[error("argument {position}: `{value}` is not a {kind}: {reason}")]
    Argument {
        /// Its position, from 1.
        position: usize,
        /// What was given.
        value: String,
        /// The Solidity type wanted.
        kind: String,
        /// What the parser said.
        reason: String,
    },
    /// The returned bytes are not what the signature says.
    #[error("the result {data} does not decode as `{signature}` says: {reason}")]
    Result {
        /// The signature with its outputs.
        signature: String,
        /// The bytes returned.
        data: Bytes,
        /// What the decoder said.
        reason: String,
    },
}

/// The four bytes that select a function.
///
/// # Errors
/// [`FunctionCallError::Signature`].
pub fn selector(signature: &str) -> Result<FixedBytes<4>, FunctionCallError> {
    parse(signature).map(|function| function.selector())
}

fn parse(signature: &str) -> Result<Function, FunctionCallError> {
    Function::parse(signature)
        .map_err(|error| FunctionCallError::Signature { signature: signature.to_owned(), reason: error.to_string() })
}

/// A function with its arguments.
#[derive(Clone, Debug)]
pub struct FunctionCall {
    function: Function,
    data: Bytes,
}

impl FunctionCall {
    /// Parses a signature, optionally with outputs as in `balanceOf(address)(uint256)`, and its arguments.
    ///
    /// # Errors
    /// [`FunctionCallError`] names the argument and the value.
    pub fn parse(signature: &str, arguments: &[String]) -> Result<Self, FunctionCallError> {
        let function = parse(signature)?;
        let values = coerce(&function.signature(), &function.inputs, arguments)?;
        let data = function.abi_encode_input(&values).map_err(|error| FunctionCallError::Signature {
            signature: signature.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self { function, data: data.into() })
    }

    /// Finds a function in an interface (JSON), by its name or by its signature, and for this many arguments.
    ///
    /// # Errors
    /// [`FunctionCallError`] says which functions there are, or names the argument and the value.
    pub fn find(abi: &str, function: &str, arguments: &[String]) -> Result<Self, FunctionCallError> {
        let refuse = |reason| FunctionCallError::Unknown { function: function.to_owned(), reason };
        let abi: JsonAbi = serde_json::from_str(abi).map_err(|error| refuse(format!("it cannot be read: {error}")))?;
        let named: Vec<_> =
            abi.functions().filter(|known| known.name == function || known.signature() == function).collect();
        let fitting: Vec<_> = named.iter().filter(|known| known.inputs.len() == arguments.len()).collect();
        let found = match (fitting.as_slice(), named.as_slice()) {
            ([found], _) => **found,
            ([], []) => {
                let known: Vec<_> = abi.functions().map(Function::signature).collect();
                return Err(refuse(format!("there are {}", known.join(", "))));
            }
            ([], [only]) => *only,
            _ => {
                let known: Vec<_> = named.iter().map(|known| known.signature()).collect();
                return Err(refuse(format!("it may be any of {}", known.join(", "))));
            }
        };
        let values = coerce(&found.signature(), &found.inputs, arguments)?;
        let data = found.abi_encode_input(&values).map_err(|error| refuse(error.to_string()))?;
        Ok(Self { function: found.clone(), data: data.into() })
    }

    /// The call data: selector and arguments.
    #[must_use]
    pub const fn data(&self) -> &Bytes {
        &self.data
    }

    /// The returned values as text, one a line; without outputs in the signature, the bytes.
    ///
    /// # Errors
    /// [`FunctionCallError::Result`] where the bytes do not fit.
    pub fn decode_output(&self, data: &Bytes) -> Result<Vec<String>, FunctionCallError> {
        if self.function.outputs.is_empty() {
            return Ok(vec![data.to_string()]);
        }
        let values = self.function.abi_decode_output(data).map_err(|error| FunctionCallError::Result {
            signature: self.function.signature_with_outputs(),
            data: data.clone(),
            reason: error.to_string(),
        })?;
        Ok(values.iter().map(show).collect())
    }
}

/// The bytes that follow a contract's code at its creation: the encoded arguments of its constructor.
///
/// # Errors
/// [`FunctionCallError`] names the argument and the value.
pub fn encode_constructor(constructor: Option<&Constructor>, arguments: &[String]) -> Result<Bytes, FunctionCallError> {
    let Some(constructor) = constructor else {
        coerce("constructor()", &[], arguments)?;
        return Ok(Bytes::new());
    };
    let values = coerce("constructor", &constructor.inputs, arguments)?;
    constructor.abi_encode_input(&values).map(Bytes::from).map_err(|error| FunctionCallError::Signature {
        signature: "constructor".to_owned(),
        reason: error.to_string(),
    })
}

fn coerce(signature: &str, inputs: &[Param], arguments: &[String]) -> Result<Vec<DynSolValue>, FunctionCallError> {
    if inputs.len() != arguments.len() {
        return Err(FunctionCallError::Count {
            signature: signature.to_owned(),
            expected: inputs.len(),
            found: arguments.len(),
        });
    }
    let mut values = Vec::with_capacity(inputs.len());
    for (position, (input, argument)) in inputs.iter().zip(arguments).enumerate() {
        let refused = |reason: String| FunctionCallError::Argument {
            position: position.saturating_add(1),
            value: argument.clone(),
            kind: input.selector_type().into_owned(),
            reason,
        };
        let kind: DynSolType = input.resolve().map_err(|error| refused(error.to_string()))?;
        values.push(kind.coerce_str(argument).map_err(|error| refused(error.to_string()))?);
    }
    Ok(values)
}

/// A decoded value as `cast` shows it: decimal integers, checksummed addresses, quoted strings inside of arrays only.
fn show(value: &DynSolValue) -> String {
    let list = |values: &[DynSolValue], open: char, close: char| {
        let inner: Vec<_> = values.iter().map(show).collect();
        format!("{open}{}{close}", inner.join(", "))
    };
    match value {
        DynSolValue::Bool(value) => value.to_string(),
        DynSolValue::Int(value, _) => value.to_string(),
        DynSolValue::Uint(value, _) => value.to_string(),
        DynSolValue::FixedBytes(word, size) => {
            format!("0x{}", hex::encode(word.get(..*size).unwrap_or(word.as_slice())))
        }
        DynSolValue::Address(value) => value.to_string(),
        DynSolValue::Function(value) => value.to_string(),
        DynSolValue::Bytes(value) => format!("0x{}", hex::encode(value)),
        DynSolValue::String(value) => value.clone(),
        DynSolValue::Array(values) | DynSolValue::FixedArray(values) => list(values, '[', ']'),
        DynSolValue::Tuple(values) => list(values, '(', ')'),
        DynSolValue::CustomStruct { tuple, .. } => list(tuple, '(', ')'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(values: &[&str]) -> Vec<String> {
        values.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn encodes_and_decodes() {
        let to = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
        let call = FunctionCall::parse("transfer(address,uint256)(bool)", &texts(&[to, "7"])).unwrap();
        assert_eq!(
            call.data().to_string(),
            "0xa9059cbb00000000000000000000000070997970c51812dc3a010c7d01b50e0d17dc79c80000000000000000000000000000000000000000000000000000000000000007"
        );
        let mut answer = [0; 32];
        answer[31] = 1;
        assert_eq!(call.decode_output(&Bytes::from(answer)).unwrap(), ["true"]);
    }

    #[test]
    fn functions_are_found_in_an_interface() {
        let abi = r#"[
            {"type": "function", "name": "get", "inputs": [], "outputs": [{"name": "", "type": "uint8"}], "stateMutability": "view"},
            {"type": "function", "name": "set", "inputs": [{"name": "a", "type": "uint8"}], "outputs": [], "stateMutability": "nonpayable"},
            {"type": "function", "name": "set", "inputs": [{"name": "a", "type": "bool"}], "outputs": [], "stateMutability": "nonpayable"}
        ]"#;
        let found = |function: &str, arguments: &[&str]| FunctionCall::find(abi, function, &texts(arguments));
        assert_eq!(found("get", &[]).unwrap().data().to_string(), "0x6d4ce63c");
        let set = FunctionCall::parse("set(bool)", &texts(&["true"])).unwrap();
        assert_eq!(found("set(bool)", &["true"]).unwrap().data(), set.data());
        let cases: [(&str, &[&str], &str); 3] = [
            ("put", &[], "`put` cannot be found in the contract's ABI: there are get(), set(uint8), set(bool)"),
            ("set", &["1"], "`set` cannot be found in the contract's ABI: it may be any of set(uint8), set(bool)"),
            ("get", &["1"], "`get()` takes 0 arguments, 1 given"),
        ];
        for (function, arguments, message) in cases {
            let error = found(function, arguments).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }

    #[test]
    fn refusals_name_the_value() {
        let cases: [(&str, &[&str], &str); 4] = [
            ("transfer(address", &[], "`transfer(address` is not a function signature"),
            ("f(uint256)", &[], "`f(uint256)` takes 1 arguments, 0 given"),
            ("f(uint8)", &["300"], "argument 1: `300` is not a uint8"),
            ("f(address)", &["0x12"], "argument 1: `0x12` is not a address"),
        ];
        for (signature, arguments, message) in cases {
            let error = FunctionCall::parse(signature, &texts(arguments)).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
