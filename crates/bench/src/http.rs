//! A lean HTTP/1.1 connection for JSON-RPC: bodies are prepared beforehand, so that the client costs little.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// One kept-alive connection to a JSON-RPC endpoint. Where the server has closed it, because it was silent for long, the
/// next request opens it again.
pub struct Connection {
    url: String,
    sender: SendRequest<Full<Bytes>>,
    authority: String,
    path: String,
}

impl Connection {
    /// Connects to an `http://host:port[/path]` address.
    ///
    /// # Errors
    /// Names the address where it is not one, or nobody answers.
    pub async fn open(url: &str) -> Result<Self> {
        let uri: hyper::Uri = url.parse().with_context(|| format!("`{url}` is not a URL"))?;
        let host = uri.host().with_context(|| format!("`{url}` names no host"))?;
        let port = uri.port_u16().unwrap_or(80);
        let stream = TcpStream::connect((host, port)).await.with_context(|| format!("no answer from {url}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // The task ends with the connection; its errors reach the requests that wait on it.
        tokio::spawn(connection);
        Ok(Self { url: url.to_owned(), sender, authority: format!("{host}:{port}"), path: uri.path().to_owned() })
    }

    /// Posts a prepared JSON body and returns the answer's bytes.
    ///
    /// # Errors
    /// Where the connection breaks or the status is not 200.
    pub async fn post(&mut self, body: Bytes) -> Result<Bytes> {
        let request = Request::post(&self.path).header("content-type", "application/json");
        self.send(request, body).await
    }

    /// Gets what stands at the address.
    ///
    /// # Errors
    /// Where the connection breaks or the status is not 200.
    pub async fn get(&mut self) -> Result<Bytes> {
        self.send(Request::get(&self.path), Bytes::new()).await
    }

    async fn send(&mut self, request: hyper::http::request::Builder, body: Bytes) -> Result<Bytes> {
        if self.sender.is_closed() {
            *self = Self::open(&self.url).await?;
        }
        self.sender.ready().await?;
        let request = request.header("host", &self.authority).body(Full::new(body))?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            bail!("{} answered {status}: {}", self.authority, String::from_utf8_lossy(&bytes));
        }
        Ok(bytes)
    }

    /// Calls one method.
    ///
    /// # Errors
    /// The connection's, or the error that the node answered.
    pub async fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let answer: Value = serde_json::from_slice(&self.post(serde_json::to_vec(&body)?.into()).await?)?;
        result_of(method, answer)
    }

    /// Calls one method with many parameters in one batch; answers in the order of the parameters.
    ///
    /// # Errors
    /// The connection's, or the first error that the node answered.
    pub async fn batch(&mut self, method: &str, params: impl IntoIterator<Item = Value>) -> Result<Vec<Value>> {
        let calls: Vec<_> = params
            .into_iter()
            .enumerate()
            .map(|(id, params)| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .collect();
        let bytes = self.post(serde_json::to_vec(&calls)?.into()).await?;
        let mut answers: Vec<Value> =
            serde_json::from_slice(&bytes).with_context(|| format!("{method}: the answer is no batch"))?;
        answers.sort_by_key(|answer| answer["id"].as_u64());
        answers.into_iter().map(|answer| result_of(method, answer)).collect()
    }
}

fn result_of(method: &str, mut answer: Value) -> Result<Value> {
    match answer.get_mut("result") {
        Some(result) => Ok(result.take()),
        None => bail!("{method}: {}", answer["error"]["message"].as_str().unwrap_or("no result and no error")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    #[tokio::test]
    async fn a_connection_that_the_server_has_closed_is_opened_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 1_024];
                assert!(stream.read(&mut request).await.unwrap() > 0);
                let answer = r#"{"result": 7}"#;
                let length = answer.len();
                stream
                    .write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{answer}").as_bytes())
                    .await
                    .unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        let mut connection = Connection::open(&url).await.unwrap();
        assert_eq!(connection.call("x", json!([])).await.unwrap(), 7);
        // The task that drives the connection learns of its end.
        while !connection.sender.is_closed() {
            tokio::task::yield_now().await;
        }
        assert_eq!(connection.call("x", json!([])).await.unwrap(), 7);
        server.await.unwrap();
    }
}
