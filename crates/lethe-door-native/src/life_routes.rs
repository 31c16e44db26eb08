//! The routes of a key's life beyond its state: versions, export, import keys. A table like
//! [`crate::ROUTES`], which goes before it.

use http::Method;
use lethe_http::Kind::{Mutation, Read};

use crate::handlers::{transport, versions};
use crate::route::{Gives, Route, Takes, route};
use crate::{CHANGE_BODY_BYTES_MAX, IF_MATCH};

/// Operations on versions, exports and imports.
pub static LIFE_ROUTES: &[Route] = &[
    route(
        Method::POST,
        "/v1/keys/{id}/versions/{version}/suspend",
        "key.version_suspend",
        Mutation,
        versions::suspend,
    )
    .says(
        "Suspend a version of a key",
        "It is refused for every use until resumed. The newest enabled version that is left \
         protects new data; the last one cannot be suspended.",
    )
    .takes(Takes::Optional("Nothing"), CHANGE_BODY_BYTES_MAX)
    .header("If-Match", IF_MATCH)
    .gives(Gives::Json("Key")),
    route(
        Method::POST,
        "/v1/keys/{id}/versions/{version}/resume",
        "key.version_resume",
        Mutation,
        versions::resume,
    )
    .says("Resume a suspended version", "It is enabled again.")
    .takes(Takes::Optional("Nothing"), CHANGE_BODY_BYTES_MAX)
    .header("If-Match", IF_MATCH)
    .gives(Gives::Json("Key")),
    route(
        Method::DELETE,
        "/v1/keys/{id}/versions/{version}",
        "key.version_destroy",
        Mutation,
        versions::destroy,
    )
    .says(
        "Destroy a version of a key, for good",
        "At once, or not at all: what stands before the destruction of a key stands before it, and \
         a policy that wants a wait or approvals refuses it. The answer is as final as that of a \
         key's destruction, and its receipt speaks of this version. The key goes on with its \
         others; the last one that protects new data cannot go alone.",
    )
    .query("reason", "Why; at most 1024 bytes. Part of the receipt.")
    .query("confirm", "The key's id or exact name, where the policy wants it repeated.")
    .header("If-Match", IF_MATCH)
    .gives(Gives::Receipt),
    route(
        Method::GET,
        "/v1/keys/{id}/versions/{version}/receipt",
        "key.version_receipt",
        Read,
        versions::receipt,
    )
    .says(
        "Fetch the receipt of a version's destruction",
        "Of one that was destroyed alone; proven against the newest checkpoint. It stays when the \
         key is destroyed as well.",
    )
    .gives(Gives::Receipt),
    route(Method::POST, "/v1/keys/{id}/export", "key.export", Mutation, transport::export)
        .says(
            "Take a key's material out",
            "Of a key that was made `exportable`. Wrapped for a public key, or in the clear where \
             the realm allows that. The key is marked as exported for ever, before the answer is \
             given, and its receipt will say so.",
        )
        .takes(Takes::Json("Export"), CHANGE_BODY_BYTES_MAX)
        .header("If-Match", IF_MATCH)
        .gives(Gives::Json("ExportedKey")),
    route(Method::POST, "/v1/import-keys", "import_key.create", Mutation, transport::create)
        .says(
            "Make an import key",
            "A key pair of the server's own. Wrap one key for it, and import that with \
             `POST /v1/keys`; the import key is erased with it, or when its time is over.",
        )
        .takes(Takes::Json("CreateImportKey"), CHANGE_BODY_BYTES_MAX)
        .gives(Gives::Created("ImportKey")),
    route(Method::GET, "/v1/import-keys/{id}", "import_key.read", Read, transport::read)
        .says("See an import key", "As long as it was not used and its time is not over.")
        .gives(Gives::Json("ImportKey")),
    route(Method::DELETE, "/v1/import-keys/{id}", "import_key.remove", Mutation, transport::remove)
        .says("Remove an import key", "Its private half is erased. What it was is answered.")
        .gives(Gives::Json("ImportKey")),
    route(Method::PATCH, "/v1/realm", "realm.update", Mutation, transport::change_realm)
        .says(
            "Change the rules of your realm",
            "What is left out stays. The deletion policy is set by `PUT /v1/realm/policy`.",
        )
        .takes(Takes::Json("ChangeRealm"), CHANGE_BODY_BYTES_MAX)
        .gives(Gives::Json("Realm")),
];
