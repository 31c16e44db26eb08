//! The OpenAPI 3.1 document of the native API, made of the route table and the wire types, so that
//! it cannot say what the door does not do.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use http::Method;
use lethe_http::Authentication;
use lethe_types::limits::BATCH_ITEMS_MAX;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathItem,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{
    AdditionalProperties, AnyOfBuilder, ArrayBuilder, ComponentsBuilder, KnownFormat,
    ObjectBuilder, OneOfBuilder, SchemaFormat, Type,
};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Content, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathsBuilder, Ref, RefOr,
    Required, Response, Schema, SecurityRequirement,
};
use utoipa::{PartialSchema, ToSchema};

use crate::route::{Gives, Parameter, Route, Takes};
use crate::{routes, wire};

/// Name of the security scheme in the document.
const BEARER: &str = "bearer";

/// The document as JSON. Built once, at the first call.
#[must_use]
pub fn document_json() -> Bytes {
    static DOCUMENT: LazyLock<Bytes> =
        LazyLock::new(|| serde_json::to_vec(&document()).expect("the document is JSON").into());
    DOCUMENT.clone()
}

/// The document.
#[must_use]
pub fn document() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Lethe native API")
        .version("1")
        .description(Some(
            "Keys with final, provable destruction. Every refusal is a problem (RFC 9457) whose \
             `type` is stable and is the path of a page that explains it. Uses take one body, or \
             up to 1000 of them in `items`: each is then answered, or refused, by itself.",
        ))
        .license(Some(
            LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build(),
        ))
        .build();
    let mut paths = BTreeMap::<String, Vec<&Route>>::new();
    for route in routes() {
        paths.entry(path_template(route.path)).or_default().push(route);
    }
    let paths = paths.into_iter().fold(PathsBuilder::new(), |builder, (path, routes)| {
        let mut item = PathItem::default();
        for route in routes {
            item.merge_operations(path_item(route));
        }
        builder.path(path, item)
    });
    OpenApiBuilder::new().info(info).paths(paths).components(Some(components())).build()
}

/// The path in the words of OpenAPI, which has no parameter of several segments.
pub(crate) fn path_template(path: &str) -> String {
    path.replace("{*", "{")
}

fn path_item(route: &Route) -> PathItem {
    let method = match route.method {
        Method::DELETE => HttpMethod::Delete,
        Method::GET => HttpMethod::Get,
        Method::PATCH => HttpMethod::Patch,
        Method::POST => HttpMethod::Post,
        Method::PUT => HttpMethod::Put,
        ref other => panic!("no operation of the table has the method {other}"),
    };
    let tag = route.path.trim_start_matches("/v1").split('/').nth(1).unwrap_or_default();
    let mut operation = OperationBuilder::new()
        .tag(tag)
        .operation_id(Some(route.op))
        .summary(Some(route.summary))
        .description(Some(route.description));
    for name in path_parameters(route.path) {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(text()));
        operation = operation.parameter(parameter);
    }
    let queries = route.queries().map(|parameter| (parameter, ParameterIn::Query));
    let headers = route.headers().map(|parameter| (parameter, ParameterIn::Header));
    for (parameter, place) in queries.chain(headers) {
        operation = operation.parameter(optional_parameter(parameter, place));
    }
    let body = |schema, required| {
        RequestBodyBuilder::new()
            .content("application/json", reference(schema))
            .required(Some(required))
            .build()
    };
    operation = match route.takes {
        Takes::Items(schema) => {
            let content = Content::new(Some(one_or_items(schema, reference_to(schema))));
            let body = RequestBodyBuilder::new().content("application/json", content);
            operation.request_body(Some(body.required(Some(Required::True)).build()))
        }
        Takes::Json(schema) => operation.request_body(Some(body(schema, Required::True))),
        Takes::Nothing => operation,
        Takes::Optional(schema) => operation.request_body(Some(body(schema, Required::False))),
    };
    operation = match route.authentication {
        Authentication::Public => operation,
        Authentication::Required => {
            operation.security(SecurityRequirement::new(BEARER, Vec::<String>::new()))
        }
    };
    let (status, response) = success(route.gives);
    operation = operation.response(status, response).response("default", problem());
    if route.gives == Gives::ReceiptOrKey {
        operation = operation.response("202", later());
    }
    PathItem::new(method, operation)
}

