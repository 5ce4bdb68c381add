//! Roles, rules about calls and creations, and freezing: what can be changed, and how it is shown.

use super::{
    changes::Change,
    send::{Changing, GovArgs, make},
    show::view_if_any,
};
use crate::{
    output::{print, say},
    verbs::{NodeArgs, status::columns, transact::call_data},
};
use alloy_primitives::{Address, FixedBytes, U256};
use alloy_sol_types::SolCall;
use anyhow::{Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use lian_client::Table;
use lian_system_contracts::{
    interfaces::{
        ICommittee::Action,
        IPermissions::{self as P, IPermissionsCalls, IPermissionsEvents},
    },
    permissions::{ADDRESS, LIST_MAX},
};
use lian_types::PERMISSIONS_PROTOCOL;
use serde_json::{Value, json};
use std::str::FromStr;

/// Stands for all methods that have no rule of their own.
const ALL_METHODS: FixedBytes<4> = FixedBytes([0xff; 4]);

#[derive(Subcommand, Debug)]
pub(crate) enum PermissionVerb {
    /// Add a role of the chain's own.
    AddRole(Changing<AddRole>),
    /// Let whoever holds one role grant another.
    SetGrantor(Changing<SetGrantor>),
    /// Give an account or contract a role.
    Grant(Changing<Grant>),
    /// Take a role away.
    Revoke(Changing<Revoke>),
    /// Let deployers alone create contracts.
    RestrictCreation(Changing<RestrictCreation>),
    /// Freeze an account or contract: it calls nothing, and nothing calls it. For regulators, too.
    Freeze(Changing<Freeze>),
    /// Thaw what is frozen.
    Thaw(Changing<Thaw>),
    /// Become the administrator of a contract that one has created.
    Claim(Claim),
    /// Give a contract another administrator; the zero address gives the right up.
    SetAdministrator(Changing<SetAdministrator>),
    /// Suspend a contract, as its administrator: nothing calls it.
    Suspend(Changing<Suspend>),
    /// Resume what is suspended.
    Resume(Changing<Resume>),
    /// Take a contract out of use for ever.
    Retire(Changing<Retire>),
    /// Set who may call a contract, or a method of it.
    SetPolicy(Changing<SetPolicy>),
    /// Put accounts on the list of a contract's rule, or of a method's.
    List(Changing<List>),
    /// Take accounts off it.
    Unlist(Changing<Unlist>),
    /// Put a role on it.
    ListRole(Changing<ListRole>),
    /// Take a role off it.
    UnlistRole(Changing<UnlistRole>),
    /// Show the roles, and who grants them.
    Roles(NodeArgs),
    /// Show who has a role.
    Holders(Holders),
    /// Show what is known of an address: state, administrator, roles, rules.
    Standing(ShowStanding),
    /// Show all addresses that something was decided about.
    Standings(NodeArgs),
    /// Tell whether a call is allowed, and why.
    Explain(Explain),
}

impl PermissionVerb {
    pub(super) async fn run(self) -> Result<()> {
        match self {
            Self::AddRole(verb) => verb.run().await,
            Self::SetGrantor(verb) => verb.run().await,
            Self::Grant(verb) => verb.run().await,
            Self::Revoke(verb) => verb.run().await,
            Self::RestrictCreation(verb) => verb.run().await,
            Self::Freeze(verb) => verb.run().await,
            Self::Thaw(verb) => verb.run().await,
            Self::Claim(verb) => verb.run().await,
            Self::SetAdministrator(verb) => verb.run().await,
            Self::Suspend(verb) => verb.run().await,
            Self::Resume(verb) => verb.run().await,
            Self::Retire(verb) => verb.run().await,
            Self::SetPolicy(verb) => verb.run().await,
            Self::List(verb) => verb.run().await,
            Self::Unlist(verb) => verb.run().await,
            Self::ListRole(verb) => verb.run().await,
            Self::UnlistRole(verb) => verb.run().await,
            Self::Roles(node) => show_roles(&node).await,
            Self::Holders(verb) => verb.run().await,
            Self::Standing(verb) => verb.run().await,
            Self::Standings(node) => show_standings(&node).await,
            Self::Explain(verb) => verb.run().await,
        }
    }
}

/// The changes among them, as a proposal takes them.
#[derive(Subcommand, Debug)]
pub(crate) enum PermissionChange {
    AddRole(AddRole),
    SetGrantor(SetGrantor),
    Grant(Grant),
    Revoke(Revoke),
    RestrictCreation(RestrictCreation),
    Freeze(Freeze),
    Thaw(Thaw),
    SetAdministrator(SetAdministrator),
    Suspend(Suspend),
    Resume(Resume),
    Retire(Retire),
    SetPolicy(SetPolicy),
    List(List),
    Unlist(Unlist),
    ListRole(ListRole),
    UnlistRole(UnlistRole),
}

impl Change for PermissionChange {
    fn action(self, reason: &str) -> Result<Action> {
        match self {
            Self::AddRole(change) => change.action(reason),
            Self::SetGrantor(change) => change.action(reason),
            Self::Grant(change) => change.action(reason),
            Self::Revoke(change) => change.action(reason),
            Self::RestrictCreation(change) => change.action(reason),
            Self::Freeze(change) => change.action(reason),
            Self::Thaw(change) => change.action(reason),
            Self::SetAdministrator(change) => change.action(reason),
            Self::Suspend(change) => change.action(reason),
            Self::Resume(change) => change.action(reason),
            Self::Retire(change) => change.action(reason),
            Self::SetPolicy(change) => change.action(reason),
            Self::List(change) => change.action(reason),
            Self::Unlist(change) => change.action(reason),
            Self::ListRole(change) => change.action(reason),
            Self::UnlistRole(change) => change.action(reason),
        }
    }
}

/// A change's arguments, and the call that it is.
macro_rules! change {
    ($name:ident { $($(#[$attribute:meta])* $field:ident: $kind:ty),* $(,)? }, $own:literal, $reason:ident => $call:expr) => {
        #[derive(Args, Debug)]
        pub(crate) struct $name {
            $($(#[$attribute])* $field: $kind,)*
        }

        impl Change for $name {
            const MAY_BE_ONES_OWN: bool = $own;

            fn action(self, $reason: &str) -> Result<Action> {
                let Self { $($field),* } = self;
                Ok(Action { target: ADDRESS, data: $call.abi_encode().into() })
            }
        }
    };
}

change!(AddRole {
    /// Its name: 1 to 32 of a-z, 0-9, `-` and `_`.
    role: String,
}, false, _reason => P::addRoleCall { role });

change!(SetGrantor {
    /// The role.
    role: String,
    /// The role whose holders grant it; without, the governing body alone does.
    #[arg(default_value = "")]
    grantor: String,
}, false, _reason => P::setGrantorCall { role, grantor });

change!(Grant {
    /// The role.
    role: String,
    /// Who gets it.
    holder: Address,
}, true, reason => P::grantRoleCall { role, account: holder, reason: reason.to_owned() });

change!(Revoke {
    /// The role.
    role: String,
    /// Who loses it.
    holder: Address,
}, true, reason => P::revokeRoleCall { role, account: holder, reason: reason.to_owned() });

change!(RestrictCreation {
    /// Let everybody create contracts again.
    #[arg(long)]
    lift: bool,
}, false, reason => P::restrictCreationCall { restricted: !lift, reason: reason.to_owned() });

change!(Freeze {
    /// The account or contract.
    target: Address,
}, true, reason => P::freezeCall { target, reason: reason.to_owned() });

change!(Thaw {
    /// The account or contract.
    target: Address,
}, true, reason => P::thawCall { target, reason: reason.to_owned() });

change!(SetAdministrator {
    /// The contract.
    target: Address,
    /// Its administrator.
    administrator: Address,
}, true, _reason => P::setAdministratorCall { target, administrator });

change!(Suspend {
    /// The contract.
    target: Address,
}, true, reason => P::suspendCall { target, reason: reason.to_owned() });

change!(Resume {
    /// The contract.
    target: Address,
}, true, reason => P::resumeCall { target, reason: reason.to_owned() });

change!(Retire {
    /// The contract.
    target: Address,
}, true, reason => P::retireCall { target, reason: reason.to_owned() });

change!(SetPolicy {
    /// The contract.
    target: Address,
    /// Who may call.
    policy: Policy,
    #[command(flatten)]
    of: OfMethod,
}, true, _reason => P::setPolicyCall { target, method: of.method(), policy: policy.into() });

change!(List {
    /// The contract.
    target: Address,
    /// Who is listed.
    #[arg(required = true)]
    accounts: Vec<Address>,
    #[command(flatten)]
    of: OfMethod,
}, true, _reason => P::listAccountsCall { target, method: of.method(), accounts, listed: true });

change!(Unlist {
    /// The contract.
    target: Address,
    /// Who is listed no longer.
    #[arg(required = true)]
    accounts: Vec<Address>,
    #[command(flatten)]
    of: OfMethod,
}, true, _reason => P::listAccountsCall { target, method: of.method(), accounts, listed: false });

change!(ListRole {
    /// The contract.
    target: Address,
    /// The role whose holders are listed.
    role: String,
    #[command(flatten)]
    of: OfMethod,
}, true, _reason => P::listRoleCall { target, method: of.method(), role, listed: true });

change!(UnlistRole {
    /// The contract.
    target: Address,
    /// The role whose holders are listed no longer.
    role: String,
    #[command(flatten)]
    of: OfMethod,
}, true, _reason => P::listRoleCall { target, method: of.method(), role, listed: false });

/// Whose rule it is.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct OfMethod {
    /// The method, `transfer(address,uint256)` or its selector `0xa9059cbb`; without, the rule of all methods that have none of
    /// their own.
    #[arg(long, value_name = "METHOD")]
    method: Option<Method>,
}

impl OfMethod {
    fn method(self) -> FixedBytes<4> {
        self.method.map_or(ALL_METHODS, |Method(method)| method)
    }
}

/// A method by its signature or selector.
#[derive(Clone, Copy, Debug)]
struct Method(FixedBytes<4>);

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(selector) = text.parse() {
            return Ok(Self(selector));
        }
        let selector = lian_client::selector(text).map_err(|error| format!("{error}, nor a selector of four bytes"))?;
        Ok(Self(selector))
    }
}

/// Who may call.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Policy {
    /// No rule: a method has its contract's, and a contract none.
    None,
    /// Everybody.
    Open,
    /// Who is listed.
    AllowList,
    /// Everybody but who is listed.
    DenyList,
}

impl From<Policy> for P::Policy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::None => Self::None,
            Policy::Open => Self::Open,
            Policy::AllowList => Self::AllowList,
            Policy::DenyList => Self::DenyList,
        }
    }
}

