//! Which group a path leads to, and the methods behind it.

use crate::{
    RpcConfig,
    chain::Chain,
    error::RpcError,
    gate::{Gate, GateRules},
    methods,
    workers::Workers,
};
use jsonrpsee::server::{
    BatchRequestConfig, IdProvider, Methods, PingConfig, Server, ServerConfig, TowerServiceBuilder,
    middleware::rpc::RpcServiceBuilder,
};
use jsonrpsee::types::SubscriptionId;
use lian_group::GroupHandle;
use lian_types::GroupId;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tower::layer::util::{Identity, Stack};

/// Puts a [`Gate`] around jsonrpsee's dispatcher.
#[derive(Clone, Debug)]
pub(crate) struct GateLayer(Arc<GateRules>);

impl<S> tower::Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, service: S) -> Gate<S> {
        Gate { rules: Arc::clone(&self.0), service }
    }
}

/// Makes the service of one request.
pub(crate) type Services = TowerServiceBuilder<Stack<GateLayer, Identity>, Identity>;

/// One group's methods.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) methods: Methods,
    pub(crate) services: Services,
}

/// All groups.
#[derive(Debug)]
pub(crate) struct Routes {
    first: GroupId,
    by_group: BTreeMap<GroupId, Route>,
}

impl Routes {
    pub(crate) fn new(config: &RpcConfig, groups: Vec<GroupHandle>, workers: &Arc<Workers>) -> Result<Self, RpcError> {
        let first = groups.first().ok_or(RpcError::NoGroup)?.info().group;
        let base = Server::builder().set_config(server_config(config)).to_service_builder();
        let mut by_group = BTreeMap::new();
        for handle in groups {
            let group = handle.info().group;
            let chain = Chain::new(handle, config.limits.clone(), Arc::clone(workers));
            let methods = methods::all(chain).map_err(|error| RpcError::DuplicateMethod(error.to_string()))?;
            let rules = GateRules {
                methods: methods.method_names().collect(),
                tokens: config.tokens.clone(),
                response_bytes_max: usize::try_from(config.limits.response_bytes_max).unwrap_or(usize::MAX),
            };
            let gate = RpcServiceBuilder::new().layer(GateLayer(Arc::new(rules)));
            let route = Route { methods, services: base.clone().set_rpc_middleware(gate) };
            if by_group.insert(group, route).is_some() {
                return Err(RpcError::DuplicateGroup(group));
            }
        }
        Ok(Self { first, by_group })
    }

    /// The group that a path names.
    pub(crate) fn find(&self, path: &str) -> Option<&Route> {
        let path = path.trim_matches('/');
        let group = match path.strip_prefix("group") {
            None if path.is_empty() => self.first,
            None => return None,
            Some(number) => GroupId(number.parse().ok()?),
        };
        self.by_group.get(&group)
    }

    /// The paths that lead somewhere, for an error message.
    pub(crate) fn paths(&self) -> String {
        let groups = self.by_group.keys().map(|group| format!("/group{group}"));
        std::iter::once("/".to_owned()).chain(groups).collect::<Vec<_>>().join(", ")
    }
}

fn server_config(config: &RpcConfig) -> ServerConfig {
    let limits = &config.limits;
    let ping = Duration::from_millis(limits.ping_ms);
    let pings = PingConfig::new().ping_interval(ping).inactive_limit(ping.saturating_mul(2)).max_failures(1);
    ServerConfig::builder()
        .max_request_body_size(limits.request_bytes_max)
        .max_response_body_size(limits.response_bytes_max)
        .max_connections(limits.connections_max)
        .max_subscriptions_per_connection(limits.subscriptions_max)
        .set_message_buffer_capacity(limits.subscription_buffer.max(1))
        .set_batch_request_config(BatchRequestConfig::Limit(limits.batch_entries_max))
        .enable_ws_ping(pings)
        .set_id_provider(HexIds)
        .build()
}

/// Subscription ids like geth's: a random number in hexadecimal.
#[derive(Clone, Copy, Debug)]
struct HexIds;

impl IdProvider for HexIds {
    fn next_id(&self) -> SubscriptionId<'static> {
        SubscriptionId::Str(random_id().into())
    }
}

/// An unguessable 128-bit id in hexadecimal.
pub(crate) fn random_id() -> String {
    format!("0x{:x}", alloy_primitives::U128::from_be_bytes(alloy_primitives::FixedBytes::<16>::random().0))
}