/// The names of the parameters in `path`.
pub(crate) fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|segment| {
        let name = segment.strip_prefix('{')?.strip_suffix('}')?;
        Some(name.trim_start_matches('*'))
    })
}

fn optional_parameter(parameter: &Parameter, place: ParameterIn) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(parameter.name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(parameter.description))
        .schema(Some(text()))
}

fn success(gives: Gives) -> (&'static str, Response) {
    let answer = ResponseBuilder::new().description("Done.");
    let (status, answer) = match gives {
        Gives::Accepted(schema) => ("202", answer.content("application/json", reference(schema))),
        Gives::Bytes => {
            let bytes = ObjectBuilder::new()
                .schema_type(Type::String)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
            ("200", answer.content("application/octet-stream", Content::new(Some(bytes))))
        }
        Gives::Created(schema) => ("201", answer.content("application/json", reference(schema))),
        Gives::Events => {
            let answer = answer
                .content("application/json", reference("Events"))
                .content("text/event-stream", Content::new(Some(text())));
            ("200", answer)
        }
        Gives::Items(schema) => {
            let refused = ObjectBuilder::new()
                .property("error", Ref::from_schema_name("Problem"))
                .required("error");
            let item = OneOfBuilder::new().item(Ref::from_schema_name(schema)).item(refused);
            let content = Content::new(Some(one_or_items(schema, RefOr::T(item.build().into()))));
            ("200", answer.content("application/json", content))
        }
        Gives::Json(schema) => ("200", answer.content("application/json", reference(schema))),
        Gives::JsonOf(one, other) => {
            let schemas = [one, other].map(Ref::from_schema_name);
            // A page without keys is both.
            let either = schemas.into_iter().fold(AnyOfBuilder::new(), AnyOfBuilder::item);
            let content = Content::new(Some(RefOr::T(either.build().into())));
            ("200", answer.content("application/json", content))
        }
        Gives::PublicKey => {
            let bytes = || {
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
            };
            let answer = answer
                .content("application/x-pem-file", Content::new(Some(text())))
                .content("application/octet-stream", Content::new(Some(bytes())))
                .content("application/jwk+json", Content::new(Some(ObjectBuilder::new())));
            ("200", answer)
        }
        Gives::Receipt | Gives::ReceiptOrKey => {
            let header = HeaderBuilder::new()
                .schema(Some(text()))
                .description(Some(
                    "The base64 of the `.tlog-proof` file; left out if over 60,000 bytes.",
                ))
                .build();
            let answer = answer
                .content("application/json", reference("Receipt"))
                .content("text/plain; charset=utf-8", Content::new(Some(text())))
                .header("X-Deletion-Receipt", header);
            ("200", answer)
        }
        Gives::Text(content_type) => {
            ("200", answer.content(content_type, Content::new(Some(text()))))
        }
    };
    (status, answer.build())
}

fn later() -> Response {
    ResponseBuilder::new()
        .description("Not yet destroyed: the key waits until `due`.")
        .content("application/json", reference("Key"))
        .build()
}

fn problem() -> Response {
    ResponseBuilder::new()
        .description("Refused or failed; the page at `type` explains it.")
        .content("application/problem+json", reference("Problem"))
        .build()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn reference(schema: &str) -> Content {
    Content::new(Some(reference_to(schema)))
}

fn reference_to(schema: &str) -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(schema))
}

/// The schema itself, or an object whose only member is an array of `item`.
fn one_or_items(schema: &str, item: RefOr<Schema>) -> Schema {
    let items = ArrayBuilder::new().items(item).min_items(Some(1)).max_items(Some(BATCH_ITEMS_MAX));
    let batch = ObjectBuilder::new()
        .property("items", items)
        .required("items")
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
    OneOfBuilder::new().item(reference_to(schema)).item(batch).build().into()
}

fn components() -> utoipa::openapi::Components {
    let mut schemas = Vec::new();
    add_requests(&mut schemas);
    add_answers(&mut schemas);
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("lethe_ and 64 characters of base64url")
        .build();
    ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme(BEARER, SecurityScheme::Http(bearer))
        .build()
}