const fn policy_name(policy: P::Policy) -> &'static str {
    match policy {
        P::Policy::Open => "open",
        P::Policy::AllowList => "allow-list",
        P::Policy::DenyList => "deny-list",
        _ => "none",
    }
}

/// A contract that one has created.
#[derive(Args, Debug)]
pub(crate) struct Claim {
    /// The contract.
    target: Address,
    /// The nonce of the transaction that created it, as `lian tx` shows it.
    nonce: u64,
    #[command(flatten)]
    how: GovArgs,
}

impl Claim {
    async fn run(self) -> Result<()> {
        let Self { target, nonce, how } = self;
        let data = P::claimCall { target, nonce }.abi_encode().into();
        make(&how, Action { target: ADDRESS, data }, true).await
    }
}

fn of_method(method: FixedBytes<4>) -> String {
    if method == ALL_METHODS { String::new() } else { format!(" --method {method}") }
}

/// A change in the words that propose it.
pub(super) fn describe(call: IPermissionsCalls) -> Option<String> {
    use IPermissionsCalls as C;
    Some(match call {
        C::addRole(new) => format!("add-role {}", new.role),
        C::setGrantor(set) => format!("set-grantor {} {}", set.role, set.grantor).trim_end().to_owned(),
        C::grantRole(to) => format!("grant {} {}", to.role, to.account),
        C::revokeRole(of) => format!("revoke {} {}", of.role, of.account),
        C::restrictCreation(set) => format!("restrict-creation{}", if set.restricted { "" } else { " --lift" }),
        C::freeze(of) => format!("freeze {}", of.target),
        C::thaw(of) => format!("thaw {}", of.target),
        C::setAdministrator(set) => format!("set-administrator {} {}", set.target, set.administrator),
        C::suspend(of) => format!("suspend {}", of.target),
        C::resume(of) => format!("resume {}", of.target),
        C::retire(of) => format!("retire {}", of.target),
        C::setPolicy(set) => {
            format!("set-policy {} {}{}", set.target, policy_name(set.policy), of_method(set.method))
        }
        C::listAccounts(set) => {
            let accounts: Vec<_> = set.accounts.iter().map(Address::to_string).collect();
            let verb = if set.listed { "list" } else { "unlist" };
            format!("{verb} {} {}{}", set.target, accounts.join(" "), of_method(set.method))
        }
        C::listRole(set) => {
            let verb = if set.listed { "list-role" } else { "unlist-role" };
            format!("{verb} {} {}{}", set.target, set.role, of_method(set.method))
        }
        _ => return None,
    })
}

