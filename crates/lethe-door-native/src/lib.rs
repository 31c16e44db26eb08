//! The native door: Lethe's own REST interface, under `/v1`.
//!
//! Layer 5. It turns requests into one call of the engine each and results into JSON; it decides
//! nothing. It must not know a store, a slot, a socket or another door.
//!
//! Read in this order: [`routes`], `handlers/`, [`wire`], `error.rs` (every refusal), `openapi.rs`
//! (the document, from the same table).

mod answer;
mod auth;
mod batch;
mod body;
mod error;
mod handlers;
mod headers;
mod life_routes;
pub mod openapi;
pub mod problems;
mod render;
mod reply;
mod route;
mod state;
mod use_routes;
pub mod wire;

use std::sync::Arc;

use http::Method;
use lethe_engine::Engine;
use lethe_http::Kind::{Mutation, Read};
use lethe_http::{Door, Fallback, RequestHead, Response, RouteSpec};

use handlers::{
    approvals, credentials, destroy, destructions, docs, events, holds, keys, life, log,
    principals, realm, service, vaults,
};
pub use life_routes::LIFE_ROUTES;
pub use route::Route;
use route::{Gives, Takes, public, route};
pub use state::ServiceView;
use state::State;

/// The door's name in audit events, receipts and metrics.
pub const DOOR: &str = "native";

/// Largest body of a request that makes or changes something, in bytes. The largest sensible one
/// is a principal with all its grants.
const CHANGE_BODY_BYTES_MAX: usize = 262_144;

/// Largest body of a request for a bulk destruction, in bytes: a list of more than a million keys.
const LIST_BODY_BYTES_MAX: usize = 40_000_000;

/// What `If-Match` does to an operation on a key.
const IF_MATCH: &str = "Only if the key has this entity tag.";

/// The native door.
#[derive(Debug)]
pub struct NativeDoor {
    routes: Vec<RouteSpec>,
    state: Arc<State>,
}

impl NativeDoor {
    /// The door to `engine`; `service` speaks for the server.
    #[must_use]
    pub fn new(engine: Arc<Engine>, service: Arc<dyn ServiceView>) -> Self {
        let state = Arc::new(State { engine, service });
        Self { routes: routes().map(|route| route.spec(&state)).collect(), state }
    }
}

impl Door for NativeDoor {
    fn name(&self) -> &'static str {
        DOOR
    }

    fn routes(&self) -> &[RouteSpec] {
        &self.routes
    }

    fn admit_large_body(&self, head: &RequestHead) -> Option<Response> {
        auth::caller(&self.state, head).err().map(|refusal| refusal.into_response(head))
    }

    fn fallback(&self, cause: Fallback, head: &RequestHead) -> Response {
        error::fallback_response(&cause, head)
    }

    fn finish(&self, head: &RequestHead, response: &mut Response) {
        let id = headers::request_id_value(head.request_id);
        response.headers_mut().insert(headers::X_REQUEST_ID, id);
    }
}

/// Every operation of the door. The OpenAPI document is made of these tables, text included.
pub fn routes() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().chain(use_routes::USES).chain(LIFE_ROUTES)
}