fn add_requests(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    add::<wire::CreateKey<'_>>(schemas);
    add::<wire::ChangeKey<'_>>(schemas);
    add_uses(schemas);
    add::<wire::Nothing>(schemas);
    add::<wire::Export<'_>>(schemas);
    add::<wire::CreateImportKey<'_>>(schemas);
    add::<wire::ChangeRealm>(schemas);
    add::<wire::PlaceHold<'_>>(schemas);
    add::<wire::RequestApproval<'_>>(schemas);
    add::<wire::Approve<'_>>(schemas);
    add::<wire::StartDestruction<'_>>(schemas);
    add::<wire::CreateVault<'_>>(schemas);
    add::<wire::ChangeVault<'_>>(schemas);
    add::<wire::Policy>(schemas);
    add::<wire::CreatePrincipal<'_>>(schemas);
    add::<wire::ChangePrincipal<'_>>(schemas);
    add::<wire::CredentialRequest<'_>>(schemas);
}

fn add_answers(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    add::<wire::Key>(schemas);
    add::<wire::Keys>(schemas);
    add::<wire::KeyNames>(schemas);
    add::<wire::Hold>(schemas);
    add::<wire::ExportedKey>(schemas);
    add::<wire::ImportKey>(schemas);
    add::<wire::DestructionPreview>(schemas);
    add::<wire::ApprovalRequest>(schemas);
    add::<wire::ApprovalRequests>(schemas);
    add::<wire::Job>(schemas);
    add::<wire::Jobs>(schemas);
    add::<wire::RefusedKeys>(schemas);
    add_results(schemas);
    add::<wire::Receipt>(schemas);
    add::<wire::Algorithms>(schemas);
    add::<wire::Vault>(schemas);
    add::<wire::Vaults>(schemas);
    add::<wire::Realm>(schemas);
    add::<wire::Principal>(schemas);
    add::<wire::NewPrincipal>(schemas);
    add::<wire::NewCredential>(schemas);
    add::<wire::Principals>(schemas);
    add::<wire::Health>(schemas);
    add::<wire::Events>(schemas);
    add::<wire::Problem>(schemas);
}

fn add_uses(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    add::<wire::Encrypt<'_>>(schemas);
    add::<wire::Decrypt<'_>>(schemas);
    add::<wire::RawEncrypt<'_>>(schemas);
    add::<wire::RawDecrypt<'_>>(schemas);
    add::<wire::ReEncrypt<'_>>(schemas);
    add::<wire::DataKey<'_>>(schemas);
    add::<wire::Sign<'_>>(schemas);
    add::<wire::Verify<'_>>(schemas);
    add::<wire::ForeignVerify<'_>>(schemas);
    add::<wire::Mac<'_>>(schemas);
    add::<wire::MacVerify<'_>>(schemas);
    add::<wire::Agree<'_>>(schemas);
    add::<wire::AgreeHashed<'_>>(schemas);
    add::<wire::Encapsulate>(schemas);
    add::<wire::Decapsulate<'_>>(schemas);
    add::<wire::Wrap<'_>>(schemas);
    add::<wire::Unwrap<'_>>(schemas);
    add::<wire::Random>(schemas);
    add::<wire::Hash<'_>>(schemas);
}

fn add_results(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    add::<wire::Encrypted>(schemas);
    add::<wire::Decrypted>(schemas);
    add::<wire::RawEncrypted>(schemas);
    add::<wire::DataKeyMade>(schemas);
    add::<wire::Signed>(schemas);
    add::<wire::Authenticated>(schemas);
    add::<wire::Validity>(schemas);
    add::<wire::Agreed>(schemas);
    add::<wire::AgreedPoint>(schemas);
    add::<wire::Encapsulated>(schemas);
    add::<wire::Wrapped>(schemas);
    add::<wire::RandomDrawn>(schemas);
    add::<wire::Hashed>(schemas);
    add::<wire::OutputKey>(schemas);
}

/// Adds the schema of `T` and of what it is made of.
fn add<T: ToSchema + PartialSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}
