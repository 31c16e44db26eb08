use std::sync::Arc;

use http::{HeaderValue, Method};

use super::support::{TestDoor, environment, listener, route, text};
use crate::metrics::{HttpMetrics, Registry};
use crate::request::Params;
use crate::routes::RouteTable;
use crate::*;

fn table(rules: DoorRules, paths: &[(Method, &'static str)]) -> Result<RouteTable, String> {
    let specs = paths
        .iter()
        .map(|(method, path)| route(method.clone(), path, Kind::Use, Handler::new(|_| text(""))));
    let door = TestDoor::new().0.with_rules(rules).with_routes(specs.collect());
    let metrics = HttpMetrics::new(Arc::new(Registry::new()));
    RouteTable::new(&door, &metrics).map_err(|error| error.to_string())
}

fn list() -> Method {
    Method::from_bytes(b"LIST").expect("a token")
}

#[track_caller]
fn check(
    table: &RouteTable,
    method: Method,
    path: &str,
    expected: Result<(&str, usize), Fallback>,
) {
    let count = |params: &Params| params.0.iter().flatten().count();
    let found = table.find(&method, path).map(|(route, params)| (route.spec.path, count(&params)));
    assert_eq!(found, expected, "{method} {path}");
}

fn not_allowed(allow: &'static str) -> Fallback {
    Fallback::MethodNotAllowed { allow: HeaderValue::from_static(allow) }
}

fn invalid(parameter: &'static str) -> Fallback {
    Fallback::BadRequest(BadRequest::InvalidPathEncoding { parameter })
}

#[test]
fn routes_are_found_by_path_and_then_method() {
    let paths = [
        (Method::GET, "/keys"),
        (Method::POST, "/keys"),
        (list(), "/keys"),
        (Method::DELETE, "/keys/{id}"),
        (Method::GET, "/keys/{id}/versions/{version}"),
        (Method::GET, "/tile/{*rest}"),
        (Method::HEAD, "/own"),
        (Method::GET, "/own"),
        (Method::GET, "/"),
    ];
    let table = table(DoorRules::default(), &paths).expect("it compiles");
    check(&table, Method::GET, "/", Ok(("/", 0)));
    check(&table, list(), "/keys", Ok(("/keys", 0)));
    check(&table, Method::HEAD, "/keys", Ok(("/keys", 0)));
    check(&table, Method::DELETE, "/keys/%2F..%2Fx%20y", Ok(("/keys/{id}", 1)));
    check(&table, Method::GET, "/keys/a/versions/1", Ok(("/keys/{id}/versions/{version}", 2)));
    check(&table, Method::GET, "/tile/0/x001/067", Ok(("/tile/{*rest}", 1)));
    check(&table, Method::PUT, "/keys", Err(not_allowed("GET, HEAD, LIST, POST")));
    check(&table, Method::GET, "/keys/a", Err(not_allowed("DELETE")));
    check(&table, Method::HEAD, "/keys/a", Err(not_allowed("DELETE")));
    check(&table, Method::POST, "/own", Err(not_allowed("GET, HEAD")));
    for path in
        ["", "*", "/key", "/Keys", "/keys/", "//keys", "/keys//versions/1", "/tile/", "/%6beys"]
    {
        check(&table, Method::GET, path, Err(Fallback::NotFound));
    }
    check(&table, Method::DELETE, "/keys/%", Err(invalid("id")));
    check(&table, Method::DELETE, "/keys/%zz", Err(invalid("id")));
    check(&table, Method::DELETE, "/keys/%ff", Err(invalid("id")));
    check(&table, Method::GET, "/keys/a/versions/%", Err(invalid("version")));
}

#[test]
fn one_slash_at_the_end_may_be_ignored() {
    let rules = DoorRules { ignores_trailing_slash: true, ..DoorRules::default() };
    let paths = [(Method::GET, "/keys"), (Method::GET, "/keys/{id}"), (Method::GET, "/")];
    let table = table(rules, &paths).expect("it compiles");
    check(&table, Method::GET, "/", Ok(("/", 0)));
    check(&table, Method::GET, "/keys/", Ok(("/keys", 0)));
    check(&table, Method::GET, "/keys/a/", Ok(("/keys/{id}", 1)));
    check(&table, Method::GET, "/keys//", Err(Fallback::NotFound));
    check(&table, Method::GET, "//", Err(Fallback::NotFound));
}

#[track_caller]
fn check_refused(paths: &[(Method, &'static str)], words: &str) {
    let error = table(DoorRules::default(), paths).err().expect("it is refused");
    assert!(error.starts_with("door `test`, route `") && error.contains(words), "{error}");
}

#[test]
fn tables_that_cannot_be_served_are_refused() {
    let get = Method::GET;
    check_refused(&[(get.clone(), "/a"), (get.clone(), "/a")], "the method GET occurs twice");
    check_refused(&[(get.clone(), "/a/{x}"), (get.clone(), "/a/{y}")], "/a/{y}");
    check_refused(&[(get.clone(), "/a/{x")], "/a/{x");
    check_refused(&[(get.clone(), "/a/{*x}/b")], "/a/{*x}/b");
    check_refused(&[(get, "/{a}/{b}/{c}/{d}/{e}")], "more than 4 parameters");
}

#[tokio::test]
async fn a_server_does_not_start_with_such_a_table() {
    let twice = |_| route(Method::GET, "/a", Kind::Use, Handler::new(|_| text("")));
    let door = TestDoor::new().0.with_routes((0..2).map(twice).collect());
    let listener = listener(door, Transport::Plain, ListenerOptions::default());
    let result = serve(vec![listener], environment(&Arc::new(Registry::new()))).await;
    assert!(matches!(result, Err(ServeError::Routes(_))), "{result:?}");
}
