//! Accepts connections and passes each request to its group: origins, paths and time limits are checked here.

use crate::{
    RpcConfig,
    caller::{Caller, Transport},
    error::CallError,
    routes::Routes,
};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use jsonrpsee::server::{HttpBody, StopHandle, ws};
use jsonrpsee::types::{ErrorObjectOwned, Id, ResponsePayload};
use lian_types::limits::RPC_STOP_MS_MAX;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tower::Service;

/// What a browser may send, answered to its preflight request.
const ALLOWED_METHODS: &str = "POST, OPTIONS";
const ALLOWED_HEADERS: &str = "content-type, authorization";
/// How long a browser may remember the answer to its preflight request, in seconds.
const PREFLIGHT_SECONDS: &str = "3600";

/// The server's front door.
#[derive(Debug)]
pub(crate) struct Front {
    config: RpcConfig,
    routes: Arc<Routes>,
    connections: Arc<Semaphore>,
}

impl Front {
    pub(crate) fn new(config: RpcConfig, routes: Arc<Routes>) -> Self {
        let count = usize::try_from(config.limits.connections_max).unwrap_or(usize::MAX);
        Self { config, routes, connections: Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS))) }
    }

    /// Accepts connections until the server stops.
    pub(crate) async fn accept(self: Arc<Self>, listener: TcpListener, stop: StopHandle) {
        let stopped = stop.clone().shutdown();
        tokio::pin!(stopped);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut stopped => return,
            };
            match accepted {
                Ok((socket, _)) => match Arc::clone(&self.connections).try_acquire_owned() {
                    Ok(permit) => {
                        tokio::spawn(Arc::clone(&self).serve(socket, Arc::new(permit), stop.clone()));
                    }
                    Err(_) => self.turn_away(&socket),
                },
                Err(error) => {
                    // Out of file descriptors, most likely: connections must end before another can begin.
                    tracing::warn!(%error, "could not accept a JSON-RPC connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// Tells a client above the limit why it is not served. The few bytes fit into the socket's empty buffer.
    fn turn_away(&self, socket: &TcpStream) {
        let reason = format!("limit of {} connections reached, try again later\n", self.config.limits.connections_max);
        let head = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\nconnection: close\r\n";
        let _ = socket.try_write(format!("{head}content-length: {}\r\n\r\n{reason}", reason.len()).as_bytes());
    }

    async fn serve(self: Arc<Self>, socket: TcpStream, permit: Arc<OwnedSemaphorePermit>, stop: StopHandle) {
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "could not set TCP_NODELAY");
        }
        let idle = Duration::from_millis(self.config.limits.idle_ms_max);
        let stopped = stop.clone().shutdown();
        let service = hyper::service::service_fn(move |request| {
            let (front, permit, stop) = (Arc::clone(&self), Arc::clone(&permit), stop.clone());
            async move { Ok::<_, Infallible>(front.answer(request, permit, stop).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(idle)
            .serve_connection(TokioIo::new(socket), service)
            .with_upgrades();
        tokio::pin!(connection, stopped);
        let result = tokio::select! {
            result = &mut connection => result,
            () = &mut stopped => {
                connection.as_mut().graceful_shutdown();
                match tokio::time::timeout(Duration::from_millis(RPC_STOP_MS_MAX), connection).await {
                    Ok(result) => result,
                    Err(_) => return,
                }
            }
        };
        if let Err(error) = result {
            tracing::debug!(%error, "a JSON-RPC connection ended");
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        permit: Arc<OwnedSemaphorePermit>,
        stop: StopHandle,
    ) -> Response<HttpBody> {
        let origin = request.headers().get(header::ORIGIN).cloned();
        if let Some(origin) = &origin
            && !origin.to_str().is_ok_and(|origin| self.config.origins.allow(origin))
        {
            let message = format!("origin {origin:?} is not allowed; add it to `rpc.origins`");
            return failure(StatusCode::FORBIDDEN, CallError::refused(message));
        }
        let mut response =
            if request.method() == Method::OPTIONS { preflight() } else { self.route(request, permit, stop).await };
        self.config.origins.mark(origin.as_ref(), response.headers_mut());
        response
    }

    async fn route(
        &self,
        mut request: Request<Incoming>,
        permit: Arc<OwnedSemaphorePermit>,
        stop: StopHandle,
    ) -> Response<HttpBody> {
        let path = request.uri().path();
        let Some(route) = self.routes.find(path) else {
            let message =
                format!("nothing is served at {}; paths: {}", crate::error::excerpt(path), self.routes.paths());
            return failure(StatusCode::NOT_FOUND, CallError::MethodNotFound(message));
        };
        let transport = if ws::is_upgrade_request(&request) { Transport::WebSocket } else { Transport::Http };
        let caller = Caller::of(&request, transport, Some(permit));
        request.extensions_mut().insert(Arc::new(caller));
        let mut service = route.services.clone().build(route.methods.clone(), stop);
        let milliseconds = self.config.limits.request_ms_max;
        match tokio::time::timeout(Duration::from_millis(milliseconds), service.call(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => failure(StatusCode::INTERNAL_SERVER_ERROR, CallError::internal(error)),
            Err(_) => {
                let message = format!("the request took longer than the limit of {milliseconds} ms");
                failure(StatusCode::GATEWAY_TIMEOUT, CallError::LimitExceeded(message))
            }
        }
    }
}

fn preflight() -> Response<HttpBody> {
    let mut response = Response::new(HttpBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(ALLOWED_METHODS));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED_HEADERS));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PREFLIGHT_SECONDS));
    response
}

/// A refusal of the whole request, in the form of a JSON-RPC answer so that every client can show it.
fn failure(status: StatusCode, error: CallError) -> Response<HttpBody> {
    let payload = ResponsePayload::<()>::error(ErrorObjectOwned::from(error));
    let answer = jsonrpsee::types::Response::new(payload, Id::Null);
    let mut response = Response::new(HttpBody::from(serde_json::to_string(&answer).unwrap_or_default()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    response
}