/// What an event says, as a line of a receipt.
pub(super) fn summary(table: &mut Table, event: IPermissionsEvents) {
    use IPermissionsEvents as E;
    match event {
        E::RoleAdded(event) => table.line("role", event.role),
        E::GrantorSet(event) if event.grantor.is_empty() => {
            table.line("role", format!("{}, granted by the governing body alone", event.role))
        }
        E::GrantorSet(event) => table.line("role", format!("{}, granted by {}", event.role, event.grantor)),
        E::RoleGranted(event) => table.line("granted", format!("{} to {}", event.role, event.account)),
        E::RoleRevoked(event) => table.line("revoked", format!("{} from {}", event.role, event.account)),
        E::CreationRestricted(event) => {
            table.line("creation", if event.restricted { "for deployers" } else { "for everybody" })
        }
        E::AdministratorSet(event) => {
            table.line("administrator", format!("{} of {}", event.administrator, event.target))
        }
        E::PolicySet(event) => {
            let (policy, method) = (policy_name(event.policy), of_method(event.method));
            table.line("policy", format!("{} {policy}{method}", event.target))
        }
        E::AccountListed(event) => {
            let word = if event.listed { "listed" } else { "unlisted" };
            table.line(word, event.account)
        }
        E::RoleListed(event) => table.line(if event.listed { "listed" } else { "unlisted" }, event.role),
        E::Frozen(event) => table.line("frozen", event.target),
        E::Thawed(event) => table.line("thawed", event.target),
        E::Suspended(event) => table.line("suspended", event.target),
        E::Resumed(event) => table.line("resumed", event.target),
        E::Retired(event) => table.line("retired", event.target),
    };
}

