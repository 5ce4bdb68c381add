//! How methods are registered: a name, where it runs, how many parameters it takes, and a plain function.

use crate::{chain::Chain, error::CallError, parameters::Parameters, workers::Work};
use jsonrpsee::{RpcModule, core::RegisterMethodError, types::ErrorObjectOwned};
use serde::Serialize;
use serde_json::value::RawValue;
use std::{io, sync::Arc};

/// A method: reads its parameters and answers.
pub(crate) type Handler<R> = fn(&Chain, &mut Parameters<'_>) -> Result<R, CallError>;

/// Collects the methods of one group.
pub(crate) struct Registry {
    pub(crate) module: RpcModule<Chain>,
}

impl Registry {
    pub(crate) fn new(chain: Arc<Chain>) -> Self {
        Self { module: RpcModule::from_arc(chain) }
    }

    /// A method that only reads memory. It runs where the socket is served.
    pub(crate) fn light<R: Serialize + Clone + 'static>(
        &mut self,
        name: &'static str,
        parameters_max: usize,
        handler: Handler<R>,
    ) -> Result<(), RegisterMethodError> {
        let method = move |params: jsonrpsee::types::Params<'_>, chain: &Chain, _: &_| {
            let answer = Parameters::parse(params.as_str(), parameters_max)
                .and_then(|mut parameters| handler(chain, &mut parameters));
            answer.map_err(ErrorObjectOwned::from)
        };
        self.module.register_method(name, method).map(drop)
    }

    /// A method that reads the ledger.
    pub(crate) fn read<R: Serialize + 'static>(
        &mut self,
        name: &'static str,
        parameters_max: usize,
        handler: Handler<R>,
    ) -> Result<(), RegisterMethodError> {
        self.blocking(Work::Read, name, parameters_max, handler)
    }

    /// A method that executes contracts.
    pub(crate) fn call<R: Serialize + 'static>(
        &mut self,
        name: &'static str,
        parameters_max: usize,
        handler: Handler<R>,
    ) -> Result<(), RegisterMethodError> {
        self.blocking(Work::Call, name, parameters_max, handler)
    }

    fn blocking<R: Serialize + 'static>(
        &mut self,
        work: Work,
        name: &'static str,
        parameters_max: usize,
        handler: Handler<R>,
    ) -> Result<(), RegisterMethodError> {
        let method = move |params: jsonrpsee::types::Params<'static>, chain: Arc<Chain>, _| async move {
            let workers = Arc::clone(chain.workers());
            let task = move || {
                let mut parameters = Parameters::parse(params.as_str(), parameters_max)?;
                let answer = handler(&chain, &mut parameters)?;
                to_json(&answer, chain.limits().response_bytes_max)
            };
            workers.run(work, task).await.map_err(ErrorObjectOwned::from)
        };
        self.module.register_async_method(name, method).map(drop)
    }
}

/// Writes the answer where it was made, so that a large one does not hold up the socket's thread.
pub(crate) fn to_json<R: Serialize>(answer: &R, bytes_max: u32) -> Result<Box<RawValue>, CallError> {
    let mut writer =
        Bounded { bytes: Vec::with_capacity(256), limit: usize::try_from(bytes_max).unwrap_or(usize::MAX) };
    if let Err(error) = serde_json::to_writer(&mut writer, answer) {
        return Err(if error.is_io() {
            CallError::LimitExceeded(format!("the response exceeds the limit of {bytes_max} bytes; ask for less"))
        } else {
            CallError::internal(error)
        });
    }
    let text = String::from_utf8(writer.bytes).map_err(CallError::internal)?;
    RawValue::from_string(text).map_err(CallError::internal)
}

/// Bytes up to a limit.
struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len().saturating_add(bytes.len()) > self.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_bounded_while_they_are_written() {
        assert_eq!(to_json(&[1, 2], 5).unwrap().get(), "[1,2]");
        let error = to_json(&[1, 2], 4).unwrap_err();
        let message = "the response exceeds the limit of 4 bytes; ask for less";
        assert_eq!(error, CallError::LimitExceeded(message.to_owned()));
    }
}
