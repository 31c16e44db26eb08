//! The compiled route table of one door.

use core::fmt;
use std::sync::Arc;

use http::{HeaderValue, Method};

use crate::decode::percent_decode;
use crate::door::{BadRequest, Door, Fallback, RouteSpec};
use crate::metrics::{HttpMetrics, RegistryError, RouteMetrics};
use crate::request::{PARAMS_MAX, Param, Params, Value};

/// The routes of a door, ready to be searched.
pub(crate) struct RouteTable {
    routes: Vec<Route>,
    paths: matchit::Router<Path>,
    ignores_trailing_slash: bool,
}

/// One route, with what its requests need looked up beforehand.
pub(crate) struct Route {
    pub(crate) spec: RouteSpec,
    pub(crate) metrics: Arc<RouteMetrics>,
}

/// All methods of one path.
struct Path {
    /// Index into `routes`. A path has few methods, so that a search beats a map.
    methods: Vec<(Method, usize)>,
    allow: HeaderValue,
    params: Vec<&'static str>,
}

impl RouteTable {
    /// # Errors
    /// [`RouteTableError`] if a path is malformed or ambiguous, or a route occurs twice.
    pub(crate) fn new(door: &dyn Door, metrics: &HttpMetrics) -> Result<Self, RouteTableError> {
        let mut routes = Vec::new();
        let mut by_path: Vec<(&'static str, Vec<(Method, usize)>)> = Vec::new();
        for spec in door.routes() {
            let error = |reason| RouteTableError { door: door.name(), path: spec.path, reason };
            let route_metrics = metrics.route(door.name(), spec.op);
            let route_metrics = route_metrics.map_err(|e| error(RouteFault::Metrics(e)))?;
            let index = routes.len();
            routes.push(Route { spec: spec.clone(), metrics: route_metrics });
            match by_path.iter_mut().find(|(path, _)| *path == spec.path) {
                Some((_, methods)) if methods.iter().any(|(m, _)| *m == spec.method) => {
                    return Err(error(RouteFault::Twice(spec.method.clone())));
                }
                Some((_, methods)) => methods.push((spec.method.clone(), index)),
                None => by_path.push((spec.path, vec![(spec.method.clone(), index)])),
            }
        }
        let mut paths = matchit::Router::new();
        for (path, methods) in by_path {
            let error = |reason| RouteTableError { door: door.name(), path, reason };
            let params = param_names(path);
            if params.len() > PARAMS_MAX {
                return Err(error(RouteFault::TooManyParameters));
            }
            let allow = allow(&methods);
            paths
                .insert(path, Path { methods, allow, params })
                .map_err(|e| error(RouteFault::Path(e.to_string())))?;
        }
        Ok(Self { routes, paths, ignores_trailing_slash: door.rules().ignores_trailing_slash })
    }

    /// The route of a method and a path as sent, and the parameters in the path.
    ///
    /// # Errors
    /// `NotFound`, `MethodNotAllowed` or `BadRequest(InvalidPathEncoding)`.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Result<(&Route, Params), Fallback> {
        let path = match path.strip_suffix('/') {
            // One slash, and not the one that is the root.
            Some(shorter) if self.ignores_trailing_slash && !shorter.is_empty() => {
                if shorter.ends_with('/') { path } else { shorter }
            }
            Some(_) | None => path,
        };
        let found = self.paths.at(path).map_err(|_| Fallback::NotFound)?;
        let entry = found.value;
        let search = |wanted: &Method| entry.methods.iter().find(|(m, _)| m == wanted);
        let mut hit = search(method);
        if hit.is_none() && *method == Method::HEAD {
            hit = search(&Method::GET);
        }
        let route = hit
            .and_then(|(_, index)| self.routes.get(*index))
            .ok_or_else(|| Fallback::MethodNotAllowed { allow: entry.allow.clone() })?;
        let mut params = Params::default();
        let values = found.params.iter().map(|(_, value)| value);
        for ((slot, name), value) in params.0.iter_mut().zip(&entry.params).zip(values) {
            *slot = Some(param(name, value, path)?);
        }
        Ok((route, params))
    }
}

fn param(name: &'static str, value: &str, path: &str) -> Result<Param, Fallback> {
    let invalid = |_| Fallback::BadRequest(BadRequest::InvalidPathEncoding { parameter: name });
    if value.contains('%') {
        let decoded = percent_decode(value).map_err(invalid)?;
        return Ok(Param { name, value: Value::Decoded(decoded.into()) });
    }
    // The router returns slices of the path it was given, so that their distance is an offset.
    let start = value.as_ptr().addr() - path.as_ptr().addr();
    Ok(Param { name, value: Value::Plain(start..start + value.len()) })
}

/// The names in `/a/{id}/b/{*rest}`, in order. Malformed braces are the router's to refuse.
fn param_names(path: &'static str) -> Vec<&'static str> {
    path.split('{')
        .skip(1)
        .filter_map(|piece| piece.split('}').next())
        .map(|name| name.trim_start_matches('*'))
        .collect()
}

fn allow(methods: &[(Method, usize)]) -> HeaderValue {
    let mut names: Vec<&str> = methods.iter().map(|(method, _)| method.as_str()).collect();
    if names.contains(&"GET") && !names.contains(&"HEAD") {
        names.push("HEAD");
    }
    names.sort_unstable();
    HeaderValue::from_str(&names.join(", ")).expect("method names are visible ASCII")
}

/// A route table that cannot be served.
#[derive(Debug)]
pub struct RouteTableError {
    door: &'static str,
    path: &'static str,
    reason: RouteFault,
}

#[derive(Debug)]
enum RouteFault {
    Metrics(RegistryError),
    Path(String),
    TooManyParameters,
    Twice(Method),
}

impl fmt::Display for RouteTableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "door `{}`, route `{}`: ", self.door, self.path)?;
        match &self.reason {
            RouteFault::Metrics(error) => error.fmt(f),
            RouteFault::Path(error) => f.write_str(error),
            RouteFault::TooManyParameters => {
                write!(f, "the path has more than {PARAMS_MAX} parameters")
            }
            RouteFault::Twice(method) => write!(f, "the method {method} occurs twice"),
        }
    }
}

impl core::error::Error for RouteTableError {}