/// What the contract answers, where there is one.
async fn ask<C: SolCall>(node: &NodeArgs, call: &C) -> Result<C::Return> {
    match view_if_any(node, ADDRESS, call).await? {
        Some(answer) => Ok(answer),
        None => bail!(
            "the group of {} has no permissions yet: switch version {PERMISSIONS_PROTOCOL} of the protocol on (`lian gov \
             set-parameter protocol_version {PERMISSIONS_PROTOCOL}`), which acts some blocks later",
            node.rpc_url
        ),
    }
}

async fn show_roles(node: &NodeArgs) -> Result<()> {
    let roles = ask(node, &P::rolesCall {}).await?;
    if node.json {
        let role = |role: &P::Role| json!({"role": role.name, "grantor": role.grantor});
        say(json!(roles.iter().map(role).collect::<Vec<_>>()))?;
        return Ok(());
    }
    let mut rows = vec![["role", "granted by"].map(str::to_owned).to_vec()];
    for P::Role { name, grantor } in roles {
        let grantor = match (name.as_str(), grantor.is_empty()) {
            ("committee", _) => "belonging to it".to_owned(),
            (_, true) => "the governing body".to_owned(),
            (_, false) => format!("the governing body, {grantor}"),
        };
        rows.push(vec![name, grantor]);
    }
    print(columns(&rows))?;
    Ok(())
}