/// The operations of [`routes`] but the uses of keys, in `use_routes.rs`, and [`LIFE_ROUTES`].
pub static ROUTES: &[Route] = &[
    route(Method::POST, "/v1/keys", "key.create", Mutation, keys::create)
        .says("Create a key", "The key is durable, and can be used, when the answer is given.")
        .takes(Takes::Json("CreateKey"), CHANGE_BODY_BYTES_MAX)
        .header("Idempotency-Key", "A retry with the same value answers with the same key.")
        .gives(Gives::Created("Key")),
    route(Method::GET, "/v1/keys", "key.list", Read, keys::list)
        .says(
            "List keys",
            "Page by page: oldest first, or in the order of names with `name` or `prefix`, or of \
             values with a `label` without one, if that leaves fewest keys to look at. Keys that \
             you may not see are left out. A page looks at a bounded number of keys: it may have \
             fewer than `limit`, even none, and a `next`; only `next: null` is the end.",
        )
        .query("limit", "Keys on a page, 1 to 1000. Without it 100.")
        .query("cursor", "`next` of the page before. The other parameters must be the same.")
        .query("vault", "Only keys of the vault with this id.")
        .query("name", "Only keys of exactly this name.")
        .query("prefix", "Only keys whose name begins so, in this case.")
        .query("label", "`name=value`, or `name` for any value. May be repeated: all must match.")
        .query("state", "Only keys in this state. A destroyed one includes destroyed keys.")
        .query("algorithm", "Only keys of this algorithm.")
        .query("destroyed", "`true`: destroyed keys too.")
        .query("derived_from", "Only keys that were derived from the key with this id.")
        .query(
            "view",
            "`names`: of each key only `id`, `name` and `state`. `full`, or nothing: all.",
        )
        .gives(Gives::JsonOf("Keys", "KeyNames")),
    route(Method::GET, "/v1/keys/{id}", "key.read", Read, keys::read)
        .says("See a key", "Also a destroyed one, with how it ended. Never its material.")
        .gives(Gives::Json("Key")),
    route(Method::PATCH, "/v1/keys/{id}", "key.update", Mutation, life::update)
        .says("Change a key's name, labels or protection", "What is left out stays.")
        .takes(Takes::Json("ChangeKey"), CHANGE_BODY_BYTES_MAX)
        .header("If-Match", IF_MATCH)
        .gives(Gives::Json("Key")),
    route(Method::POST, "/v1/keys/{id}/activate", "key.activate", Mutation, life::activate)
        .says("Take a key into use", "One that was made with `active` false.")
        .takes(Takes::Optional("Nothing"), CHANGE_BODY_BYTES_MAX)
        .header("If-Match", IF_MATCH)
        .gives(Gives::Json("Key")),
    route(Method::POST, "/v1/keys/{id}/suspend", "key.suspend", Mutation, life::suspend)
        .says("Suspend a key", "The reversible stop: it is refused for every use until resumed.")
        .takes(Takes::Optional("Nothing"), CHANGE_BODY_BYTES_MAX)
        .header("If-Match", IF_MATCH)
        .gives(Gives::Json("Key")),
    route(Method::POST, "/v1/keys/{id}/resume", "key.resume", Mutation, life::resume)
        .says("Resume a suspended key", "It is active again.")
        .takes(Takes::Optional("Nothing"), CHANGE_BODY_BYTES_MAX)
        .header("If-Match", IF_MATCH)
        .gives(Gives::Json("Key")),
    route(Method::POST, "/v1/keys/{id}/deactivate", "key.deactivate", Mutation, life::deactivate)
        .says(
            "Deactivate a key, for good",
            "It protects nothing new any more, and still opens and checks what it protected.",
        )
        .takes(Takes::Optional("Nothing"), CHANGE_BODY_BYTES_MAX)
        .header("If-Match", IF_MATCH)
        .gives(Gives::Json("Key")),
    route(Method::POST, "/v1/keys/{id}/compromise", "key.compromise", Mutation, life::compromise)
        .says(
            "Record that others know or may know a key",
            "It protects nothing new any more, and its tombstone will say so.",
        )
        .takes(Takes::Optional("Nothing"), CHANGE_BODY_BYTES_MAX)
        .header("If-Match", IF_MATCH)
        .gives(Gives::Json("Key")),
    route(Method::DELETE, "/v1/keys/{id}", "key.destroy", Mutation, destroy::destroy)
        .says(
            "Destroy a key, for good",
            "At once and in all its versions, unless it has to wait. When the answer is 200 no use \
             succeeds any more, the root that could reach the key is erased, and the receipt \
             proves it. 202: the policy has it wait, or `window` does; it is refused for every \
             use, and destroyed at `due` unless the destruction is cancelled. A second \
             destruction ends the wait if the policy allows it, and is refused with 410 when the \
             key is gone. Rules that stand in the way are named in `rule` and `remedy`.",
        )
        .query("reason", "Why; at most 1024 bytes. Part of the receipt.")
        .query("window", "Wait so long: a number and `s`, `m`, `h` or `d`, as in `72h`.")
        .query("confirm", "The key's id or exact name, where the policy wants it repeated.")
        .query("approval", "Id of the request for approval that others agreed to.")
        .header("If-Match", "Destroy only if the key has this entity tag.")
        .header("Idempotency-Key", "A retry with the same value answers with the receipt.")
        .gives(Gives::ReceiptOrKey),
    route(
        Method::POST,
        "/v1/keys/{id}/cancel-destruction",
        "key.cancel_destruction",
        Mutation,
        life::cancel_destruction,
    )
    .says("Cancel a destruction that waits", "The key is then as it was before.")
    .takes(Takes::Optional("Nothing"), CHANGE_BODY_BYTES_MAX)
    .header("If-Match", IF_MATCH)
    .gives(Gives::Json("Key")),
    route(
        Method::GET,
        "/v1/keys/{id}/destruction-preview",
        "key.destruction_preview",
        Read,
        destroy::preview,
    )
    .says(
        "See what a destruction would do",
        "What would become of it now, every rule that stands in the way, and what would go with \
         the key. Does nothing. Without `confirm` the confirmation counts as given.",
    )
    .query("window", "As the destruction would be asked for.")
    .query("confirm", "As the destruction would be asked for.")
    .query("approval", "As the destruction would be asked for.")
    .gives(Gives::Json("DestructionPreview")),
    route(Method::POST, "/v1/keys/{id}/holds", "hold.place", Mutation, holds::place)
        .says(
            "Place a hold on a key",
            "It is not destroyed while the hold stands, not even when its time has come.",
        )
        .takes(Takes::Json("PlaceHold"), CHANGE_BODY_BYTES_MAX)
        .gives(Gives::Created("Hold")),
    route(Method::DELETE, "/v1/keys/{id}/holds/{hold}", "hold.lift", Mutation, holds::lift)
        .says("Lift a hold", "A destruction whose time has come is then carried out.")
        .gives(Gives::Json("Key")),
    route(
        Method::POST,
        "/v1/keys/{id}/approvals",
        "approval.request",
        Mutation,
        approvals::request,
    )
    .says(
        "Ask others to approve a destruction",
        "They sign `statement`. The destruction then names the request in `approval`.",
    )
    .takes(Takes::Json("RequestApproval"), CHANGE_BODY_BYTES_MAX)
    .gives(Gives::Created("ApprovalRequest")),
    route(Method::GET, "/v1/approvals", "approval.list", Read, approvals::list)
        .says("List requests for approval", "Newest first; those of keys that you may read.")
        .query("key", "Only those about the key with this id.")
        .query("open", "`true`: only those that can still be approved or used.")
        .query("limit", "At most so many, 1 to 1000. Without it 100.")
        .gives(Gives::Json("ApprovalRequests")),
    route(Method::GET, "/v1/approvals/{id}", "approval.read", Read, approvals::read)
        .says("See a request for approval", "With the statement that approvers sign.")
        .gives(Gives::Json("ApprovalRequest")),
    route(
        Method::POST,
        "/v1/approvals/{id}/approve",
        "approval.give",
        Mutation,
        approvals::approve,
    )
    .says(
        "Approve a destruction",
        "With a signature over the bytes of `statement` by a `public_key` credential of yours. \
             It becomes part of the receipt. Nobody approves their own request, or one twice.",
    )
    .takes(Takes::Json("Approve"), CHANGE_BODY_BYTES_MAX)
    .gives(Gives::Json("ApprovalRequest")),
    route(Method::DELETE, "/v1/approvals/{id}", "approval.withdraw", Mutation, approvals::withdraw)
        .says("Withdraw a request for approval", "Who asked may, and who may approve.")
        .gives(Gives::Json("ApprovalRequest")),
    route(Method::POST, "/v1/destructions", "destruction.start", Mutation, destructions::start)
        .says(
            "Destroy many keys",
            "A list, a vault or all keys with certain labels. When the answer is given the list of \
         keys is fixed and durable, and the work goes on by itself, also after a restart. Every \
         key goes through the rules as if it had been asked for alone.",
        )
        .takes(Takes::Json("StartDestruction"), LIST_BODY_BYTES_MAX)
        .gives(Gives::Accepted("Job")),
    route(Method::GET, "/v1/destructions", "destruction.list", Read, destructions::list)
        .says("List bulk destructions", "Newest first.")
        .query("limit", "At most so many, 1 to 1000. Without it 100.")
        .gives(Gives::Json("Jobs")),
    route(Method::GET, "/v1/destructions/{id}", "destruction.read", Read, destructions::read)
        .says("See how far a bulk destruction came", "Receipts are fetched key by key.")
        .gives(Gives::Json("Job")),
    route(
        Method::GET,
        "/v1/destructions/{id}/refused",
        "destruction.refused",
        Read,
        destructions::refused,
    )
    .says("List the keys that a bulk destruction had to leave", "Each with the rule.")
    .query("from", "From this place of the list on. Without it from the beginning.")
    .query("limit", "Keys on a page, 1 to 1000. Without it 100.")
    .gives(Gives::Json("RefusedKeys")),
    route(
        Method::POST,
        "/v1/destructions/{id}/cancel",
        "destruction.cancel",
        Mutation,
        destructions::cancel,
    )
    .says("Stop a bulk destruction", "Keys that it did not reach are untouched.")
    .takes(Takes::Optional("Nothing"), CHANGE_BODY_BYTES_MAX)
    .gives(Gives::Json("Job")),
    route(Method::GET, "/v1/keys/{id}/receipt", "key.receipt", Read, destroy::receipt)
        .says(
            "Fetch the receipt of a destruction",
            "Proven against the newest checkpoint. 404 while the key is not destroyed.",
        )
        .gives(Gives::Receipt),
    route(Method::POST, "/v1/keys/{id}/rotate", "key.rotate", Mutation, keys::rotate)
        .says(
            "Add a version to a key",
            "New data is protected by it; older versions still open what they protected.",
        )
        .takes(Takes::Optional("Nothing"), CHANGE_BODY_BYTES_MAX)
        .header("If-Match", "Rotate only if the key has this entity tag.")
        .gives(Gives::Json("Key")),
    route(Method::GET, "/v1/algorithms", "algorithm.list", Read, service::algorithms)
        .says("List algorithms", "Those of this version, with their uses and strength.")
        .gives(Gives::Json("Algorithms")),
    route(Method::POST, "/v1/vaults", "vault.create", Mutation, vaults::create)
        .says("Create a vault", "A collection of keys on which permissions can be given.")
        .takes(Takes::Json("CreateVault"), CHANGE_BODY_BYTES_MAX)
        .gives(Gives::Created("Vault")),
    route(Method::GET, "/v1/vaults", "vault.list", Read, vaults::list)
        .says("List vaults", "Those of the realm, the default vault included.")
        .gives(Gives::Json("Vaults")),
    route(Method::GET, "/v1/vaults/{id}", "vault.read", Read, vaults::read)
        .says("See a vault", "With its deletion policy.")
        .gives(Gives::Json("Vault")),
    route(Method::PATCH, "/v1/vaults/{id}", "vault.update", Mutation, vaults::update)
        .says("Change a vault", "What is left out stays; what is there replaces the old whole.")
        .takes(Takes::Json("ChangeVault"), CHANGE_BODY_BYTES_MAX)
        .gives(Gives::Json("Vault")),
    route(Method::DELETE, "/v1/vaults/{id}", "vault.remove", Mutation, vaults::remove)
        .says("Remove a vault", "Only without live keys. Tombstones stay; its name is free again.")
        .gives(Gives::Json("Vault")),
    route(Method::GET, "/v1/realm", "realm.read", Read, realm::read)
        .says("See your realm", "With its deletion policy.")
        .gives(Gives::Json("Realm")),
    route(Method::PUT, "/v1/realm/policy", "realm.set_policy", Mutation, realm::set_policy)
        .says(
            "Set the deletion policy of your realm",
            "The whole policy: what is left out is not demanded any more. It holds in all vaults.",
        )
        .takes(Takes::Json("Policy"), CHANGE_BODY_BYTES_MAX)
        .gives(Gives::Json("Realm")),
    route(Method::POST, "/v1/principals", "principal.create", Mutation, principals::create)
        .says(
            "Create a principal",
            "Bearer tokens are shown this once. Nobody gives away more than they have, and no \
             credential outlives the one that it was made with.",
        )
        .takes(Takes::Json("CreatePrincipal"), CHANGE_BODY_BYTES_MAX)
        .gives(Gives::Created("NewPrincipal")),
    route(Method::GET, "/v1/principals", "principal.list", Read, principals::list)
        .says("List principals", "Those of the realm, revoked ones too.")
        .gives(Gives::Json("Principals")),
    route(Method::GET, "/v1/principals/{id}", "principal.read", Read, principals::read)
        .says("See a principal", "With what it may do.")
        .gives(Gives::Json("Principal")),
    route(Method::DELETE, "/v1/principals/{id}", "principal.revoke", Mutation, principals::revoke)
        .says("Revoke a principal", "It loses every right and credential, at once.")
        .gives(Gives::Json("Principal")),
    route(Method::PATCH, "/v1/principals/{id}", "principal.update", Mutation, principals::update)
        .says("Change a principal", "What is left out stays. Nobody gives more than they have.")
        .takes(Takes::Json("ChangePrincipal"), CHANGE_BODY_BYTES_MAX)
        .gives(Gives::Json("Principal")),
    route(
        Method::POST,
        "/v1/principals/{id}/credentials",
        "credential.add",
        Mutation,
        credentials::add,
    )
    .says(
        "Give a principal a credential",
        "The token of a `bearer` is shown this once. Needs every right that the principal has.",
    )
    .takes(Takes::Json("CredentialRequest"), CHANGE_BODY_BYTES_MAX)
    .gives(Gives::Created("NewCredential")),
    route(
        Method::DELETE,
        "/v1/principals/{id}/credentials/{credential}",
        "credential.remove",
        Mutation,
        credentials::remove,
    )
    .says("Take a credential away", "For good; a secret of it is erased.")
    .gives(Gives::Json("Principal")),
    route(
        Method::POST,
        "/v1/principals/{id}/credentials/{credential}/suspend",
        "credential.suspend",
        Mutation,
        credentials::suspend,
    )
    .says("Suspend a credential", "It is refused until it is resumed.")
    .takes(Takes::Optional("Nothing"), CHANGE_BODY_BYTES_MAX)
    .gives(Gives::Json("Principal")),
    route(
        Method::POST,
        "/v1/principals/{id}/credentials/{credential}/resume",
        "credential.resume",
        Mutation,
        credentials::resume,
    )
    .says("Resume a suspended credential", "It proves its principal again.")
    .takes(Takes::Optional("Nothing"), CHANGE_BODY_BYTES_MAX)
    .gives(Gives::Json("Principal")),
    route(Method::GET, "/v1/events", "event.read", Read, events::read)
        .says(
            "Read events, or follow them",
            "What was changed on the keys, vaults and principals that you may read, in the order \
             of the log. With `Accept: text/event-stream` a stream that goes on: each event has \
             its `id`, its type as `event`, and itself as `data`; `event: gap` says that events \
             were missed. Else a page. Events are kept in memory: after a restart, or when too \
             many came, older ones are gone, and the answer says so.",
        )
        .query("after", "Events after this one. Without it: a page of the oldest, a stream of new.")
        .query("limit", "Events on a page, 1 to 1000. Without it 100. Not for streams.")
        .header("Last-Event-ID", "Goes before `after`: where a stream that broke off goes on.")
        .gives(Gives::Events),
    public("/v1/log/checkpoint", "log.checkpoint", log::checkpoint)
        .says("Fetch the newest checkpoint of the log", "A signed note (C2SP tlog-checkpoint).")
        .gives(Gives::Text("text/plain; charset=utf-8")),
    public("/v1/log/tile/{*path}", "log.tile", log::tile)
        .says(
            "Fetch a tile or an entry bundle of the log",
            "As C2SP tlog-tiles names them under the prefix `/v1/log`. It never changes.",
        )
        .gives(Gives::Bytes),
    public("/v1/log/vkey", "log.vkey", log::vkey)
        .says("Fetch the key that verifies the log", "A verifier key (C2SP signed-note).")
        .gives(Gives::Text("text/plain; charset=utf-8")),
    public("/v1/openapi.json", "docs.openapi", docs::openapi_document)
        .says("Fetch this document", "OpenAPI 3.1.")
        .gives(Gives::Text("application/json")),
    public("/v1/docs", "docs.page", docs::page)
        .says("Read this document", "As a page.")
        .gives(Gives::Text("text/html; charset=utf-8")),
    public("/v1/docs/{file}", "docs.file", docs::page_file)
        .says("Fetch a file of the page", "Scripts, styles and images of `/v1/docs`.")
        .gives(Gives::Bytes),
    public("/problems/{code}", "docs.problem", docs::problem_page)
        .says("Read about a type of problem", "The `type` of every problem is such a path.")
        .gives(Gives::Text("text/html; charset=utf-8")),
    public("/health/live", "health.live", service::live)
        .says("Ask whether the server runs", "Answers as long as it takes requests.")
        .gives(Gives::Json("Health")),
    public("/health/ready", "health.ready", service::ready)
        .says("Ask whether the server can do its work", "503 with the reason if it cannot.")
        .gives(Gives::Json("Health")),
    public("/metrics", "metrics", service::metrics)
        .says("Fetch metrics", "In the text format of Prometheus.")
        .gives(Gives::Text("text/plain; version=0.0.4; charset=utf-8")),
];

#[cfg(test)]
mod tests;