/// All pages of a list.
async fn all<C: SolCall<Return = Vec<Address>>>(node: &NodeArgs, page: impl Fn(U256) -> C) -> Result<Vec<Address>> {
    let mut found = Vec::new();
    loop {
        let next = ask(node, &page(U256::from(found.len()))).await?;
        let is_last = u64::try_from(next.len()).is_ok_and(|length| length < LIST_MAX);
        found.extend(next);
        if is_last {
            return Ok(found);
        }
    }
}

/// Who has a role.
#[derive(Args, Debug)]
pub(crate) struct Holders {
    /// The role.
    role: String,
    #[command(flatten)]
    node: NodeArgs,
}

impl Holders {
    async fn run(self) -> Result<()> {
        let Self { role, node } = self;
        let page = |from| P::holdersCall { role: role.clone(), from, limit: U256::from(LIST_MAX) };
        let holders = all(&node, page).await?;
        if node.json {
            say(json!(holders))?;
            return Ok(());
        }
        holders.iter().try_for_each(say)?;
        Ok(())
    }
}

fn states(standing: &P::Standing) -> Vec<&'static str> {
    let P::Standing { frozen, suspended, retired, .. } = standing;
    let states = [(*frozen, "frozen"), (*suspended, "suspended"), (*retired, "retired")];
    states.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect()
}

/// What is known of an address.
#[derive(Args, Debug)]
pub(crate) struct ShowStanding {
    /// The account or contract.
    target: Address,
    #[command(flatten)]
    node: NodeArgs,
}

/// A rule with all that it lists.
struct Rule {
    method: FixedBytes<4>,
    policy: P::Policy,
    roles: Vec<String>,
    accounts: Vec<Address>,
}

impl ShowStanding {
    async fn run(self) -> Result<()> {
        let Self { target, node } = self;
        let standing = ask(&node, &P::standingCall { target }).await?;
        let mut rules = Vec::new();
        for method in [ALL_METHODS].into_iter().chain(standing.methods.iter().copied()) {
            let P::ruleReturn { policy, roles } = ask(&node, &P::ruleCall { target, method }).await?;
            let page = |from| P::listedCall { target, method, from, limit: U256::from(LIST_MAX) };
            rules.push(Rule { method, policy, roles, accounts: all(&node, page).await? });
        }
        if node.json {
            let rule = |Rule { method, policy, roles, accounts }: &Rule| {
                let method = (*method != ALL_METHODS).then_some(method);
                json!({"method": method, "policy": policy_name(*policy), "roles": roles, "accounts": accounts})
            };
            let rules: Vec<Value> = rules.iter().map(rule).collect();
            say(json!({
                "address": target, "states": states(&standing), "administrator": standing.administrator,
                "roles": standing.roles, "rules": rules,
            }))?;
            return Ok(());
        }
        let or_none = |words: Vec<&str>| if words.is_empty() { "-".to_owned() } else { words.join(", ") };
        let mut table = Table::new();
        table.line("address", target).line("state", or_none(states(&standing)));
        let administrator =
            if standing.administrator.is_zero() { "-".into() } else { standing.administrator.to_string() };
        table.line("administrator", administrator);
        table.line("roles", or_none(standing.roles.iter().map(String::as_str).collect()));
        for Rule { method, policy, roles, accounts } in rules {
            let name = if method == ALL_METHODS { "rule".to_owned() } else { format!("rule of {method}") };
            table.line(name, policy_name(policy));
            for role in roles {
                table.line("  lists", format!("role {role}"));
            }
            for account in accounts {
                table.line("  lists", account);
            }
        }
        print(table)?;
        Ok(())
    }
}

async fn show_standings(node: &NodeArgs) -> Result<()> {
    let targets = all(node, |from| P::targetsCall { from, limit: U256::from(LIST_MAX) }).await?;
    let mut found = Vec::new();
    for target in targets {
        found.push((target, ask(node, &P::standingCall { target }).await?));
    }
    let is_restricted = ask(node, &P::isCreationRestrictedCall {}).await?;
    if node.json {
        let one = |(target, standing): &(Address, P::Standing)| {
            json!({
                "address": target, "states": states(standing), "administrator": standing.administrator,
                "policy": policy_name(standing.policy), "methods": standing.methods,
            })
        };
        let standings: Vec<Value> = found.iter().map(one).collect();
        say(json!({"creation_restricted": is_restricted, "standings": standings}))?;
        return Ok(());
    }
    let mut rows = vec![["address", "state", "policy", "methods", "administrator"].map(str::to_owned).to_vec()];
    for (target, standing) in &found {
        let state = states(standing);
        let state = if state.is_empty() { "-".to_owned() } else { state.join(", ") };
        let administrator =
            if standing.administrator.is_zero() { "-".to_owned() } else { standing.administrator.to_string() };
        let policy = policy_name(standing.policy).to_owned();
        rows.push(vec![target.to_string(), state, policy, standing.methods.len().to_string(), administrator]);
    }
    print(columns(&rows))?;
    say(format!("contracts are created by {}", if is_restricted { "deployers" } else { "everybody" }))?;
    Ok(())
}

/// A call that somebody would make.
#[derive(Args, Debug)]
pub(crate) struct Explain {
    /// Who calls.
    from: Address,
    /// The callee.
    to: Address,
    /// A function's signature, such as `transfer(address,uint256)`, or call data in hexadecimal.
    #[arg(default_value = "0x")]
    signature: String,
    /// The function's arguments.
    #[arg(allow_negative_numbers = true)]
    arguments: Vec<String>,
    #[command(flatten)]
    node: NodeArgs,
}

impl Explain {
    async fn run(self) -> Result<()> {
        let Self { from, to, signature, arguments, node } = self;
        ask(&node, &P::digestCall {}).await?;
        let (input, _) = call_data(&signature, &arguments)?;
        let request = json!({"from": from, "to": to, "input": input});
        let answer: Value = node.client()?.request("lian_explainPermission", vec![request]).await?;
        if node.json {
            say(answer)?;
            return Ok(());
        }
        let mut rows = vec![["", "depth", "from", "to", "method", "because"].map(str::to_owned).to_vec()];
        for verdict in answer["verdicts"].as_array().into_iter().flatten() {
            let text = |field: &str| crate::verbs::text(verdict, field);
            let word = if verdict["allowed"] == true { "allowed" } else { "refused" };
            let method = if verdict["method"].is_null() { text("kind") } else { text("method") };
            rows.push(vec![
                word.to_owned(),
                verdict["depth"].to_string(),
                text("from"),
                text("to"),
                method,
                text("reason"),
            ]);
        }
        print(columns(&rows))?;
        let end = match (answer["allowed"] == true, answer["success"] == true) {
            (false, _) => "the call is not allowed",
            (true, true) => "the call is allowed, and would succeed now",
            (true, false) => "the call is allowed, and would fail for another reason",
        };
        say(end)?;
        Ok(())
    }
}
